//! What `ipcd --trace` prints: the lines of the bench's traces, with the thread in the place of the site.
//!
//! The bench sees only what is sent; a daemon sees also what comes, and what it hands to a process. What it puts before
//! the bodies for its own sake is not shown.

use std::io::{Write, stdout};
use std::net::SocketAddr;

use super::now;
use crate::ipc::IpcError;
use crate::ipc::local::{Envelope, PORT_LEN};
use crate::site::Time;
use crate::wire::{Kind, Packet};

/// Prints, or does nothing.
#[derive(Debug)]
pub(super) struct Trace {
    /// When it began; `None` when nobody wants to see it.
    since: Option<Time>,
}

impl Trace {
    pub(super) fn new(wanted: bool) -> Trace {
        Trace { since: wanted.then(now) }
    }

    /// A packet leaves in so many copies: `->` one, `-x` none, `=>` two.
    pub(super) fn sent(&self, thread: &str, to: SocketAddr, packet: &Packet, copies: usize) {
        let arrow = ["-x", "->", "=>"][copies.min(2)];
        self.line(thread, || format!("{arrow} {to}  {}", readable(packet)));
    }

    /// A datagram came.
    pub(super) fn came(&self, thread: &str, from: SocketAddr, datagram: &[u8]) {
        if let Ok(packet) = Packet::decode(datagram) {
            self.line(thread, || format!("<- {from}  {}", readable(&packet)));
        }
    }

    /// A process at this port is handed a request.
    pub(super) fn served(&self, thread: &str, port: u64, body: &[u8]) {
        self.line(thread, || format!("   port {port} is asked \"{}\"", body.escape_ascii()));
    }

    /// A process has answered.
    pub(super) fn answered(&self, thread: &str, body: &[u8]) {
        self.line(thread, || format!("   answered \"{}\"", body.escape_ascii()));
    }

    /// A process is told how its call ended.
    pub(super) fn ended(&self, thread: &str, end: &Result<Vec<u8>, IpcError>) {
        self.line(thread, || match end {
            Ok(body) => format!("   call ends: reply \"{}\"", body.escape_ascii()),
            Err(error) => format!("   call ends: {error}"),
        });
    }

    /// Something that no packet shows.
    pub(super) fn noted(&self, thread: &str, what: &str) {
        self.line(thread, || format!("   {what}"));
    }

    fn line(&self, thread: &str, what: impl FnOnce() -> String) {
        if let Some(since) = self.since {
            let (ms, what) = ((now() - since).as_millis(), what());
            // Whoever reads it may have gone.
            let _ = writeln!(stdout(), "{ms:>6} ms  {thread:<9} {what}");
        }
    }
}

/// The packet as the processes mean it: without the number of the port, and the envelope opened.
fn readable(packet: &Packet) -> String {
    let mut packet = packet.clone();
    match packet.kind {
        Kind::Request { .. } if packet.body.len() >= PORT_LEN => {
            drop(packet.body.drain(..PORT_LEN))
        }
        Kind::Reply => match Envelope::open(&packet.body) {
            Ok(body) => packet.body = body.to_vec(),
            Err(error) => return format!("{}: {error}", Packet { body: Vec::new(), ..packet }),
        },
        _ => {}
    }
    packet.to_string()
}
