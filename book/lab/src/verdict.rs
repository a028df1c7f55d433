//! What became of each call, and whether the promise held.

use std::fmt;

/// What became of all calls of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// In the order in which they were planned.
    pub calls: Vec<CallVerdict>,
    /// How often a process was told the end of a call that had ended already.
    pub ended_again: u32,
    /// Whether the bench stopped it: it had not come to rest after very many events.
    pub stopped: bool,
    /// Entries that living sites still held when nothing was left to happen.
    pub left_over: usize,
}

/// What became of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallVerdict {
    /// How often the service ran for it.
    pub executed: u32,
    /// What its caller was told.
    pub end: End,
}

/// What a caller was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// What the service answered to this call.
    Replied,
    /// What the service answered to another call, or to nobody.
    WrongReply,
    /// That it failed.
    Failed,
    /// That it did not run, and never will.
    NotExecuted,
    /// Nothing: the client crashed.
    Crashed,
    /// Nothing, and it waits for ever.
    Never,
}

/// A promise that was not kept. The first is the gravest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Breach {
    /// A call's service ran more than once.
    RanTwice,
    /// A caller was given a reply that is not its own.
    WrongReply,
    /// A caller was told that its call did not run, and it ran.
    FalseProof,
    /// A caller waits for ever.
    NeverEnded,
    /// A call ended more than once.
    EndedAgain,
    /// Something is held that will never be freed.
    LeftOver,
    /// It does not come to rest.
    NeverRests,
}

impl Verdict {
    /// The gravest promise broken, if any.
    pub fn breach(&self) -> Option<Breach> {
        let any = |breaks: fn(&CallVerdict) -> bool| self.calls.iter().any(breaks);
        [
            (self.stopped, Breach::NeverRests),
            (any(|call| call.executed > 1), Breach::RanTwice),
            (any(|call| call.end == End::WrongReply), Breach::WrongReply),
            (any(|call| call.end == End::NotExecuted && call.executed > 0), Breach::FalseProof),
            (any(|call| call.end == End::Never), Breach::NeverEnded),
            (self.ended_again > 0, Breach::EndedAgain),
            (self.left_over > 0, Breach::LeftOver),
        ]
        .into_iter()
        .find_map(|(broken, breach)| broken.then_some(breach))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if let [call] = &self.calls[..] {
            write!(f, "{call}")?;
        } else {
            let calls = self.calls.iter().enumerate();
            let calls: Vec<String> =
                calls.map(|(i, call)| format!("call {}: {call}", i + 1)).collect();
            write!(f, "{}", calls.join("; "))?;
        }
        if self.stopped {
            write!(f, "; stopped, it does not come to rest")?;
        }
        if self.ended_again > 0 {
            write!(f, "; ended again {}×", self.ended_again)?;
        }
        if self.left_over > 0 {
            write!(f, "; {} entries left over", self.left_over)?;
        }
        Ok(())
    }
}

impl fmt::Display for CallVerdict {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.executed {
            0 => write!(f, "never executed, ")?,
            1 => write!(f, "executed once, ")?,
            2 => write!(f, "executed twice, ")?,
            times => write!(f, "executed {times} times, ")?,
        }
        f.write_str(match self.end {
            End::Replied => "replied",
            End::WrongReply => "given a wrong reply",
            End::Failed => "failed",
            End::NotExecuted => "and told so",
            End::Crashed => "client crashed",
            End::Never => "never ended",
        })
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Breach::RanTwice => "ran twice",
            Breach::WrongReply => "wrong reply",
            Breach::FalseProof => "false proof",
            Breach::NeverEnded => "never ended",
            Breach::EndedAgain => "ended again",
            Breach::LeftOver => "left over",
            Breach::NeverRests => "never rests",
        })
    }
}
