//! What really became of each call, and whether that is what was promised.
//!
//! Invariant: it is told everything at the moment when it happens, and knows nothing of the core but
//! what it hands out.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use unavez::protocol::{
    Call, CallId, Config, Epoch, Flags, Kind, Now, Outcome, Packet, ProcessId, ServerId, Time,
    Unknown,
};

use crate::scenario::{CallPlan, Demands};

/// A broken promise, in one sentence.
pub(crate) type Breach = String;

pub(crate) struct Ledger {
    config: Config,
    demands: Demands,
    plans: Vec<CallPlan>,
    entries: Vec<Entry>,
    /// The calls that a site owes an end, by site.
    open: BTreeMap<(usize, Call), usize>,
    issued: usize,
    /// Counts what happened, to tell what came first.
    moment: u64,
    /// Whose request travels under which name.
    wire: BTreeMap<CallId, usize>,
    /// How often a request was sent to a life of a server.
    copies: BTreeMap<(CallId, Epoch), u32>,
    /// The last ordered call handed over, by caller, server, and where its name was asked for.
    order: BTreeMap<Chain, (usize, u64)>,
}

/// A site, a process of it, whom it asks, and where it asked for the name.
type Chain = (usize, ProcessId, ServerId, Option<SocketAddr>);

#[derive(Default)]
struct Entry {
    issued: Option<Issued>,
    handed: u32,
    ended: Option<Outcome>,
    /// When it ended, and when it was first sent under the name that it ran by.
    ended_at: u64,
    named_at: u64,
    /// WORKING was said of it.
    working: bool,
    /// It was answered that there is no room, or that it was never seen.
    put_off: bool,
}

#[derive(Clone, Copy)]
struct Issued {
    order: usize,
    process: ProcessId,
    at: Now,
    stalled: Time,
    /// The port it was for, or where its name was asked for.
    to: Result<ServerId, SocketAddr>,
}

impl Ledger {
    pub(crate) fn new(config: Config, demands: Demands, plans: &[CallPlan]) -> Ledger {
        Ledger {
            config,
            demands,
            plans: plans.to_vec(),
            entries: plans.iter().map(|_| Entry::default()).collect(),
            open: BTreeMap::new(),
            issued: 0,
            moment: 0,
            wire: BTreeMap::new(),
            copies: BTreeMap::new(),
            order: BTreeMap::new(),
        }
    }

    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    /// What a call is called at its site, while it is open.
    pub(crate) fn call(&self, n: usize) -> Option<Call> {
        self.open.iter().find(|(_, it)| **it == n).map(|((_, call), _)| *call)
    }

    pub(crate) fn issued(
        &mut self,
        n: usize,
        (host, call, process): (usize, Call, ProcessId),
        (at, stalled): (Now, Time),
        to: Result<ServerId, SocketAddr>,
    ) -> Result<(), Breach> {
        self.issued += 1;
        let order = self.issued;
        self.entries[n].issued = Some(Issued { order, process, at, stalled, to });
        match self.open.insert((host, call), n) {
            None => Ok(()),
            Some(other) => Err(format!("calls {other} and {n} have the same name")),
        }
    }

    /// A packet leaves.
    pub(crate) fn sent(&mut self, packet: &Packet, now: Now) -> Result<(), Breach> {
        let call = packet.call();
        match packet.kind {
            Kind::Request { .. } if packet.server.port.0 != 0 => {
                let n = parse(packet.whole().1, b"call ").ok_or("a request of no call")?;
                self.moment += 1;
                if self.wire.insert(call, n).is_none() {
                    self.entries[n].named_at = self.moment;
                }
                self.requested(n, call, packet, now)
            }
            // So is that a large reply begins.
            Kind::Reply { .. } if packet.whole().0 > packet.body.len() => {
                if let Some(n) = self.wire.get(&call) {
                    self.entries[*n].working = true;
                }
                Ok(())
            }
            // That more has come of a large request is as good as that it is at work.
            Kind::Working { .. } | Kind::Busy { .. } | Kind::NoCall | Kind::Credit { .. } => {
                if let Some(n) = self.wire.get(&call) {
                    let entry = &mut self.entries[*n];
                    let more = matches!(packet.kind, Kind::Working { .. } | Kind::Credit { .. });
                    entry.working |= more;
                    entry.put_off |= !matches!(packet.kind, Kind::Working { .. });
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn requested(
        &mut self,
        n: usize,
        call: CallId,
        packet: &Packet,
        now: Now,
    ) -> Result<(), Breach> {
        let issued = self.entries[n].issued.ok_or_else(|| format!("call {n} was never made"))?;
        // R14: after a sleep longer than the patience nothing is sent.
        let waited = now.boot - issued.at.boot;
        if self.plans[n].patience.is_some_and(|patience| waited > patience) {
            return Err(format!("call {n} is sent {waited:?} after it was made (R14)"));
        }
        // R11 and R36: the schedule, and one more for the first CHALLENGE.
        let copies = self.copies.entry((call, packet.server.epoch)).or_default();
        *copies += 1;
        let idempotent = self.plans[n].flags.has(Flags::IDEMPOTENT);
        if *copies > self.config.retransmits_max + 2 && !self.entries[n].put_off && !idempotent {
            return Err(format!("call {n} is sent {copies} times (R11)"));
        }
        Ok(())
    }

    /// A service takes a request; says how often it ran with this.
    pub(crate) fn handed(
        &mut self,
        (call, body): (CallId, &[u8]),
        (host, service, server): (usize, usize, ServerId),
    ) -> Result<(usize, u32), Breach> {
        let n = parse(body, b"call ").ok_or("a request of no call is handed over")?;
        let (plan, entry) = (&self.plans[n], &mut self.entries[n]);
        let issued = entry.issued.ok_or_else(|| format!("call {n} runs and was never made"))?;
        if self.wire.get(&call) != Some(&n) || body.len() < plan.size || !is_right(body) {
            return Err(format!("call {n} runs under another's name"));
        }
        // A name is asked of whichever site is at the address by then.
        let right = match issued.to {
            Ok(it) => it == server && plan.to == (host, service),
            Err(_) => plan.to.1 == service,
        };
        if !right {
            return Err(format!("call {n} runs at another server"));
        }
        entry.handed += 1;
        let idempotent = plan.flags.has(Flags::IDEMPOTENT);
        if entry.handed > 1 && !idempotent {
            return Err(format!("call {n} runs {} times (R1)", entry.handed));
        }
        if let Some(Outcome::NotExecuted(why)) = entry.ended {
            return Err(format!("call {n} runs after \"{why}\" (R3)"));
        }
        if plan.flags.has(Flags::ORDERED) && !idempotent {
            let key = (plan.from.0, issued.process, server, issued.to.err());
            let last = self.order.entry(key).or_default();
            // One that had ended when the later one was sent may still wait at a server that nothing more
            // was told by its port.
            let over = entry.ended.is_some() && entry.ended_at < last.1;
            if issued.order < last.0 && !over {
                return Err(format!("call {n} runs after a later one (R33)"));
            }
            *last = (*last).max((issued.order, entry.named_at));
        }
        Ok((n, entry.handed))
    }

    /// A call ends.
    pub(crate) fn ended(
        &mut self,
        (host, call, process): (usize, Call, ProcessId),
        outcome: &Outcome,
        (now, stalled): (Now, Time),
    ) -> Result<usize, Breach> {
        self.moment += 1;
        let n = self.open.remove(&(host, call)).ok_or("a call ends that is not open (R2)")?;
        let (plan, entry) = (&self.plans[n], &mut self.entries[n]);
        let issued = entry.issued.ok_or("it was issued: it is open")?;
        if issued.process != process {
            return Err(format!("call {n} ends at another process"));
        }
        entry.ended = Some(outcome.clone());
        entry.ended_at = self.moment;
        let handed = entry.handed;
        let took = (now.running - issued.at.running).saturating_sub(stalled - issued.stalled);
        match outcome {
            Outcome::Reply(body) => {
                let idempotent = plan.flags.has(Flags::IDEMPOTENT);
                if parse(body, b"answer ") != Some(n) || body.len() < plan.reply || !is_right(body)
                {
                    return Err(format!("call {n} gets another's reply"));
                }
                if handed != 1 && !(idempotent && handed > 1) {
                    return Err(format!("call {n} is replied and ran {handed} times"));
                }
                if body.len() > plan.max_reply as usize {
                    return Err(format!("call {n} gets a reply of {} bytes (R32)", body.len()));
                }
            }
            Outcome::NotExecuted(why) if handed > 0 => {
                return Err(format!("call {n} ran, and ends with \"{why}\" (R3)"));
            }
            Outcome::Unknown(Unknown::ReplyTooBig) if handed == 0 => {
                return Err(format!("call {n} has too long a reply and did not run (R32)"));
            }
            // It may be that none of its copies came, or bore a good token, for as long as a client is
            // remembered without (R35).
            Outcome::Unknown(Unknown::Forgotten)
                if self.demands.remembered && took < self.config.evict_after() / 2 =>
            {
                return Err(format!("call {n} is forgotten, its client never stood still (R23)"));
            }
            _ => {}
        }
        if self.demands.replies && !matches!(outcome, Outcome::Reply(_)) {
            return Err(format!("call {n} ends without a reply: {outcome:?}"));
        }
        // R2, as far as its own clocks ran.
        let period = self.config.backoff_max.max(self.config.heartbeat_every) * 3 / 2;
        let limit = match plan.patience {
            Some(patience) => patience + period,
            None if !entry.working => self.config.accept_max + period,
            None => Duration::MAX,
        };
        if took > limit {
            return Err(format!("call {n} ends after {took:?} (R2)"));
        }
        Ok(n)
    }

    /// A site crashed: it owes nothing any more.
    pub(crate) fn crashed(&mut self, host: usize) {
        self.open.retain(|(it, _), _| *it != host);
    }

    /// A process died: nobody is owed the end of its calls.
    pub(crate) fn left(&mut self, host: usize, process: ProcessId) {
        let entries = &self.entries;
        let its = |n: usize| entries[n].issued.is_some_and(|issued| issued.process == process);
        self.open.retain(|(it, _), n| *it != host || !its(*n));
    }

    /// What a call is to answer.
    pub(crate) fn plan(&self, n: usize) -> &CallPlan {
        &self.plans[n]
    }

    /// Nothing will happen any more.
    pub(crate) fn finish(&self) -> Result<(), Breach> {
        match self.open.values().next() {
            Some(n) => Err(format!("call {n} never ends (R2)")),
            None => Ok(()),
        }
    }
}

/// These words, and as many bytes behind them as are wanted, no two pieces alike.
pub(crate) fn filled(words: String, len: usize) -> Vec<u8> {
    let mut body = words.into_bytes();
    let began = body.len();
    let seed = body.iter().fold(0, |seed: u32, byte| seed.wrapping_mul(31) + u32::from(*byte));
    let byte = |i: usize| ((seed ^ i as u32).wrapping_mul(0x9e37_79b1) >> 24) as u8 | 0x80;
    body.extend((began..len).map(byte));
    body
}

/// Whether a body is what was made of its words.
fn is_right(body: &[u8]) -> bool {
    let words = body.iter().take_while(|byte| byte.is_ascii()).copied().collect();
    String::from_utf8(words).is_ok_and(|words| filled(words, body.len()) == body)
}

/// The number behind this word.
pub(crate) fn parse(body: &[u8], word: &[u8]) -> Option<usize> {
    let digits = body.strip_prefix(word)?;
    let end = digits.iter().position(|it| !it.is_ascii_digit()).unwrap_or(digits.len());
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}
