//! Large requests, joined from their fragments (R40–R43).
//!
//! Invariant: what is half built is not seen: nothing is recorded of it, nothing is said of it but what
//! has come. When it is whole and right it is handled as if it had come in one packet.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;

use super::super::broken::Broken;
use super::super::effects::Effects;
use super::super::fragments::{
    Building, DATAGRAM_LARGEST, Fragment, Half, RANGES_LEN, Whole, fits_first_window, tag,
};
use super::super::ids::{CallId, ClientId};
use super::super::kind::{Flags, Kind};
use super::super::note::Note;
use super::super::site::Time;
use super::super::timers::Timer;
use super::super::tombstone::Standing;
use super::super::wire::{BODY_MAX, Packet, UNLIMITED};
use super::{Came, Server};

/// What a request that is half built takes besides its own bytes, at most: it stands in a tree and is found
/// by its tag and its timer; it keeps its newest first packet, and which ranges have come.
pub(crate) const HALF_BUILT_LEN: usize = 2 * size_of::<HalfBuilt>() + BODY_MAX + RANGES_LEN + 768;

/// A large request of which not all has come, or for which there was no room when it had.
#[derive(Debug)]
pub(super) struct HalfBuilt {
    /// Its newest first packet, where that came from, and when.
    packet: Packet,
    from: SocketAddr,
    since: Time,
    /// Where it is counted.
    ip: IpAddr,
    /// How much memory it is counted with.
    takes: usize,
    body: Body,
    /// When something of it came last.
    heard: Time,
}

#[derive(Debug)]
enum Body {
    Building(Building),
    Whole(Bytes),
}

impl Server {
    /// The first packet of a large request that is new and for which there is room in the tables.
    pub(super) fn build(&mut self, came: Came, out: &mut Effects) {
        let Some((whole, first)) = Whole::of(&came.packet.body) else { return };
        let call = came.packet.call();
        let again = self.half_built.contains_key(&call);
        if !again && !self.begin_building(came, whole, first, out) {
            out.note(Note::Busy);
            let after = self.config.busy_after.as_millis() as u32;
            return self.answer_packet(came.from, came.packet, Kind::Busy { after }, out);
        }
        let Some(it) = self.half_built.get_mut(&call) else { return };
        it.heard = out.now.running;
        if came.packet.attempt > it.packet.attempt {
            (it.packet, it.from, it.since) = (came.packet.clone(), came.from, came.since);
        }
        let stalled = again || came.packet.attempt > 1;
        match it.body {
            // A client that shows a token sends the first window at once, and asks with its last.
            Body::Building(_) if !stalled => {}
            Body::Building(_) => self.send_credit(call, came.packet.attempt, true, out),
            Body::Whole(_) => self.finish_building(call, out),
        }
    }

    /// `false` if too much is half built already (R43).
    fn begin_building(
        &mut self,
        came: Came,
        whole: Whole,
        first: &[u8],
        out: &mut Effects,
    ) -> bool {
        let (call, ip, len) = (came.packet.call(), came.from.ip(), whole.len);
        let takes = len as usize + HALF_BUILT_LEN;
        let from_there = self.building_per_address.get(&ip).copied().unwrap_or(0);
        if self.building_bytes + takes > self.config.building_max
            || from_there + takes > self.config.building_per_address_max
        {
            return false;
        }
        let mut building = Building::new(out.draw() as u32, len);
        building.insert(0, first);
        let Came { from, packet, since, .. } = came;
        let (packet, heard) = (packet.clone(), out.now.running);
        let body = Body::Building(building);
        self.keep(call, HalfBuilt { packet, from, since, ip, takes, body, heard }, out);
        true
    }

    /// A piece of a request, if it is one. `false` if none is awaited under this name.
    pub(crate) fn handle_fragment(
        &mut self,
        fragment: &Fragment<&[u8]>,
        out: &mut Effects,
    ) -> bool {
        let Some(call) = self.built_tags.get(&fragment.tag).copied() else { return false };
        let Some(it) = self.half_built.get_mut(&call) else { return false };
        let (complete, len) = match &mut it.body {
            Body::Building(building) => {
                // What had come before does not keep it.
                if building.take(fragment) {
                    it.heard = out.now.running;
                }
                (building.is_complete(&self.config), building.len())
            }
            Body::Whole(_) => return true,
        };
        if complete && !fits_first_window(len) || !complete && fragment.asks {
            self.send_credit(call, 0, false, out);
        }
        if complete {
            self.finish_building(call, out);
        }
        true
    }

    /// What has come of it, to where its first packet came from.
    fn send_credit(&mut self, call: CallId, attempt: u32, stalled: bool, out: &mut Effects) {
        let share = self.config.credit_max / self.half_built.len().max(1);
        // None goes on byte by byte.
        let further = share.max(DATAGRAM_LARGEST);
        let Some(it) = self.half_built.get_mut(&call) else { return };
        let Body::Building(building) = &mut it.body else { return };
        let (credit, body) = building.credit(further, out.room, stalled);
        let (client, server, seq) = (call.client, it.packet.server, call.seq);
        let (flags, kind) = (Flags::NONE, Kind::Credit { credit });
        out.send(it.from, Packet { flags, attempt, client, server, seq, kind, body });
    }

    /// All has come: from here on it is a request like others. If there is no room for it, it stays as it
    /// is until its client asks again.
    fn finish_building(&mut self, call: CallId, out: &mut Effects) {
        let Some(mut it) = self.drop_half_built(call, out) else { return };
        let whole = match it.body {
            Body::Whole(body) => body,
            Body::Building(building) => match building.finish(&self.config) {
                Some(body) => body,
                None => return self.build_anew(it.packet, it.from, it.since, out),
            },
        };
        let flags = Flags(it.packet.flags.0 & !Flags::BEGINS.0);
        let packet = Packet { flags, body: whole.clone(), ..it.packet.clone() };
        let (from, since) = (it.from, it.since);
        self.handle_request(Came { from, packet: &packet, valid: true, since }, out);
        if matches!(self.standing(call), Standing::New | Standing::Beyond) {
            it.body = Body::Whole(whole);
            self.keep(call, it, out);
        }
    }

    /// It is not what was sent.
    fn build_anew(&mut self, packet: Packet, from: SocketAddr, since: Time, out: &mut Effects) {
        out.note(Note::WrongWhole);
        self.build(Came { from, packet: &packet, valid: true, since }, out);
    }

    fn keep(&mut self, call: CallId, it: HalfBuilt, out: &mut Effects) {
        self.building_bytes += it.takes;
        *self.building_per_address.entry(it.ip).or_default() += it.takes;
        self.built_tags.insert(tag(call, it.packet.server, Half::Request), call);
        self.half_built.insert(call, it);
        self.handle_half_built(call, out);
    }

    /// It ends, or is dropped: nothing was recorded of it, so nothing is lost.
    pub(super) fn drop_half_built(&mut self, call: CallId, out: &mut Effects) -> Option<HalfBuilt> {
        let it = self.half_built.remove(&call)?;
        out.timers.cancel(Timer::HalfBuilt(call));
        self.built_tags.remove(&tag(call, it.packet.server, Half::Request));
        self.building_bytes -= it.takes;
        if let Some(bytes) = self.building_per_address.get_mut(&it.ip) {
            *bytes -= it.takes;
            if *bytes == 0 {
                self.building_per_address.remove(&it.ip);
            }
        }
        Some(it)
    }

    /// Those below the floor have ended at their client.
    pub(super) fn drop_half_built_below(
        &mut self,
        client: ClientId,
        floor: u64,
        out: &mut Effects,
    ) {
        let (from, to) = (CallId { client, seq: 0 }, CallId { client, seq: floor });
        while let Some((call, _)) = self.half_built.range(from..to).next() {
            let call = *call;
            self.drop_half_built(call, out);
        }
    }

    /// Nobody waits for it any more, or nothing of it has come for long (R43); else it is looked at again
    /// when one of these may be so.
    pub(crate) fn handle_half_built(&mut self, call: CallId, out: &mut Effects) {
        let Some(it) = self.half_built.get(&call) else { return };
        let Kind::Request { patience, .. } = it.packet.kind else { return };
        let patience = (patience != UNLIMITED).then(|| Duration::from_millis(u64::from(patience)));
        let ends = patience.map_or(Time::MAX, |patience| it.since + patience);
        let at = ends.min(it.heard + self.config.orphan_after());
        if at > out.now.running {
            return out.timers.arm(Timer::HalfBuilt(call), at);
        }
        if self.config.is_broken(Broken::HalfBuiltKept) {
            return;
        }
        out.note(Note::HalfBuilt);
        self.drop_half_built(call, out);
    }

    /// How many requests are half built.
    pub(crate) fn building(&self) -> usize {
        self.half_built.len()
    }
}
