//! What happened in a run, a line each, as the book's traces read.

use std::fmt::Write;

use unavez::protocol::{Outcome, Packet, Time};

use crate::ledger::parse;
use crate::scenario::host_name;

/// The lines of a run; none are kept of a run that nobody reads.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    pub(crate) on: bool,
    pub(crate) lines: Vec<String>,
}

impl Trace {
    pub(crate) fn line(&mut self, at: Time, host: usize, what: impl FnOnce() -> String) {
        if self.on {
            let (ms, host, what) = (at.as_millis(), host_name(host), what());
            self.lines.push(format!("{ms:>7} ms  {host}       {what}"));
        }
    }

    /// `->` sent, `-x` lost, `=>` doubled, `~>` late.
    pub(crate) fn sent(
        &mut self,
        (at, from, to): (Time, usize, Option<usize>),
        label: &str,
        arrivals: &[Time],
        late: bool,
    ) {
        if !self.on {
            return;
        }
        let arrow = match arrivals.len() {
            0 => "-x",
            1 if late => "~>",
            1 => "->",
            _ => "=>",
        };
        let (ms, from, to) = (at.as_millis(), host_name(from), to.map_or('?', host_name));
        let mut line = format!("{ms:>7} ms  {from} {arrow} {to}  {label}");
        if arrivals.len() > 1 || late {
            let times: Vec<String> = arrivals.iter().map(|at| at.as_millis().to_string()).collect();
            let _ = write!(line, "  (arrives at {} ms)", times.join(" and "));
        }
        self.lines.push(line);
    }
}

/// Packets that travel together.
pub(crate) fn label(packets: &[Packet]) -> String {
    packets.iter().map(Packet::to_string).collect::<Vec<_>>().join(" + ")
}

/// How a call ended.
pub(crate) fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Reply(body) => {
            format!("reply to {}", parse(body, b"answer ").unwrap_or(usize::MAX))
        }
        Outcome::NotExecuted(why) => format!("not executed: {why}"),
        Outcome::Unknown(why) => format!("unknown: {why}"),
    }
}
