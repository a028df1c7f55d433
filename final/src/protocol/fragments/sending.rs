//! A message on its way out.
//!
//! Invariant: each byte of it that is not known to have arrived is in flight, or will be sent.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};

use super::super::broken::Broken;
use super::super::config::Config;
use super::super::kind::Credit;
use super::super::site::Time;
use super::path::Path;
use super::ranges::Ranges;
use super::wire::TRAILER;
use super::{FIRST, FIRST_GRANTED, Fragment};

/// What was sent so much later and has arrived says that this has not (RFC 9002, section 6.1.1).
const REORDERED_MAX: u32 = 3;

#[derive(Debug)]
pub(crate) struct Sending {
    pub(super) to: SocketAddr,
    tag: u64,
    body: Bytes,
    /// Over so many bytes of it.
    sum: u32,
    summed: usize,
    /// What follows was never sent.
    next: u32,
    lost: VecDeque<(u32, u32)>,
    flying: VecDeque<Flight>,
    have: Ranges,
    granted: u32,
    serial: u32,
    unasked: usize,
    /// Which reassembly over there the above speaks of.
    building: Option<u32>,
    /// Whether it waits for its turn.
    pub(super) in_turn: bool,
}

#[derive(Debug, Clone, Copy)]
struct Flight {
    serial: u32,
    from: u32,
    to: u32,
    sent_at: Time,
    probe: bool,
}

impl Flight {
    fn len(&self) -> usize {
        (self.to - self.from) as usize
    }
}

impl Sending {
    /// A message whose first bytes a packet carries.
    pub(super) fn new(tag: u64, to: SocketAddr, body: Bytes) -> Sending {
        Sending {
            to,
            tag,
            sum: 0,
            summed: 0,
            next: FIRST as u32,
            lost: VecDeque::new(),
            flying: VecDeque::new(),
            have: Ranges::default(),
            granted: FIRST_GRANTED,
            serial: 0,
            unasked: 0,
            building: None,
            in_turn: false,
            body,
        }
    }

    fn end(&self) -> u32 {
        self.body.len() as u32 + TRAILER
    }

    /// Whether the receiver has all of it.
    pub(super) fn is_done(&self) -> bool {
        self.have.prefix() == self.end()
    }

    /// Whether there is something to send.
    pub(super) fn wants(&self) -> bool {
        !self.lost.is_empty() || self.next < self.granted.min(self.end())
    }

    /// The next fragment, if there is something to send.
    pub(super) fn send(&mut self, path: &mut Path, now: Time, config: &Config) -> Option<Fragment> {
        let fresh = self.granted.min(self.end()).saturating_sub(self.next) as usize;
        let probe = path.probe_len().filter(|len| self.lost.is_empty() && *len <= fresh);
        let len = probe.unwrap_or_else(|| path.fragment_len()) as u32;
        let (from, to) = self.choose(len)?;
        self.serial += 1;
        self.unasked += 1;
        let flight = Flight { serial: self.serial, from, to, sent_at: now, probe: probe.is_some() };
        self.flying.push_back(flight);
        path.sent(flight.len(), flight.probe, now, config);
        // What all is on its way of need not be asked for in the middle.
        let more = self.next < self.end() && self.unasked >= path.asks_after();
        let asks = more || !self.wants() || !path.has_room();
        if asks {
            self.unasked = 0;
        }
        let body = self.cut(from as usize, to as usize);
        Some(Fragment { tag: self.tag, serial: self.serial, offset: from, asks, body })
    }

    /// What is lost goes before what was never sent.
    fn choose(&mut self, len: u32) -> Option<(u32, u32)> {
        while let Some((from, to)) = self.lost.pop_front() {
            if self.have.cover(from, to) {
                continue;
            }
            let end = to.min(from.saturating_add(len));
            if end < to {
                self.lost.push_front((end, to));
            }
            return Some((from, end));
        }
        let from = self.next;
        let to = self.granted.min(self.end()).min(from.saturating_add(len));
        self.next = self.next.max(to);
        (from < to).then_some((from, to))
    }

    /// The bytes of the message, and of the checksum behind it.
    fn cut(&mut self, from: usize, to: usize) -> Bytes {
        let whole = self.body.len();
        if self.summed < to.min(whole) {
            // They are about to be read anyway, and in order.
            self.sum = crc32c::crc32c_append(self.sum, &self.body[self.summed..to.min(whole)]);
            self.summed = to.min(whole);
        }
        if to <= whole {
            return self.body.slice(from..to);
        }
        let trailer = self.sum.to_be_bytes();
        let mut last = BytesMut::with_capacity(to - from);
        last.extend_from_slice(&self.body[from.min(whole)..]);
        last.extend_from_slice(&trailer[from.max(whole) - whole..to - whole]);
        last.freeze()
    }

    /// The receiver says what it has. Whether it has more than was known. When it has all, nothing is sent
    /// any more, whatever older words of it come, unless it begins anew.
    pub(super) fn credited(
        &mut self,
        credit: Credit,
        have: Ranges,
        path: &mut Path,
        now: Time,
        config: &Config,
    ) -> bool {
        if self.building != Some(credit.building) {
            self.begin_anew(credit.building, &have, path);
        }
        self.granted = self.granted.max(credit.granted);
        let known_to = have.known_to();
        let more = have.iter().filter(|range| self.have.insert(range.0, range.1)).count() > 0;
        let late = now.saturating_sub(path.loss_delay());
        // The copy that asked may have been hasty.
        let later = now.saturating_sub(path.loss_delay() * 2);
        let flying = std::mem::take(&mut self.flying);
        for flight in flying {
            let Flight { serial, from, to, sent_at, probe } = flight;
            let overtaken = serial.saturating_add(REORDERED_MAX) <= credit.newest;
            let overdue =
                sent_at <= late && serial < credit.newest || sent_at <= later && credit.stalled;
            if self.have.cover(from, to) {
                if serial == credit.newest {
                    path.sample(now.saturating_sub(sent_at));
                }
                path.arrived(flight.len(), sent_at, probe, now);
            } else if from < known_to && (overtaken || overdue) {
                path.lost(flight.len(), sent_at, probe, now);
                if !config.is_broken(Broken::LostStaysLost) {
                    self.lost.push_back((from, to));
                }
            } else {
                self.flying.push_back(flight);
            }
        }
        if self.is_done() {
            self.land(path);
            self.lost.clear();
            self.next = self.end();
        }
        more
    }

    /// What was built over there is gone, and something else begun.
    fn begin_anew(&mut self, building: u32, have: &Ranges, path: &mut Path) {
        if self.building.replace(building).is_none() {
            return;
        }
        self.land(path);
        path.begin_anew();
        self.lost.clear();
        self.have = Ranges::default();
        self.next = have.prefix().max(FIRST as u32);
        self.granted = 0;
    }

    /// Nothing of it counts as in flight any more; all that was is sent again.
    pub(super) fn land(&mut self, path: &mut Path) {
        for flight in self.flying.drain(..) {
            path.forgotten(flight.len(), flight.probe);
            self.lost.push_back((flight.from, flight.to));
        }
    }
}
