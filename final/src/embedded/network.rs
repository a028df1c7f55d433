//! The core's way to the network: datagrams out of packets, faults if they are wanted, and a trace.

use std::net::SocketAddr;
use std::sync::Arc;

use super::trace::Trace;
use crate::clock;
use crate::link::{Link, Way};
use crate::protocol::{DATAGRAM_MAX, Fragment, Now, Packet, Piece, Site, packets, pieces};
use crate::udp::{self, Found, Incoming, Outgoing, Socket, Unsent};

#[derive(Debug)]
pub(crate) struct Network {
    socket: Arc<Socket>,
    outgoing: Outgoing,
    way: Option<Way>,
    /// Packets that the kernel refused to send, and whether it spoke of an earlier one.
    unsent: Vec<(Packet, bool)>,
    /// Where the kernel refused to send fragments to.
    too_large: Vec<SocketAddr>,
    incoming: Box<Incoming>,
    /// The moment before what is in `incoming` was read.
    read_at: Now,
    trace: Trace,
}

impl Network {
    pub(crate) fn new(socket: Arc<Socket>, link: Option<Link>, trace: Trace) -> Network {
        Network {
            socket,
            outgoing: Outgoing::default(),
            way: link.map(Way::new),
            unsent: Vec::new(),
            too_large: Vec::new(),
            incoming: Incoming::new(),
            read_at: Now::default(),
            trace,
        }
    }

    // ---- what leaves

    /// Sends a packet with the next [`Network::flush`], or sooner.
    pub(crate) fn send(&mut self, to: SocketAddr, packet: &Packet) {
        self.trace.sent(to, packet);
        if self.outgoing.is_full(to) {
            self.transmit();
        }
        self.outgoing.push(to, DATAGRAM_MAX, packet);
    }

    /// Sends a piece of a large message with the next [`Network::flush`], or sooner.
    pub(crate) fn send_fragment(&mut self, to: SocketAddr, fragment: Fragment) {
        self.trace.sent_fragment(to, &fragment);
        if self.outgoing.is_full(to) {
            self.transmit();
        }
        self.outgoing.push_fragment(to, fragment);
    }

    /// How large datagrams may be on this way.
    pub(crate) fn tell_path(&mut self, site: &mut Site, to: SocketAddr) {
        let (datagram, certain) = udp::path_to(to);
        site.handle_path(clock::now(), to, datagram, certain);
    }

    /// All that was sent leaves. `true` if the core was told of packets that did not: it may have more to
    /// do then.
    pub(crate) fn flush(&mut self, site: &mut Site) -> bool {
        if !self.outgoing.is_empty() {
            self.transmit();
        }
        self.too_large.drain(..).for_each(|to| site.handle_too_large(to));
        let any = !self.unsent.is_empty();
        for (packet, by_peer) in self.unsent.drain(..) {
            site.handle_unsent(&packet, by_peer);
        }
        any
    }

    /// What the network loses, too, is repaired by the timers.
    fn transmit(&mut self) {
        let Network { socket, outgoing, way, unsent, too_large, .. } = self;
        let mut refused = |to, datagram: &[u8], by_peer: bool| {
            for piece in pieces(datagram).flatten() {
                match piece {
                    Piece::Packet(packet) => {
                        if packet.encoded_len() > DATAGRAM_MAX && !by_peer {
                            too_large.push(to);
                        }
                        unsent.push((packet, by_peer));
                    }
                    Piece::Fragment(_) if by_peer => {}
                    Piece::Fragment(_) => too_large.push(to),
                }
            }
        };
        match way {
            None => socket.send_all(outgoing, refused),
            Some(way) => outgoing.each(|to, datagram| {
                let sent = way.pass(to, datagram, |to, datagram| socket.send(to, datagram));
                if let Err(Unsent::Refused { by_peer }) = sent {
                    refused(to, datagram, by_peer);
                }
            }),
        }
        outgoing.clear();
    }

    // ---- what comes

    /// Reads what has come, as much as one system call brings, or lets the core know that there was
    /// nothing after this moment; each datagram is then handled by [`Network::handle_next`]. Whether
    /// there was any, and the moment.
    pub(crate) fn read(&mut self, site: &mut Site) -> (bool, Now) {
        // Before the receive: nothing that came earlier is left when it finds nothing (R23, R29).
        self.read_at = clock::now();
        let found = self.socket.receive(&mut self.incoming);
        if found == Found::Nothing {
            site.handle_drained(self.read_at);
        }
        (found == Found::Some, self.read_at)
    }

    /// Lets the core handle the next datagram that was read; `false` if none is left.
    pub(crate) fn handle_next(&mut self, site: &mut Site) -> bool {
        let Some((from, datagram)) = self.incoming.next() else { return false };
        if self.trace.wants_packets() {
            for packet in packets(datagram).flatten() {
                self.trace.came(from, &packet);
            }
        }
        site.handle_datagram(self.read_at, from, datagram);
        true
    }

    pub(crate) fn trace(&self) -> &Trace {
        &self.trace
    }
}
