//! The core's way to the network: datagrams out of packets, faults if they are wanted, and a trace.

use std::net::SocketAddr;
use std::sync::Arc;

use super::trace::Trace;
use crate::link::{Link, Way};
use crate::protocol::{Datagrams, Packet, packets};
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

    pub(crate) fn flush(&mut self) {
        let Network { socket, datagrams, out, .. } = self;
        datagrams.flush(|to, datagram| out.send(socket, to, datagram));
    }

    pub(crate) fn take_unsent(&mut self) -> Vec<(Packet, bool)> {
        std::mem::take(&mut self.out.unsent)
    }

    pub(crate) fn receive(&mut self) -> Option<(SocketAddr, &[u8])> {
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
