//! What happens without a packet to show for it, counted: the one list of counters.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! notes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// What happened. `Display` is its line in a trace, and its name where it is counted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Note {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Note {
            /// All of them, in order.
            pub const ALL: &[Note] = &[$(Note::$name),+];

            /// What it counts, as the documentation says it.
            pub fn describe(self) -> &'static str {
                match self { $(Note::$name => concat!($($doc),+).trim_ascii(),)+ }
            }

            fn text(self) -> &'static str {
                match self { $(Note::$name => $text,)+ }
            }
        }
    };
}

notes! {
    /// Calls that processes of this site made.
    Called = "call",
    /// Calls that ended with a reply.
    Replied = "call replied",
    /// Calls that ended with the proof that they did not run.
    NotExecuted = "call not executed",
    /// Calls of which nobody can tell whether they ran.
    Unknown = "call unknown",
    /// Requests sent again after a timeout.
    Retransmitted = "request sent again",
    /// Calls begun anew after the proof that their first try had not run (R29, R35).
    Resent = "call begun anew",
    /// Heartbeats sent.
    Heartbeat = "heartbeat",
    /// Client ports given up because their server had forgotten them (R35).
    PortClosed = "client port closed",
    /// Challenges heeded (R36).
    Challenged = "challenge heeded",
    /// Answers that no open call awaits (R17).
    Orphan = "orphan, dropped",
    /// Packets for another life or another site of this address that were answers (R17).
    OtherLife = "answer to another life, dropped",
    /// Packets that another site wants no part of (R6).
    WrongSite = "wrong site",
    /// Datagrams, or ends of them, that are no packet.
    Malformed = "no packet, dropped",
    /// Requests handed to a service.
    Executed = "request handed over",
    /// Requests answered by the site itself: resolve, ping, counters (R10).
    SiteAnswered = "answered by the site",
    /// Duplicates of a call in service, acknowledged (R21).
    DuplicateInService = "duplicate, still in service",
    /// Duplicates answered with the kept reply (R22).
    DuplicateAnswered = "duplicate, kept reply sent again",
    /// Duplicates of calls whose end is forgotten, refused (R25).
    DuplicateForgotten = "duplicate of a forgotten call, refused",
    /// Requests of forgotten clients, refused (R35).
    ClosedRefused = "forgotten client, refused",
    /// Other requests under a number that was used, refused (R31).
    FalseRetry = "false retry, refused",
    /// Packets for another life of this site, refused (R29).
    Stale = "packet for another life, refused",
    /// Packets for another site, refused (R6).
    OtherSite = "packet for another site, refused",
    /// Packets that bear this site's own id under another epoch: it has a clone (R7).
    Clone = "own id under another epoch",
    /// Requests not taken for want of room (R26).
    Busy = "no room, busy",
    /// Strangers and long replies challenged (R36).
    ChallengeSent = "challenge",
    /// Requests for a port where nobody serves.
    NoSuchPort = "no such port",
    /// Requests whose patience was over before they were begun (R21).
    Expired = "patience over, not begun",
    /// Calls called off before they were begun (R37).
    Aborted = "called off, not begun",
    /// Calls called off while they were served; their process was told (R38).
    Stopping = "called off in service",
    /// Calls in service whose client fell silent; their process was told (R30).
    OrphanInService = "client silent, call in service",
    /// Calls not begun whose client fell silent (R30).
    OrphanQueued = "client silent, not begun",
    /// Calls in service when their process died (R28).
    DiedServing = "process died in service",
    /// Calls not begun when their process died (R28).
    DiedQueued = "process died, not begun",
    /// Replies too long for the client or the network (R32).
    ReplyTooBig = "reply too big",
    /// Replies freed because the client had them (R24).
    FreedByFloor = "freed by the floor",
    /// Replies freed because their time was over (R23).
    FreedByTime = "freed by time",
    /// Clients forgotten (R35).
    Evicted = "client evicted",
    /// Pieces of large messages that nobody awaits (R40).
    StrayFragment = "fragment of no message, dropped",
    /// Large replies of which nothing came for a time, asked for again (R41).
    FetchedAgain = "reply asked for again",
    /// Large messages that were not what was sent, and are joined anew (R40).
    WrongWhole = "wrong whole, joined anew",
    /// Large requests of which the rest did not come in time (R43).
    HalfBuilt = "half built, dropped",
}

/// How often each thing happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters(Vec<u64>);

impl Default for Counters {
    fn default() -> Self {
        Counters(vec![0; Note::ALL.len()])
    }
}

impl Counters {
    /// How often this happened.
    pub fn get(&self, note: Note) -> u64 {
        // Another site may count less than this one.
        self.0.get(note as usize).copied().unwrap_or(0)
    }

    /// All of them, in the order of [`Note::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Note, u64)> {
        Note::ALL.iter().copied().zip(self.0.iter().copied())
    }

    pub(crate) fn add(&mut self, note: Note) {
        self.0[note as usize] += 1;
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.text())
    }
}
