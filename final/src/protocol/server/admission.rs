//! A new call: is there room for it, and whom is it for?

use super::super::broken::Broken;
use super::super::effects::Effects;
use super::super::ids::CallId;
use super::super::kind::{Flags, Kind, Ran, Reason};
use super::super::note::Note;
use super::super::timers::Timer;
use super::super::tombstone::{Answer, Record, State, Tombstone};
use super::super::wire::{BODY_MAX, Packet, UNLIMITED};
use super::{Came, Server};
use std::time::Duration;

impl Server {
    /// Nothing that has not expired is ever evicted (R26): without room the client is asked to wait, and
    /// nothing is marked.
    pub(super) fn has_room(&mut self, came: Came, known: bool, out: &mut Effects) -> bool {
        let Kind::Request { floor, predecessor, .. } = came.packet.kind else { return false };
        let call = came.packet.call();
        let len = match self.refuses(came.packet) {
            Some(_) => BODY_MAX,
            None => came.packet.whole().0.max(BODY_MAX),
        };
        let room = self.fits(call, floor, len) && (known || self.takes_stranger(came, out));
        room && (predecessor == 0 || self.may_wait(call, predecessor))
    }

    /// Within the client's window, and the site's limits for records and for the bytes of these.
    pub(super) fn fits(&self, call: CallId, floor: u64, len: usize) -> bool {
        let window = self.tombstones.get(&call.client).map(|it| (it.floor(), it.window()));
        let (floor, window) = window.unwrap_or((floor, self.config.window));
        call.seq.saturating_sub(floor) < u64::from(window)
            && (self.records < self.config.records_max
                || self.config.is_broken(Broken::RoomUnchecked))
            && self.bytes + len <= self.config.bytes_max
    }

    /// A client that is new for certain (R35): makes room in time for those that come after it.
    pub(super) fn takes_stranger(&mut self, came: Came, out: &mut Effects) -> bool {
        if 4 * self.tombstones.len() >= 3 * self.config.clients_max {
            self.choose_who_leaves(out);
        }
        // Anybody can pretend to be at an address, so only those count that are (R36).
        let at_address = self.per_address.get(&came.from.ip()).copied().unwrap_or(0);
        self.tombstones.len() < self.config.clients_max
            && !(came.valid && at_address >= self.config.clients_per_address_max)
            && self.windows + u64::from(self.config.window) <= self.config.windows_sum_max
    }

    pub(super) fn admit(&mut self, came: Came, known: bool, out: &mut Effects) {
        let call = came.packet.call();
        let Kind::Request { floor, predecessor, patience, rto, max_reply, hash, .. } =
            came.packet.kind
        else {
            return;
        };
        if !known {
            self.remember(came, floor, out);
        }
        let now = out.now.running;
        let patience = (patience != UNLIMITED).then(|| Duration::from_millis(u64::from(patience)));
        let port = came.packet.server.port;
        self.insert(
            call,
            Record {
                state: State::Queued(came.packet.body.clone()),
                port,
                flags: came.packet.flags,
                hash: Some(hash),
                predecessor,
                max_reply,
                patience_ends: patience.map(|patience| came.since + patience),
                attempt: came.packet.attempt,
                came: came.since,
                address: came.from,
                paid: (!came.valid).then(|| 3 * came.packet.encoded_len()),
                heard: now,
                forget_at: now + self.config.reply_lifetime(patience),
                worked: false,
            },
        );
        self.tidy_by(call.client, now + self.config.orphan_after(), out);
        let waits = self.hold(call, out);
        if let Some(reason) = self.refuses(came.packet) {
            // After the duplicate check (R20): this very call may have been served there.
            if reason == Reason::NoSuchPort {
                out.note(Note::NoSuchPort);
            }
            self.mark(call, reason, out);
            return self.answer_record(call, came.packet.attempt, out);
        }
        let rto = Duration::from_millis(u64::from(rto));
        if !self.config.is_broken(Broken::WorkingLate) {
            let after = (rto / 2).min(self.config.working_after_max);
            out.timers.arm(Timer::Working(call), now + after);
        }
        if !waits {
            self.queue(call, out);
        }
    }

    /// Why a new request is not taken up, if so (R32).
    pub(super) fn refuses(&self, packet: &Packet) -> Option<Reason> {
        if packet.whole().0 > self.config.message_max {
            return Some(Reason::RequestTooBig);
        }
        (!self.ports.contains_key(&packet.server.port)).then_some(Reason::NoSuchPort)
    }

    /// A client that was never heard of gets its tombstone.
    pub(super) fn remember(&mut self, came: Came, floor: u64, out: &mut Effects) {
        let ip = came.valid.then(|| came.from.ip());
        let tombstone = Tombstone::new(floor, self.config.window, ip, out.now.running);
        self.tombstones.insert(came.packet.client, tombstone);
        if let Some(ip) = ip {
            *self.per_address.entry(ip).or_default() += 1;
        }
        self.windows += u64::from(self.config.window);
    }

    /// From here on the number is seen. Of an idempotent call only the record says so (R34).
    pub(super) fn insert(&mut self, call: CallId, record: Record) {
        let Some(tombstone) = self.tombstones.get_mut(&call.client) else { return };
        if !record.is_idempotent() {
            tombstone.set_seen(call.seq);
        }
        tombstone.highest = tombstone.highest.max(call.seq);
        tombstone.lives_until = tombstone.lives_until.max(record.forget_at);
        self.records += 1;
        self.bytes += record.bytes();
        tombstone.records.insert(call.seq, Box::new(record));
    }

    /// R37: this call was called off before it came, and is refused when it comes.
    pub(super) fn insert_mark(&mut self, came: Came, out: &mut Effects) {
        let now = out.now.running;
        let call = came.packet.call();
        let forget_at = now + self.config.reply_lifetime(None);
        self.insert(
            call,
            Record {
                state: State::Done(Answer::Refused { ran: Ran::No, reason: Reason::Aborted }),
                port: came.packet.server.port,
                flags: Flags::NONE,
                hash: None,
                predecessor: 0,
                max_reply: 0,
                patience_ends: None,
                attempt: 0,
                came: now,
                address: came.from,
                paid: Some(0),
                heard: now,
                forget_at,
                worked: false,
            },
        );
        self.tidy_by(call.client, forget_at, out);
    }
}
