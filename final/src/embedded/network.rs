//! The core's way to the network: datagrams out of packets, faults if they are wanted, and a trace.

use std::net::SocketAddr;
use std::sync::Arc;

use super::trace::Trace;
use crate::clock;
use crate::link::{Link, Way};
use crate::protocol::{Datagrams, Fragment, Packet, Site, Time, packets};
use crate::udp::{self, Buffer, Socket, Unsent};

#[derive(Debug)]
pub(crate) struct Network {
    socket: Arc<Socket>,
    datagrams: Datagrams,
    out: Out,
    buffer: Buffer,
    trace: Trace,
}

/// What is done with a datagram.
#[derive(Debug)]
struct Out {
    way: Option<Way>,
    /// Packets that the kernel refused to send, and whether it spoke of an earlier one.
    unsent: Vec<(Packet, bool)>,
}

impl Network {
    pub(crate) fn new(socket: Arc<Socket>, link: Option<Link>, trace: Trace) -> Network {
        Network {
            socket,
            datagrams: Datagrams::default(),
            out: Out { way: link.map(Way::new), unsent: Vec::new() },
            buffer: udp::buffer(),
            trace,
        }
    }

    pub(crate) fn send(&mut self, to: SocketAddr, packet: &Packet) {
        self.trace.sent(to, packet);
        let Network { socket, datagrams, out, .. } = self;
        datagrams.push(to, packet, |to, datagram| out.send(socket, to, datagram));
    }

    pub(crate) fn send_fragment(&mut self, to: SocketAddr, fragment: &Fragment) {
        self.trace.sent_fragment(to, fragment);
        let Network { socket, datagrams, out, .. } = self;
        datagrams.flush(|to, datagram| out.send(socket, to, datagram));
        let mut bytes = Vec::with_capacity(fragment.encoded_len());
        fragment.encode(&mut bytes);
        out.send(socket, to, &bytes);
    }

    /// How large datagrams may be on this way.
    pub(crate) fn tell_path(&mut self, site: &mut Site, to: SocketAddr) {
        let (datagram, certain) = udp::path_to(to);
        site.handle_path(clock::now(), to, datagram, certain);
    }

    /// All that was sent leaves. `true` if the core was told of packets that did not: it may have more to
    /// do then.
    pub(crate) fn flush(&mut self, site: &mut Site) -> bool {
        let Network { socket, datagrams, out, .. } = self;
        datagrams.flush(|to, datagram| out.send(socket, to, datagram));
        let any = !out.unsent.is_empty();
        for (packet, by_peer) in out.unsent.drain(..) {
            site.handle_unsent(&packet, by_peer);
        }
        any
    }

    /// Lets the core handle one datagram, or know that there is none after this moment. Whether there
    /// was one, and the moment.
    pub(crate) fn read(&mut self, site: &mut Site) -> (bool, Time) {
        // Before the receive: nothing that came earlier is left when it finds nothing (R23, R29).
        let now = clock::now();
        let came = self.receive();
        let any = came.is_some();
        match came {
            Some((from, datagram)) => site.handle_datagram(now, from, datagram),
            None => site.handle_drained(now),
        }
        (any, now.running)
    }

    fn receive(&mut self) -> Option<(SocketAddr, &[u8])> {
        let (len, from) = self.socket.receive(&mut self.buffer)?;
        let datagram = &self.buffer[..len];
        if self.trace.wants_packets() {
            for packet in packets(datagram).flatten() {
                self.trace.came(from, &packet);
            }
        }
        Some((from, datagram))
    }

    pub(crate) fn trace(&self) -> &Trace {
        &self.trace
    }
}

impl Out {
    fn send(&mut self, socket: &Socket, to: SocketAddr, datagram: &[u8]) {
        let sent = match &mut self.way {
            None => socket.send(to, datagram),
            Some(way) => way.pass(to, datagram, |to, datagram| socket.send(to, datagram)),
        };
        // What the network loses, too, is repaired by the timers.
        if let Err(Unsent::Refused { by_peer }) = sent {
            self.unsent.extend(packets(datagram).flatten().map(|packet| (packet, by_peer)));
        }
    }
}
