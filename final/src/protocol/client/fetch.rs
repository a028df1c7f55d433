//! Large messages of a call: the rest of its request, and its reply in pieces (R40–R42).
//!
//! Invariant: what is sent and what is built of a call goes with the name that the call has on the wire.

use super::super::effects::Effects;
use super::super::fragments::{
    Building, DATAGRAM_LARGEST, Fragment, Half, Ranges, Whole, fits_first_window, is_large, tag,
};
use super::super::ids::CallId;
use super::super::kind::{Credit, Kind};
use super::super::note::Note;
use super::super::outcome::{Outcome, Unknown};
use super::super::site::Call;
use super::super::wire::Packet;
use super::{Client, Stage};

impl Client {
    /// How its messages are called in their fragments.
    fn tag(&self, call: Call, half: Half) -> Option<u64> {
        let open = self.calls.get(&call)?;
        let it = open.stage.on_the_wire()?;
        let name = CallId { client: self.me(it.port), seq: it.seq };
        Some(tag(name, open.to.server, half))
    }

    // ---- the request

    /// What follows the first packet of its request.
    pub(super) fn send_rest(&mut self, call: Call, out: &mut Effects) {
        let Some(tag) = self.tag(call, Half::Request) else { return };
        let Some(open) = self.calls.get(&call) else { return };
        out.send_rest(tag, open.to.address, &open.body);
    }

    /// The server says what it has of the request: an answer, and if it has more than before, a reason
    /// to go on for as long again (R2).
    pub(super) fn handle_credit(
        &mut self,
        call: Call,
        credit: Credit,
        have: &[u8],
        out: &mut Effects,
    ) {
        let Some(open) = self.calls.get(&call) else { return };
        let Stage::Sent(_) = open.stage else { return };
        let (to, body) = (open.to, open.body.clone());
        let Some(have) = Ranges::decode(have).filter(|_| is_large(&body)) else { return };
        let Some(tag) = self.tag(call, Half::Request) else { return };
        let peer = self.peer(&to).round_trip;
        let more = out.handle_credit(tag, to.address, &body, credit, have, peer);
        let peer = peer.timeout(&self.config);
        let path = out.outbound.path(to.address).map(|path| path.timeout(&self.config));
        let pause = path.map_or(peer, |path| path.max(peer));
        let due = out.now.running + out.jittered(pause);
        let Some(open) = self.calls.get_mut(&call) else { return };
        open.silent = 0;
        if more {
            open.began = out.now.running;
        }
        if let Stage::Sent(it) = &mut open.stage {
            it.due = due;
        }
        self.arm(call, due, out);
    }

    // ---- the reply

    /// The reply is a large one, and this is how it begins.
    pub(super) fn begin_fetching(&mut self, call: Call, packet: &Packet, out: &mut Effects) {
        let Some((whole, first)) = Whole::of(&packet.body) else { return };
        let Some(tag) = self.tag(call, Half::Reply) else { return };
        self.forget_request(call, out);
        let fetching = self.fetching_bytes + whole.len as usize;
        let Some(open) = self.calls.get_mut(&call) else { return };
        let it = match open.stage {
            // There is no room for it here (R43).
            Stage::Sent(_) | Stage::Working { .. } if fetching > self.config.fetching_max => {
                return self.end_unknown(call, Unknown::ReplyTooBig, out);
            }
            Stage::Sent(it) | Stage::Working { it, .. } => it,
            // Its first packet came again: the server does not know that it had come.
            Stage::Fetching { .. } => return self.send_fetch(call, true, out),
            // Nobody waits for all of it.
            Stage::Aborting { why, .. } => return self.end_unknown(call, why, out),
            Stage::Resolving | Stage::Home => return,
        };
        let mut building = Box::new(Building::new(out.draw() as u32, whole.len));
        building.insert(0, first);
        (open.silent, open.building) = (0, Some(building));
        self.fetching_bytes = fetching;
        open.stage = Stage::Fetching { it, heard: out.now.running, hastened: false };
        self.fetched.insert(tag, call);
        self.await_more(call, out);
        // It may hold its window for long (R9).
        self.leave_home_of(call, out);
    }

    /// A piece of a reply, if it is one. `false` if no call here waits for it.
    pub(crate) fn handle_fragment(
        &mut self,
        fragment: &Fragment<&[u8]>,
        out: &mut Effects,
    ) -> bool {
        let Some(call) = self.fetched.get(&fragment.tag).copied() else { return false };
        let Some(open) = self.calls.get_mut(&call) else { return false };
        let Some(building) = &mut open.building else { return false };
        open.silent = 0;
        if let Stage::Fetching { heard, .. } = &mut open.stage {
            *heard = out.now.running;
        }
        building.take(fragment);
        if building.is_complete(&self.config) {
            // For the server to know that it need not go on.
            if !fits_first_window(building.len()) {
                self.send_fetch(call, false, out);
            }
            self.finish_fetching(call, out);
        } else if fragment.asks {
            self.send_fetch(call, false, out);
        }
        true
    }

    fn finish_fetching(&mut self, call: Call, out: &mut Effects) {
        let Some(open) = self.calls.get_mut(&call) else { return };
        let Some(building) = open.building.take() else { return };
        let len = building.len();
        self.fetching_bytes -= len as usize;
        match building.finish(&self.config) {
            Some(body) => self.end(call, Outcome::Reply(body), out),
            None => {
                out.note(Note::WrongWhole);
                self.fetching_bytes += len as usize;
                open.building = Some(Box::new(Building::new(out.draw() as u32, len)));
                self.send_fetch(call, true, out);
            }
        }
    }

    /// Nothing has come for long.
    pub(super) fn fetch_again(&mut self, call: Call, out: &mut Effects) {
        let Some(open) = self.calls.get(&call) else { return };
        let Stage::Fetching { heard, .. } = open.stage else { return };
        let to = open.to;
        let round_trip = self.peer(&to).round_trip;
        let soon = heard + round_trip.timeout(&self.config);
        if soon > out.now.running {
            // It comes, and nothing of it has asked.
            return self.arm(call, soon, out);
        }
        let Some(open) = self.calls.get_mut(&call) else { return };
        open.silent += 1;
        out.note(Note::FetchedAgain);
        self.send_fetch(call, true, out);
    }

    /// Says what has come of the reply, and waits for more.
    pub(super) fn send_fetch(&mut self, call: Call, stalled: bool, out: &mut Effects) {
        let further = (self.config.credit_max / self.fetched.len().max(1)).max(DATAGRAM_LARGEST);
        let Some(open) = self.calls.get_mut(&call) else { return };
        let to = open.to;
        let on_the_wire = open.stage.on_the_wire().copied();
        let (Some(it), Some(building)) = (on_the_wire, &mut open.building) else { return };
        let (credit, body) = building.credit(further, out.room, stalled);
        let peer = *self.peer(&to);
        let kind = Kind::Fetch { floor: 0, token: peer.token, credit };
        let packet = self.about(call, &it, 0, kind);
        out.send(to.address, Packet { body, ..packet });
        self.use_port(it.port, out);
        self.await_more(call, out);
    }

    /// Asks again if nothing comes.
    fn await_more(&mut self, call: Call, out: &mut Effects) {
        let Some(open) = self.calls.get(&call) else { return };
        let (to, silent) = (open.to, open.silent);
        let round_trip = self.peer(&to).round_trip;
        let pause = round_trip.timeout(&self.config) * (1 << silent.min(16));
        let next = out.now.running + out.jittered(pause.min(self.config.heartbeat_every));
        self.arm(call, next, out);
    }

    // ---- both

    /// Nothing more is sent or built under the name that it has.
    pub(super) fn forget_messages(&mut self, call: Call, out: &mut Effects) {
        self.forget_request(call, out);
        if self.fetched.is_empty() {
            return;
        }
        if let Some(tag) = self.tag(call, Half::Reply) {
            self.fetched.remove(&tag);
        }
        let open = self.calls.get_mut(&call);
        if let Some(building) = open.and_then(|open| open.building.take()) {
            self.fetching_bytes -= building.len() as usize;
        }
    }

    fn forget_request(&mut self, call: Call, out: &mut Effects) {
        let large = self.calls.get(&call).is_some_and(|open| is_large(&open.body));
        if let Some(tag) = large.then(|| self.tag(call, Half::Request)).flatten() {
            out.forget_message(tag);
        }
    }
}
