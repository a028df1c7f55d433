//! The calls of this process that have not ended.
//!
//! Invariant: each is kept as it was asked until it has ended, so that the next daemon can be asked what
//! the last one has not seen.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use crate::clock;
use crate::ipc::{CallError, SiteError, after};
use crate::local::message::Up;
use crate::local::parts::long_bytes;
use crate::protocol::{Call, Flags, NotExecuted, SendError, Table, Time, Unknown};
use crate::site::desk::End;

/// How much longer than its patience a call may take to end, by the daemon's word: a daemon that is
/// stopped says nothing. One that is to be known for certain may take until nothing is heard of the
/// server for ten heartbeats.
const GRACE: Duration = Duration::from_secs(2);
const GRACE_CERTAIN: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub(super) struct Calls {
    /// How long a call of unlimited patience waits for a daemon, as it would for a server (R2).
    accept_max: Duration,
    open: Table<Call, Asked>,
    /// When each is ended from here.
    due: BTreeSet<(Time, Call)>,
    /// How many bytes count of the long ones that the daemon is asked for, and may at most.
    long_bytes: usize,
    long_bytes_max: usize,
    /// Those that wait until there are fewer.
    held: VecDeque<Call>,
    last: u64,
    /// An ordered call was lost: a copy of it may still come to its server. Those behind it would leave
    /// by a new life, whose order nobody compares with its.
    order_lost: bool,
}

#[derive(Debug)]
struct Asked {
    up: Up,
    body: Bytes,
    flags: Flags,
    /// When the patience ends; `None` is never.
    ends: Option<Time>,
    /// Until when a call of unlimited patience waits for a daemon.
    waits_until: Option<Time>,
    /// The message of this attachment that asks for it; `None` if none does.
    sent: Option<u64>,
    cancelled: bool,
    /// An earlier daemon may have had it run.
    again: bool,
}

impl Asked {
    fn due(&self) -> Option<Time> {
        match (self.sent, self.flags.has(Flags::CERTAIN)) {
            (None, _) => self.ends.or(self.waits_until),
            (Some(_), false) => self.ends?.checked_add(GRACE),
            (Some(_), true) => self.ends?.checked_add(GRACE_CERTAIN),
        }
    }

    /// How many bytes count of it, if a daemon is asked for it.
    fn long_bytes(&self) -> usize {
        if self.sent.is_some() { long_bytes(&self.body) } else { 0 }
    }

    fn not_executed(&self, why: impl Into<CallError>) -> End {
        // What may have run once cannot be said not to have run.
        if self.again { Err(CallError::Site(SiteError::Restarted)) } else { Err(why.into()) }
    }
}

impl Calls {
    pub(super) fn new(accept_max: Duration) -> Calls {
        Calls {
            accept_max,
            open: Table::default(),
            due: BTreeSet::new(),
            long_bytes: 0,
            long_bytes_max: 0,
            held: VecDeque::new(),
            last: 0,
            order_lost: false,
        }
    }

    /// There is a daemon, which takes so many bytes of long ones at once, and one in any case.
    pub(super) fn allow(&mut self, long_bytes_max: u64) {
        self.long_bytes_max = usize::try_from(long_bytes_max).unwrap_or(usize::MAX);
    }

    /// Names the next one.
    pub(super) fn name(&mut self) -> Call {
        self.last += 1;
        Call(self.last)
    }

    pub(super) fn asked(
        &mut self,
        call: Call,
        up: Up,
        body: Bytes,
        flags: Flags,
        ends: Option<Time>,
        sent: Option<u64>,
    ) {
        let unlimited = matches!(up, Up::Ask { patience_ends: None, .. });
        let waits_until = if unlimited { after(self.accept_max) } else { None };
        let (cancelled, again) = (false, false);
        let asked = Asked { up, body, flags, ends, waits_until, sent, cancelled, again };
        self.due.extend(asked.due().map(|due| (due, call)));
        self.long_bytes += asked.long_bytes();
        self.open.insert(call, asked);
    }

    /// Whether the daemon may be asked for one more. If not, it is held back, and its patience may end
    /// at home; and ordered ones stay behind it.
    pub(super) fn may_say(&self, body: &Bytes, flags: Flags) -> bool {
        let bytes = long_bytes(body);
        let passes = bytes == 0 && !flags.has(Flags::ORDERED);
        passes || (self.held.is_empty() && self.fits(bytes))
    }

    pub(super) fn hold(&mut self, call: Call) {
        self.held.push_back(call);
    }

    /// One that was held back, and may be asked for now.
    pub(super) fn next_held(&mut self) -> Option<(Call, Up, Bytes)> {
        while let Some(call) = self.held.front().copied() {
            let next = match self.open.get(&call) {
                Some(asked) if !self.fits(long_bytes(&asked.body)) => return None,
                Some(asked) => Some((call, asked.up.clone(), asked.body.clone())),
                None => None,
            };
            self.held.pop_front();
            if next.is_some() {
                return next;
            }
        }
        None
    }

    fn fits(&self, bytes: usize) -> bool {
        bytes == 0 || self.long_bytes == 0 || self.long_bytes + bytes <= self.long_bytes_max
    }

    /// The message that asks for it from now on; `None` if none does.
    pub(super) fn said(&mut self, call: Call, sent: Option<u64>) {
        self.change(call, |asked| asked.sent = sent);
    }

    /// The message that asks for it.
    pub(super) fn sent(&self, call: Call) -> Option<u64> {
        self.open.get(&call)?.sent
    }

    /// Changes what is known of a call, and with it when it is due.
    fn change(&mut self, call: Call, change: impl FnOnce(&mut Asked)) {
        let Some(asked) = self.open.get_mut(&call) else { return };
        let (before, bytes) = (asked.due(), asked.long_bytes());
        change(asked);
        self.long_bytes = self.long_bytes - bytes + asked.long_bytes();
        let due = asked.due();
        if let Some(before) = before {
            self.due.remove(&(before, call));
        }
        self.due.extend(due.map(|due| (due, call)));
    }

    /// The daemon says that it has ended so; `None` if it had ended.
    pub(super) fn ended(&mut self, call: Call, end: End) -> Option<End> {
        let asked = self.remove(call)?;
        Some(match end {
            Err(CallError::NotExecuted(_) | CallError::NotSent(_)) if asked.again => {
                Err(CallError::Site(SiteError::Restarted))
            }
            end => end,
        })
    }

    /// The daemon ends it because it stops. Unless somebody called it off, the next one is asked for
    /// what did not run, or may run more than once; `None` then, and if it had ended.
    pub(super) fn stopped(&mut self, call: Call, end: End) -> Option<End> {
        let asked = self.open.get_mut(&call)?;
        let ran = match end {
            Err(CallError::Unknown(Unknown::Cancelled)) if !asked.cancelled => true,
            Err(CallError::NotExecuted(NotExecuted::Cancelled)) if !asked.cancelled => false,
            end => return self.ended(call, end),
        };
        self.order_lost |= ran && asked.flags.has(Flags::ORDERED);
        if ran && !asked.flags.has(Flags::IDEMPOTENT) {
            self.remove(call);
            return Some(Err(CallError::Site(SiteError::Restarted)));
        }
        self.change(call, |asked| {
            asked.again |= ran;
            asked.sent = None;
        });
        None
    }

    /// `Some` if it ends at once: no daemon has been asked for it.
    pub(super) fn cancel(&mut self, call: Call) -> Option<End> {
        let asked = self.open.get_mut(&call)?;
        if asked.sent.is_some() {
            self.change(call, |asked| {
                asked.cancelled = true;
                // A daemon that is stopped says nothing.
                let now = clock::running();
                asked.ends = Some(asked.ends.map_or(now, |ends| ends.min(now)));
            });
            return None;
        }
        let end = asked.not_executed(NotExecuted::Cancelled);
        self.remove(call);
        Some(end)
    }

    /// The daemon is gone, and has never acted on these messages: ends what it may have acted on.
    pub(super) fn lose(&mut self, untaken: &HashSet<u64>) -> Vec<(Call, End)> {
        let mut ends = Vec::new();
        for call in self.names() {
            let Some(asked) = self.open.get_mut(&call) else { continue };
            let seen = asked.sent.take().is_some_and(|sent| !untaken.contains(&sent));
            let again = asked.flags.has(Flags::IDEMPOTENT);
            asked.again |= seen;
            self.order_lost |= seen && asked.flags.has(Flags::ORDERED);
            let is_behind = self.order_lost && !asked.again && asked.flags.has(Flags::ORDERED);
            if seen && asked.waits_until.is_some() {
                asked.waits_until = after(self.accept_max);
            }
            let end = match asked.cancelled {
                true if seen => Err(Unknown::Cancelled.into()),
                true => asked.not_executed(NotExecuted::Cancelled),
                false if seen && !again => Err(CallError::Site(SiteError::Restarted)),
                false if is_behind => Err(CallError::NotSent(SiteError::Restarted.into())),
                false => continue,
            };
            ends.push((call, end));
        }
        self.order_lost = false;
        self.held.clear();
        self.long_bytes = 0;
        ends.iter().for_each(|(call, _)| drop(self.open.remove(call)));
        self.plan();
        ends
    }

    /// Asks a new daemon for all that wait, in the order in which they were asked for; ends those that
    /// are longer than it takes.
    pub(super) fn resume(
        &mut self,
        longest: usize,
        mut say: impl FnMut(&Up, Bytes) -> Option<u64>,
    ) -> Vec<(Call, End)> {
        let mut ends = Vec::new();
        for call in self.names() {
            let Some(asked) = self.open.get(&call) else { continue };
            if asked.body.len() > longest {
                let too_long = CallError::NotSent(SendError::TooLong.into());
                ends.push((call, asked.not_executed(too_long)));
                self.remove(call);
            } else if self.may_say(&asked.body, asked.flags) {
                let sent = say(&asked.up, asked.body.clone());
                self.said(call, sent);
            } else {
                self.hold(call);
            }
        }
        ends
    }

    /// Those that are overdue.
    pub(super) fn overdue(&self, now: Time) -> Vec<Call> {
        self.due.iter().take_while(|(due, _)| *due <= now).map(|(_, call)| *call).collect()
    }

    /// Ends those that are overdue.
    pub(super) fn expire(&mut self, now: Time) -> Vec<(Call, End)> {
        let mut ends = Vec::new();
        while let Some((due, call)) = self.due.first().copied().filter(|(due, _)| *due <= now) {
            self.due.remove(&(due, call));
            if let Some(asked) = self.remove(call) {
                let end = match asked.sent {
                    Some(_) if asked.cancelled => Err(Unknown::Cancelled.into()),
                    Some(_) => Err(Unknown::TimedOut.into()),
                    None => asked.not_executed(NotExecuted::NeverSent),
                };
                ends.push((call, end));
            }
        }
        ends
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.due.first().map(|(due, _)| *due)
    }

    fn remove(&mut self, call: Call) -> Option<Asked> {
        let asked = self.open.remove(&call)?;
        self.long_bytes -= asked.long_bytes();
        if let Some(due) = asked.due() {
            self.due.remove(&(due, call));
        }
        Some(asked)
    }

    fn plan(&mut self) {
        let due = self.open.iter().filter_map(|(call, asked)| Some((asked.due()?, *call)));
        self.due = due.collect();
    }

    fn names(&self) -> Vec<Call> {
        let mut names: Vec<Call> = self.open.keys().copied().collect();
        names.sort_unstable();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{IpcPort, Target};

    const ACCEPT_MAX: Duration = Duration::from_secs(60);

    fn ask(calls: &mut Calls, flags: Flags, sent: Option<u64>) -> Call {
        let call = calls.name();
        let target = Target::Port(IpcPort::site_at("127.0.0.1:1".parse().unwrap()));
        let (patience_ends, max_reply) = (None, 100);
        let up = Up::Ask { call: call.0, target, flags, patience_ends, max_reply };
        calls.asked(call, up, Bytes::new(), flags, None, sent);
        call
    }

    /// A call of unlimited patience ends, too, where there is no daemon (R2); one that may have run
    /// before does not end as if it had not.
    #[test]
    fn no_call_waits_for_a_daemon_without_end() {
        let mut calls = Calls::new(ACCEPT_MAX);
        let call = ask(&mut calls, Flags::NONE, None);
        let due = calls.deadline().unwrap();
        assert_eq!(calls.expire(due - Duration::from_secs(1)), []);
        assert_eq!(calls.expire(due), [(call, Err(NotExecuted::NeverSent.into()))]);

        let call = ask(&mut calls, Flags::IDEMPOTENT, Some(1));
        assert_eq!(calls.deadline(), None, "a daemon has it");
        assert_eq!(calls.lose(&HashSet::new()), []);
        let due = calls.deadline().unwrap();
        assert_eq!(calls.expire(due), [(call, Err(CallError::Site(SiteError::Restarted)))]);
    }

    /// An ordered call was lost with its daemon: those behind it are not sent, for it could still come
    /// to its server after them (R33). Others are.
    #[test]
    fn nothing_overtakes_an_ordered_call_that_was_lost() {
        let mut calls = Calls::new(ACCEPT_MAX);
        let seen = ask(&mut calls, Flags::ORDERED, Some(1));
        let behind = ask(&mut calls, Flags::ORDERED, Some(2));
        let _other = ask(&mut calls, Flags::NONE, Some(3));
        let restarted = CallError::Site(SiteError::Restarted);
        let not_sent = CallError::NotSent(SiteError::Restarted.into());
        let untaken = HashSet::from([2, 3]);
        assert_eq!(calls.lose(&untaken), [(seen, Err(restarted)), (behind, Err(not_sent))]);
        assert_eq!(calls.lose(&untaken), []);
    }

    /// A call that is called off ends, also if the daemon is stopped and says nothing.
    #[test]
    fn what_is_called_off_ends() {
        let mut calls = Calls::new(ACCEPT_MAX);
        let call = ask(&mut calls, Flags::NONE, Some(1));
        assert_eq!((calls.cancel(call), calls.deadline().is_some()), (None, true));
        let due = calls.deadline().unwrap();
        assert_eq!(calls.expire(due), [(call, Err(Unknown::Cancelled.into()))]);
    }
}
