//! What is to leave: packets for one host joined in as few datagrams as they fit in (PROTOCOL §3), and
//! datagrams of one length in one message, which the kernel cuts.
//!
//! Invariant: to each host datagrams leave in the order in which their packets came, and nothing is in
//! one datagram that was not for one host.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::ops::Range;

use bytes::Bytes;

use super::many::{Message, SEGMENTS_MAX, SENT_MAX};
use crate::protocol::{Fragment, Packet};

/// To so many hosts something may wait.
const HOSTS_MAX: usize = SENT_MAX;
/// With so many bytes waiting it is time: a message holds no more than UDP can, and what is sent sooner is
/// worked at sooner.
const ENOUGH: usize = 64 << 10;
/// UDP's own limit for a datagram, and for a message that the kernel cuts (RFC 768, over IPv4).
const MESSAGE_MAX: usize = 65_507;
/// A body so long is sent from where it lies: shorter ones are copied in less time than it takes the
/// kernel to look for them.
const SLICE_MIN: usize = 1 << 10;
/// The first one, if it is so long: what is in one piece leaves by the cheapest of all calls if it is
/// alone.
const FIRST_MIN: usize = 4 << 10;
/// Of so many parts all messages of a system call consist: a header and a body for each datagram of one
/// that is cut.
const PARTS_MAX: usize = 2 * SEGMENTS_MAX;

/// Packets that wait to be sent, as datagrams.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// The first `used` of these; the others are kept for their memory.
    hosts: Vec<Host>,
    used: usize,
    /// Where the last packet went.
    last: usize,
    len: usize,
}

#[derive(Debug)]
struct Host {
    to: SocketAddr,
    /// Headers, and bodies that are not long.
    bytes: Vec<u8>,
    parts: Vec<Part>,
    datagrams: Vec<Datagram>,
}

#[derive(Debug)]
enum Part {
    /// In the host's own bytes.
    Own(Range<usize>),
    Slice(Bytes),
}

#[derive(Debug, Clone)]
struct Datagram {
    parts: Range<usize>,
    len: usize,
}

/// How far the sending is: this datagram of this host is next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    host: usize,
    datagram: usize,
}

/// What one system call sends.
pub(super) struct Batch<'a> {
    parts: [IoSlice<'a>; PARTS_MAX],
    parts_len: usize,
    messages: [Planned; SENT_MAX],
    len: usize,
}

/// A message: some datagrams of a host.
#[derive(Debug, Clone, Copy)]
struct Planned {
    to: SocketAddr,
    host: usize,
    datagrams: (usize, usize),
    parts: (usize, usize),
    segment: Option<u16>,
}

impl Outgoing {
    /// Whether what waits is to be sent before there is more for this host.
    pub(crate) fn is_full(&self, to: SocketAddr) -> bool {
        self.len >= ENOUGH || self.used == HOSTS_MAX && self.find(to).is_none()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// One more packet; it joins the last datagram for this host if that gets no longer than this. There
    /// is room ([`Outgoing::is_full`]).
    pub(crate) fn push(&mut self, to: SocketAddr, longest: usize, packet: &Packet) {
        let at = self.find(to).unwrap_or_else(|| self.begin(to));
        self.last = at;
        let host = &mut self.hosts[at];
        let len = packet.encoded_len();
        self.len += len;
        let joins = host.datagrams.last().is_some_and(|it| it.len + len <= longest);
        if !joins {
            let start = host.parts.len();
            host.datagrams.push(Datagram { parts: start..start, len: 0 });
        }
        host.append(packet, joins);
        if let Some(datagram) = host.datagrams.last_mut() {
            datagram.len += len;
            datagram.parts.end = host.parts.len();
        }
    }

    /// A piece of a large message, a datagram of its own. There is room.
    pub(crate) fn push_fragment(&mut self, to: SocketAddr, fragment: Fragment) {
        let at = self.find(to).unwrap_or_else(|| self.begin(to));
        self.last = at;
        let host = &mut self.hosts[at];
        let (start, first) = (host.bytes.len(), host.parts.len());
        let len = fragment.encoded_len();
        self.len += len;
        let long = fragment.body.len() >= SLICE_MIN;
        match long {
            true => host.bytes.extend_from_slice(&fragment.header()),
            false => fragment.encode(&mut host.bytes),
        }
        host.parts.push(Part::Own(start..host.bytes.len()));
        if long {
            host.parts.push(Part::Slice(fragment.body));
        }
        host.datagrams.push(Datagram { parts: first..host.parts.len(), len });
    }

    /// All has been sent.
    pub(crate) fn clear(&mut self) {
        for host in &mut self.hosts[..self.used] {
            host.bytes.clear();
            host.parts.clear();
            host.datagrams.clear();
        }
        (self.used, self.last, self.len) = (0, 0, 0);
    }

    /// If all of it is one datagram in one piece: this.
    pub(super) fn only(&self) -> Option<(SocketAddr, &[u8])> {
        let host = self.hosts.first().filter(|_| self.used == 1)?;
        match &host.parts[..] {
            [part] => Some((host.to, host.bytes_of(part))),
            _ => None,
        }
    }

    /// As much as one system call sends from here on; datagrams of one length in one message, if the
    /// kernel cuts them. `None` if there is nothing left.
    pub(super) fn plan(&self, mut from: Cursor, cuts: bool) -> Option<Batch<'_>> {
        let mut batch = Batch::new();
        while let Some((host, next)) = self.run(from, cuts) {
            if !batch.push(host, from, next) {
                break;
            }
            from = self.cursor(from.host, next);
        }
        (batch.len > 0).then_some(batch)
    }

    /// The next ones for one host, up to this one, that can leave in one message.
    fn run(&self, from: Cursor, cuts: bool) -> Option<(&Host, usize)> {
        let host = self.hosts[..self.used].get(from.host)?;
        let first = host.datagrams.get(from.datagram)?;
        let (mut end, mut len, mut parts) = (from.datagram + 1, first.len, first.parts.len());
        while let Some(next) = host.datagrams.get(end).filter(|_| cuts) {
            (len, parts) = (len + next.len, parts + next.parts.len());
            let many = end - from.datagram >= SEGMENTS_MAX;
            let last = &host.datagrams[end - 1];
            if last.len != first.len || next.len > first.len {
                break;
            }
            if many || len > MESSAGE_MAX || parts > PARTS_MAX {
                break;
            }
            end += 1;
        }
        Some((host, end))
    }

    fn cursor(&self, host: usize, datagram: usize) -> Cursor {
        match datagram < self.hosts[host].datagrams.len() {
            true => Cursor { host, datagram },
            false => Cursor { host: host + 1, datagram: 0 },
        }
    }

    /// What comes after so many of these messages.
    pub(super) fn after(&self, batch: &Batch, count: usize) -> Cursor {
        let last = &batch.messages[count.clamp(1, batch.len) - 1];
        self.cursor(last.host, last.datagrams.1)
    }

    /// Gives away the datagrams of a batch's first message, each in one piece.
    pub(super) fn first_of(&self, batch: &Batch, mut give: impl FnMut(SocketAddr, &[u8])) {
        let Planned { to, host, datagrams: (start, end), .. } = batch.messages[0];
        let host = &self.hosts[host];
        let mut whole = Vec::new();
        for datagram in &host.datagrams[start..end] {
            give(to, host.whole(datagram, &mut whole));
        }
    }

    /// Gives away every datagram, each in one piece.
    pub(crate) fn each(&self, mut give: impl FnMut(SocketAddr, &[u8])) {
        let mut whole = Vec::new();
        for host in &self.hosts[..self.used] {
            for datagram in &host.datagrams {
                give(host.to, host.whole(datagram, &mut whole));
            }
        }
    }

    fn find(&self, to: SocketAddr) -> Option<usize> {
        let used = &self.hosts[..self.used];
        if used.get(self.last).is_some_and(|host| host.to == to) {
            return Some(self.last);
        }
        used.iter().position(|host| host.to == to)
    }

    fn begin(&mut self, to: SocketAddr) -> usize {
        match self.hosts.get_mut(self.used) {
            Some(host) => host.to = to,
            None => {
                let (bytes, parts, datagrams) = (Vec::new(), Vec::new(), Vec::new());
                self.hosts.push(Host { to, bytes, parts, datagrams });
            }
        }
        self.used += 1;
        self.used - 1
    }
}

impl Host {
    /// Appends a packet, to the last part if it belongs to the same datagram.
    fn append(&mut self, packet: &Packet, joins: bool) {
        let start = self.bytes.len();
        let least = if start == 0 { FIRST_MIN } else { SLICE_MIN };
        let long = packet.body.len() >= least;
        match long {
            true => packet.encode_header(&mut self.bytes),
            false => packet.encode(&mut self.bytes),
        }
        let end = self.bytes.len();
        match self.parts.last_mut().filter(|_| joins) {
            Some(Part::Own(range)) => range.end = end,
            _ => self.parts.push(Part::Own(start..end)),
        }
        if long {
            self.parts.push(Part::Slice(packet.body.clone()));
        }
    }

    fn bytes_of<'a>(&'a self, part: &'a Part) -> &'a [u8] {
        match part {
            Part::Own(range) => &self.bytes[range.clone()],
            Part::Slice(slice) => slice,
        }
    }

    /// A datagram in one piece, copied together if it is not.
    fn whole<'a>(&'a self, datagram: &Datagram, copied: &'a mut Vec<u8>) -> &'a [u8] {
        match &self.parts[datagram.parts.clone()] {
            [part] => self.bytes_of(part),
            parts => {
                copied.clear();
                parts.iter().for_each(|part| copied.extend_from_slice(self.bytes_of(part)));
                copied
            }
        }
    }
}

impl<'a> Batch<'a> {
    fn new() -> Batch<'a> {
        let to = SocketAddr::from(([0; 4], 0));
        let none = Planned { to, host: 0, datagrams: (0, 0), parts: (0, 0), segment: None };
        Batch {
            parts: [IoSlice::new(&[]); PARTS_MAX],
            parts_len: 0,
            messages: [none; SENT_MAX],
            len: 0,
        }
    }

    /// One more message, from this datagram to that of this host; `false` if there is no room for it.
    fn push(&mut self, host: &'a Host, from: Cursor, end: usize) -> bool {
        let datagrams = &host.datagrams[from.datagram..end];
        let (first, last) = (&datagrams[0], &datagrams[datagrams.len() - 1]);
        let parts = &host.parts[first.parts.start..last.parts.end];
        if self.len == SENT_MAX || self.parts_len + parts.len() > PARTS_MAX && self.len > 0 {
            return false;
        }
        let start = self.parts_len;
        let mut own: Option<Range<usize>> = None;
        for part in parts {
            match (part, &mut own) {
                // The host's own bytes follow each other.
                (Part::Own(range), Some(own)) => own.end = range.end,
                (Part::Own(range), None) => own = Some(range.clone()),
                (Part::Slice(slice), _) => {
                    self.put(own.take().map(|own| &host.bytes[own]));
                    self.put(Some(slice));
                }
            }
        }
        self.put(own.map(|own| &host.bytes[own]));
        let segment = (datagrams.len() > 1).then_some(first.len as u16);
        let (datagrams, parts) = ((from.datagram, end), (start, self.parts_len));
        let planned = Planned { to: host.to, host: from.host, datagrams, parts, segment };
        self.messages[self.len] = planned;
        self.len += 1;
        true
    }

    fn put(&mut self, bytes: Option<&'a [u8]>) {
        if let Some(bytes) = bytes {
            self.parts[self.parts_len] = IoSlice::new(bytes);
            self.parts_len += 1;
        }
    }

    /// As the kernel is told, and how many there are.
    pub(super) fn messages(&self) -> ([Message<'_>; SENT_MAX], usize) {
        let messages = self.messages.map(|Planned { to, parts: (start, end), segment, .. }| {
            Message { to, parts: &self.parts[start..end], segment }
        });
        (messages, self.len)
    }

    /// Whether the first is to be cut by the kernel.
    pub(super) fn first_is_cut(&self) -> bool {
        self.messages[0].segment.is_some()
    }
}
