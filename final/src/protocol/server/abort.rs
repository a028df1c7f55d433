//! ABORT: stop it, and say what became of it (R37, R38).

use super::super::broken::Broken;
use super::super::effects::Effects;
use super::super::fragments::{Half, tag};
use super::super::kind::{Fate, Flags, Kind, Reason};
use super::super::note::Note;
use super::super::tombstone::{Standing, State};
use super::super::wire::BODY_MAX;
use super::{Came, Server};

impl Server {
    pub(super) fn handle_abort(&mut self, came: Came, floor: u64, out: &mut Effects) {
        let call = came.packet.call();
        let known = self.hear(came, floor, out);
        self.drop_half_built(call, out);
        let fate = match self.standing(call) {
            Standing::Recorded => return self.abort_recorded(came, out),
            Standing::Forgotten | Standing::Beyond => Fate::Maybe,
            Standing::New => self.abort_unseen(came, known, floor, out),
        };
        self.answer_packet(came.from, came.packet, Kind::Aborted { fate }, out);
    }

    fn abort_recorded(&mut self, came: Came, out: &mut Effects) {
        let call = came.packet.call();
        let unmarked = self.config.is_broken(Broken::QueuedUntilDone);
        let Some(record) = self.record(call) else { return };
        let idempotent = record.is_idempotent();
        match record.state {
            State::Queued(_) | State::Ordered(_) => {
                out.note(Note::Aborted);
                self.mark(call, Reason::Aborted, out);
                // An earlier copy may have run and been forgotten (R34).
                let proves = !idempotent || self.config.is_broken(Broken::IdempotentProves);
                let fate = if proves { Fate::NotRun } else { Fate::Maybe };
                self.answer_packet(came.from, came.packet, Kind::Aborted { fate }, out);
            }
            State::Serving { .. } if unmarked => {
                self.mark(call, Reason::Aborted, out);
                let kind = Kind::Aborted { fate: Fate::NotRun };
                self.answer_packet(came.from, came.packet, kind, out);
            }
            State::Serving { .. } => {
                self.cancel_service(call, Note::Stopping, out);
                let kind = Kind::Aborted { fate: Fate::Stopping };
                self.answer_packet(came.from, came.packet, kind, out);
            }
            State::Done(_) => {
                // Nobody waits for the rest of a large reply any more.
                out.forget_message(tag(call, came.packet.server, Half::Reply));
                self.answer_asked(came, out);
            }
        }
    }

    /// It may overtake its request, so the request is refused when it comes. Where nothing can be kept
    /// of it, nothing is proved.
    fn abort_unseen(&mut self, came: Came, known: bool, floor: u64, out: &mut Effects) -> Fate {
        let call = came.packet.call();
        let stranger = !known
            && ((self.evicted.has(&call.client)
                && !self.config.is_broken(Broken::AbortOfEvictedProves))
                || !self.takes_stranger(came, out));
        let challenged = !came.valid && self.must_show_a_token(known);
        let idempotent = came.packet.flags.has(Flags::IDEMPOTENT);
        if idempotent || stranger || challenged || !self.fits(call, floor, BODY_MAX) {
            return Fate::Maybe;
        }
        if !known {
            self.remember(came, floor, out);
        }
        if !self.config.is_broken(Broken::AbortLeavesNoMark) {
            self.insert_mark(came, out);
        }
        out.note(Note::Aborted);
        Fate::NotRun
    }
}
