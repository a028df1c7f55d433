//! What was promised, held against what the ledger says.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

/// How a call of the demo ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    Replied,
    /// A reply, but not to this call.
    WrongReply,
    NotExecuted,
    Unknown,
}

const ENDS: [(End, &str); 4] = [
    (End::Replied, "replied"),
    (End::WrongReply, "wrong reply"),
    (End::NotExecuted, "not executed"),
    (End::Unknown, "unknown"),
];

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (_, text) = ENDS.iter().find(|(end, _)| end == self).expect("all are listed");
        f.write_str(text)
    }
}

/// Reads a line of the client: which call, and how it ended.
pub(super) fn parse_end(line: &str) -> Option<(u64, End)> {
    let (number, text) = line.split_once(' ')?;
    let (end, _) = ENDS.iter().find(|(_, one)| *one == text)?;
    Some((number.parse().ok()?, *end))
}

/// What came of the calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Audit {
    /// Calls asked for.
    pub(super) calls: u64,
    pub(super) replies: u64,
    pub(super) not_executed: u64,
    pub(super) unknown: u64,
    /// Calls that ran.
    pub(super) executed: u64,
    /// Of the unknown calls, those that ran.
    pub(super) unknown_but_executed: u64,
    /// Broken: calls that ran more than once.
    pub(super) ran_twice: u64,
    /// Broken: calls with a reply that did not run, or with another call's.
    pub(super) false_replies: u64,
    /// Broken: calls said not to have run that did.
    pub(super) not_executed_but_ran: u64,
    /// Broken: calls without an end, or with two.
    pub(super) without_one_end: u64,
    /// Broken: runs that nobody asked for.
    pub(super) unasked: u64,
}

impl Audit {
    /// Holds how the calls, numbered from 1, ended against the numbers of those that ran.
    pub(super) fn new(calls: u64, ends: &[(u64, End)], runs: &[u64]) -> Audit {
        let mut times: BTreeMap<u64, u64> = BTreeMap::new();
        runs.iter().for_each(|number| *times.entry(*number).or_default() += 1);
        let mut ended: BTreeMap<u64, Vec<End>> = BTreeMap::new();
        ends.iter().for_each(|(number, end)| ended.entry(*number).or_default().push(*end));

        let mut audit = Audit { calls, executed: times.len() as u64, ..Audit::default() };
        audit.ran_twice = times.values().filter(|times| **times > 1).count() as u64;
        audit.unasked = times.keys().filter(|number| !(1..=calls).contains(*number)).count() as u64;
        for number in 1..=calls {
            let ran = times.contains_key(&number);
            match ended.get(&number).map(Vec::as_slice) {
                Some([End::Replied]) if ran => audit.replies += 1,
                Some([End::Replied | End::WrongReply]) => audit.false_replies += 1,
                Some([End::NotExecuted]) => {
                    audit.not_executed += 1;
                    audit.not_executed_but_ran += u64::from(ran);
                }
                Some([End::Unknown]) => {
                    audit.unknown += 1;
                    audit.unknown_but_executed += u64::from(ran);
                }
                _ => audit.without_one_end += 1,
            }
        }
        audit
    }

    /// What was broken, in words.
    fn broken(&self) -> Vec<String> {
        let faults = [
            (self.ran_twice, "ran more than once"),
            (self.false_replies, "had a reply that was none of theirs"),
            (self.not_executed_but_ran, "ran although it was said that they did not"),
            (self.without_one_end, "had no end, or two"),
            (self.unasked, "ran that nobody had asked for"),
        ];
        let broken = faults.into_iter().filter(|(count, _)| *count > 0);
        broken.map(|(count, what)| format!("{count} {what}")).collect()
    }

    pub(super) fn held(&self) -> bool {
        self.broken().is_empty()
    }

    /// The promise held, or what broke it.
    pub(super) fn verdict(&self) -> String {
        match &self.broken()[..] {
            [] if self.replies == self.calls => "held: every call ran exactly once".into(),
            [] if self.executed == 0 => "held: no call ran, and none had a reply".into(),
            [] => "held: no call ran twice, every reply stands for one run".into(),
            broken => format!("broken: of {} calls, {}", self.calls, broken.join(", ")),
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "calls": self.calls, "replies": self.replies, "not_executed": self.not_executed,
            "unknown": self.unknown, "executed": self.executed,
            "unknown_but_executed": self.unknown_but_executed, "ran_twice": self.ran_twice,
            "false_replies": self.false_replies, "not_executed_but_ran": self.not_executed_but_ran,
            "without_one_end": self.without_one_end, "unasked": self.unasked, "held": self.held(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three calls: a reply, the proof that it did not run, nobody knows.
    const ENDS: [(u64, End); 3] = [(1, End::Replied), (2, End::NotExecuted), (3, End::Unknown)];

    #[test]
    fn promise_holds_if_each_end_is_true() {
        // The unknown call ran, or not.
        let audit = Audit::new(3, &ENDS, &[1]);
        assert!(audit.held(), "{audit:?}");
        assert_eq!((audit.executed, audit.unknown_but_executed), (1, 0));
        let audit = Audit::new(3, &ENDS, &[3, 1]);
        assert!(audit.held() && audit.verdict().starts_with("held"), "{audit:?}");
        assert_eq!((audit.executed, audit.unknown_but_executed), (2, 1));
    }

    #[test]
    fn the_verdict_says_what_happened() {
        let all = Audit::new(1, &[(1, End::Replied)], &[1]);
        assert_eq!(all.verdict(), "held: every call ran exactly once");
        let none = Audit::new(1, &[(1, End::NotExecuted)], &[]);
        assert_eq!(none.verdict(), "held: no call ran, and none had a reply");
        let some = Audit::new(2, &[(1, End::Replied), (2, End::NotExecuted)], &[1]);
        assert_eq!(some.verdict(), "held: no call ran twice, every reply stands for one run");
    }

    #[test]
    fn each_breach_is_seen() {
        // One each: ran twice, a reply without a run, a run after all, a run that nobody asked for.
        assert_eq!(Audit::new(3, &ENDS, &[1, 3, 3]).ran_twice, 1);
        assert_eq!(Audit::new(3, &ENDS, &[3]).false_replies, 1);
        assert_eq!(Audit::new(3, &ENDS, &[1, 2]).not_executed_but_ran, 1);
        assert_eq!(Audit::new(3, &ENDS, &[1, 4]).unasked, 1);
        for runs in [&[1, 3, 3][..], &[3], &[1, 2], &[1, 4]] {
            let audit = Audit::new(3, &ENDS, runs);
            assert!(!audit.held() && audit.verdict().starts_with("broken: of 3 calls, 1"));
            assert_eq!(audit.json()["held"], false);
        }
        // A reply to another call, a call without an end, one with two.
        let replied = |number| (number, End::Replied);
        assert_eq!(Audit::new(1, &[(1, End::WrongReply)], &[1]).false_replies, 1);
        assert_eq!(Audit::new(2, &[replied(1)], &[1]).without_one_end, 1);
        assert_eq!(Audit::new(1, &[replied(1), replied(1)], &[1]).without_one_end, 1);
    }

    #[test]
    fn ends_read_back_as_written() {
        // The client writes them, the demo reads them.
        for (end, _) in super::ENDS {
            assert_eq!(parse_end(&format!("17 {end}")), Some((17, end)));
        }
        assert_eq!(parse_end("17 lost"), None);
        assert_eq!(parse_end("counters {}"), None);
    }
}
