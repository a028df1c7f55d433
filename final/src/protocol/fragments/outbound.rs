//! All messages on their way out, and the paths that they take.
//!
//! Invariant: whatever may leave has left when an event is over.

use std::net::SocketAddr;

use bytes::Bytes;

use super::super::config::Config;
use super::super::effects::Effects;
use super::super::kind::Credit;
use super::super::rtt::RoundTrip;
use super::super::site::{Action, Time};
use super::super::table::Table;
use super::super::wire::{DATAGRAM_MAX, HEADER_MAX};
use super::DATAGRAM_LARGEST;
use super::path::Path;
use super::ranges::{RANGES_LEN, Ranges};
use super::sending::Sending;
use super::wire::TRAILER;

/// So many addresses are worth remembering.
const PATHS_MAX: usize = 4096;
/// The bytes of a path and its place in the table.
const PATH_LEN: usize = 2 * size_of::<Path>() + 128;
/// The bytes of a message on its way, with its places in the tables and in turn, a way of its own and the
/// ranges that have arrived; without what is in flight of it.
const SENDING_LEN: usize = 2 * size_of::<Sending>() + 64 + PATH_LEN + RANGES_LEN;
/// What is in flight, and what of it is lost, takes no more than this part of the bytes that they are.
const IN_FLIGHT: usize = 8;

#[derive(Debug, Default)]
pub(crate) struct Outbound {
    paths: Table<SocketAddr, Path>,
    sending: Table<u64, Sending>,
}

impl Outbound {
    /// How many bytes are held at most for so many messages on their way, of so many bytes together.
    pub(crate) fn memory_max(messages: usize, bytes: usize) -> usize {
        PATHS_MAX * PATH_LEN + messages * SENDING_LEN + bytes / IN_FLIGHT
    }

    /// How many messages are on their way. (Of one that has arrived it is only known that it has.)
    pub(crate) fn len(&self) -> usize {
        self.sending.values().filter(|it| !it.is_done()).count()
    }

    /// The way to an address, if a large message took it.
    pub(crate) fn path(&self, to: SocketAddr) -> Option<&Path> {
        self.paths.get(&to)
    }

    /// After a silence nothing counts as in flight there: all of it is sent again, slowly at first.
    fn restart_if_silent(&mut self, to: SocketAddr, now: Time, config: &Config) {
        let Some(path) = self.paths.get_mut(&to).filter(|path| path.is_silent(now, config)) else {
            return;
        };
        let there = self.sending.iter_mut().filter(|(_, sending)| sending.to == to);
        let mut there: Vec<(&u64, &mut Sending)> = there.collect();
        there.sort_unstable_by_key(|(tag, _)| **tag);
        for (tag, sending) in there {
            sending.land(path);
            if !sending.in_turn && sending.wants() {
                sending.in_turn = true;
                path.turn.push_back(*tag);
            }
        }
        path.restart(now);
    }
}

impl Effects {
    /// The first packet of this message left; the rest follows, as far as the first window goes. Nothing
    /// happens if it is on its way already.
    pub(crate) fn send_rest(&mut self, tag: u64, to: SocketAddr, body: &Bytes) {
        self.find_path(to);
        let sending = self.outbound.sending.entry(tag);
        sending.or_insert_with(|| Sending::new(tag, to, body.clone()));
        self.redirect(tag, to);
        self.take_turn(tag);
        self.pump(to);
    }

    /// How many bytes a packet may carry there, as far as it is known.
    pub(crate) fn packet_max(&self, to: SocketAddr) -> usize {
        let datagram = self.outbound.paths.get(&to).map_or(DATAGRAM_MAX, |path| path.datagram);
        datagram - HEADER_MAX
    }

    /// The receiver of this message, to which a round trip is known or not, says what it has, and gets what
    /// is missing. Whether that is more than was known.
    pub(crate) fn handle_credit(
        &mut self,
        tag: u64,
        to: SocketAddr,
        body: &Bytes,
        credit: Credit,
        have: Ranges,
        known: RoundTrip,
    ) -> bool {
        let now = self.now.running;
        let whole = have.prefix() as usize >= body.len() + TRAILER as usize;
        self.find_path(to);
        if !whole {
            let sending = self.outbound.sending.entry(tag);
            sending.or_insert_with(|| Sending::new(tag, to, body.clone()));
        }
        self.redirect(tag, to);
        let Outbound { paths, sending, .. } = &mut self.outbound;
        let (Some(path), Some(sending)) = (paths.get_mut(&to), sending.get_mut(&tag)) else {
            return false;
        };
        path.know(known);
        path.hear(credit.room, now);
        let more = sending.credited(credit, have, path, now, &self.config);
        self.take_turn(tag);
        self.pump(to);
        more
    }

    /// Nobody wants it any more, or all of it has arrived.
    pub(crate) fn forget_message(&mut self, tag: u64) {
        let Some(mut sending) = self.outbound.sending.remove(&tag) else { return };
        if let Some(path) = self.outbound.paths.get_mut(&sending.to) {
            sending.land(path);
        }
    }

    /// The driver says how large a datagram may leave for there.
    pub(crate) fn handle_path(&mut self, to: SocketAddr, datagram: usize, certain: bool) {
        if let Some(path) = self.outbound.paths.get_mut(&to) {
            path.may_carry(datagram.clamp(DATAGRAM_MAX, DATAGRAM_LARGEST), certain);
            self.pump(to);
        }
    }

    /// The kernel will not send so large a datagram there.
    pub(crate) fn handle_too_large(&mut self, to: SocketAddr) {
        if let Some(path) = self.outbound.paths.get_mut(&to) {
            path.is_too_small();
        }
    }

    /// It is received somewhere else now (R22).
    fn redirect(&mut self, tag: u64, to: SocketAddr) {
        let Outbound { paths, sending } = &mut self.outbound;
        let Some(sending) = sending.get_mut(&tag).filter(|sending| sending.to != to) else {
            return;
        };
        if let Some(path) = paths.get_mut(&sending.to) {
            sending.land(path);
            path.turn.retain(|other| *other != tag);
        }
        (sending.to, sending.in_turn) = (to, false);
    }

    fn find_path(&mut self, to: SocketAddr) {
        if self.outbound.paths.contains_key(&to) {
            return;
        }
        if self.outbound.paths.len() >= PATHS_MAX {
            // They are measured again.
            self.outbound.paths.retain(|_, path| path.in_flight > 0 || !path.turn.is_empty());
        }
        self.outbound.paths.insert(to, Path::new(self.now.running));
        self.act(Action::Path { to });
    }

    fn take_turn(&mut self, tag: u64) {
        let Outbound { paths, sending } = &mut self.outbound;
        let Some(sending) = sending.get_mut(&tag) else { return };
        if sending.in_turn || !sending.wants() {
            return;
        }
        if let Some(path) = paths.get_mut(&sending.to) {
            sending.in_turn = true;
            path.turn.push_back(tag);
        }
    }

    /// Sends what may leave for there, one fragment of each message in turn.
    fn pump(&mut self, to: SocketAddr) {
        let Effects { now, outbound, actions, config, .. } = self;
        outbound.restart_if_silent(to, now.running, config);
        let Some(path) = outbound.paths.get_mut(&to) else { return };
        while path.has_room() {
            let Some(tag) = path.turn.pop_front() else { return };
            let Some(sending) = outbound.sending.get_mut(&tag) else { continue };
            match sending.send(path, now.running, config) {
                Some(fragment) => {
                    path.turn.push_back(tag);
                    actions.push_back(Action::Fragment { to, fragment });
                }
                None => sending.in_turn = false,
            }
        }
    }
}
