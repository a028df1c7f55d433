//! The core's way to the network: datagrams out of packets, faults if they are wanted, and a trace.

use std::net::SocketAddr;

use super::sync::Arc;
use crate::clock;
use crate::link::{Link, Way};
use crate::protocol::{DATAGRAM_MAX, Datagrams, Note, Outcome, Packet, ServerPort, Time, packets};
use crate::udp::{Socket, Unsent};

#[derive(Debug)]
pub(crate) struct Network {
    socket: Arc<Socket>,
    datagrams: Datagrams,
    out: Out,
    /// One byte more than a datagram may have, so that a longer one is seen to be.
    buffer: Box<[u8; DATAGRAM_MAX + 1]>,
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
    pub(crate) fn new(socket: Arc<Socket>, link: Option<Link>, trace: bool) -> Network {
        Network {
            socket,
            datagrams: Datagrams::default(),
            out: Out { way: link.map(Way::new), unsent: Vec::new() },
            buffer: Box::new([0; DATAGRAM_MAX + 1]),
            trace: Trace { since: trace.then(|| clock::now().running) },
        }
    }

    pub(crate) fn send(&mut self, to: SocketAddr, packet: &Packet) {
        self.trace.line(|| format!("-> {to}  {packet}"));
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
        let (len, from) = self.socket.receive(&mut self.buffer[..])?;
        let datagram = &self.buffer[..len];
        if self.trace.since.is_some() {
            for packet in packets(datagram).flatten() {
                self.trace.line(|| format!("<- {from}  {packet}"));
            }
        }
        Some((from, datagram))
    }

    pub(crate) fn served(&self, port: ServerPort, body: &[u8]) {
        self.trace.line(|| format!("   port {} is asked \"{}\"", port.0, body.escape_ascii()));
    }

    pub(crate) fn ended(&self, outcome: &Outcome) {
        self.trace.line(|| match outcome {
            Outcome::Reply(body) => format!("   call ends: reply \"{}\"", body.escape_ascii()),
            Outcome::NotExecuted(why) => format!("   call ends: not executed: {why}"),
            Outcome::Unknown(why) => format!("   call ends: unknown: {why}"),
        });
    }

    pub(crate) fn noted(&self, note: Note) {
        self.trace.line(|| format!("   {note}"));
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

/// Prints, or does nothing.
#[derive(Debug)]
struct Trace {
    /// When it began; `None` when nobody wants to see it.
    since: Option<Time>,
}

impl Trace {
    fn line(&self, what: impl FnOnce() -> String) {
        if let Some(since) = self.since {
            let at = clock::now().running - since;
            eprintln!("{:>6} ms  {}", at.as_millis(), what());
        }
    }
}
