//! What the demo says in the end: a table and a verdict, or JSON.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};
use unavez::link::Passed;

use super::audit::Audit;

pub(super) struct Report {
    pub(super) audit: Audit,
    /// How often the server was killed.
    pub(super) kills: u32,
    pub(super) took: Duration,
    pub(super) link: Passed,
    /// What the client counted: requests sent again, and calls begun anew.
    pub(super) sent_again: u64,
    pub(super) begun_anew: u64,
    /// What the server counted: requests that it did not run again.
    pub(super) suppressed: u64,
}

impl Report {
    /// Datagrams sent by either side for each call; the name's and heartbeats count as well.
    fn packets_per_exchange(&self) -> f64 {
        self.link.sent as f64 / self.audit.calls as f64
    }

    pub(super) fn json(&self) -> Value {
        let Passed { sent, lost, doubled, held } = self.link;
        let mut report = self.audit.json();
        report["kills"] = json!(self.kills);
        report["seconds"] = json!(self.took.as_secs_f64());
        report["datagrams"] =
            json!({ "sent": sent, "lost": lost, "doubled": doubled, "overtaken": held });
        report["packets_per_exchange"] = json!(self.packets_per_exchange());
        report["retransmissions"] = json!(self.sent_again);
        report["begun_anew"] = json!(self.begun_anew);
        report["duplicates_suppressed"] = json!(self.suppressed);
        report["verdict"] = json!(self.audit.verdict());
        report
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Audit { calls, replies, not_executed, unknown, executed, ran_twice, .. } = self.audit;
        let Passed { sent, lost, doubled, held } = self.link;
        let (seconds, kills) = (self.took.as_secs_f64(), self.kills);
        let ran = self.audit.unknown_but_executed;
        let time = format!("in {seconds:.1} s; the server was killed {kills} times");
        let guess = format!("nobody can tell from the client; by the ledger {ran} of them ran");
        let faults = format!("of these {lost} lost, {doubled} doubled, {held} overtaken");
        for (name, count, about) in [
            ("calls", calls, &*time),
            ("replied", replies, "the debit ran exactly once"),
            ("not executed", not_executed, "proved: it did not run and never will"),
            ("unknown", unknown, &guess),
            ("executed", executed, "calls that stand in the server's ledger"),
            ("ran twice", ran_twice, "calls that stand there more than once"),
            ("duplicates suppressed", self.suppressed, "requests that came again, not run again"),
            ("retransmissions", self.sent_again, "requests that the client sent again"),
            ("datagrams", sent, &faults),
        ] {
            writeln!(f, "{name:>22} {count:>8}  {about}")?;
        }
        let (name, packets) = ("packets per exchange", self.packets_per_exchange());
        writeln!(f, "{name:>22} {packets:>8.2}  datagrams for each call; 2 on a good link")?;
        writeln!(f, "verdict: {}", self.audit.verdict())
    }
}
