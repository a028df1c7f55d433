//! Rules that can be switched off, one at a time, to show that the proof bench sees it.
//!
//! Invariant: without the feature `broken` every rule is kept, and asking costs nothing.

use super::config::Config;

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $name:ident = $rule:literal,)+) => {
        /// A rule that is not kept.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Broken {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Broken {
            /// All of them.
            pub const ALL: &[Broken] = &[$(Broken::$name),+];

            /// The rule, as the protocol numbers them.
            pub fn rule(self) -> &'static str {
                match self { $(Broken::$name => $rule,)+ }
            }

            /// How it is broken.
            pub fn describe(self) -> &'static str {
                match self { $(Broken::$name => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

rules! {
    /// A duplicate of a recorded call is taken for a new call.
    DuplicateRuns = "R1",
    /// The kernel's refusal of any copy proves that none left.
    UnsentProves = "R3",
    /// Silence proves that the call did not run.
    SilenceProves = "R3",
    /// A new life bears the name of the former one.
    EpochNotDurable = "R7",
    /// A lost request is not sent again.
    NeverRetransmits = "R11",
    /// The end of the patience is not looked at.
    PatienceEndless = "R13",
    /// The patience stands still while the machine sleeps.
    SleepUncounted = "R14",
    /// The floor passes calls that have not ended.
    FloorPassesOpen = "R15",
    /// After WORKING nothing more is asked.
    NoHeartbeats = "R16",
    /// An answer counts for any call of its number.
    AnswerOfAnyPort = "R17",
    /// Nobody at the port: said before the duplicate check.
    PortBeforeDuplicate = "R20",
    /// A call in the hands of a process can still be marked as not run.
    QueuedUntilDone = "R20",
    /// A duplicate of a call in service is not answered.
    DuplicateInServiceSilent = "R21",
    /// A request whose patience is over is run.
    ExpiredRuns = "R21",
    /// A duplicate is not answered with the kept reply.
    KeptReplySilent = "R22",
    /// The answer goes where the first copy came from.
    AnswersFirstAddress = "R22",
    /// A reply is kept for no time.
    ReplyForgottenEarly = "R23",
    /// After WORKING a reply is kept no longer than without.
    WorkingForgottenEarly = "R23",
    /// What is due is forgotten before the receive queue was found empty.
    ForgetsUndrained = "R23",
    /// The floor frees nothing.
    FloorFreesNothing = "R24",
    /// A call below the floor is taken for a new one.
    BelowFloorRuns = "R25",
    /// A call whose record is gone is taken for a new one.
    BitForgotten = "R25",
    /// Records are made without end.
    RoomUnchecked = "R26",
    /// The first WORKING is not said by itself.
    WorkingLate = "R27",
    /// The death of a process proves that what it had in hand did not run.
    DeathProves = "R28",
    /// The site says that a dead process is at work.
    DeadVouchedFor = "R28",
    /// Packets for another life are taken.
    AnyEpochServed = "R29",
    /// An ABORT for another life is taken.
    AnyEpochAborted = "R29",
    /// STALE always proves.
    StaleProves = "R29",
    /// A new life says at once that no copy from before it can come.
    FreshAtOnce = "R29",
    /// A new life looks at its clock for that, not at its queue.
    FreshUndrained = "R29",
    /// A reply that is too long is sent.
    ReplyTooBigSent = "R32",
    /// An ordered request does not wait for the one before it.
    OrderIgnored = "R33",
    /// Of an idempotent call it is said that it did not run.
    IdempotentProves = "R34",
    /// A client is forgotten as soon as nothing of it is kept.
    EvictsAtOnce = "R35",
    /// Evicted clients are forgotten altogether.
    EvictedForgotten = "R35",
    /// PortClosed always proves.
    PortClosedProves = "R35",
    /// PortClosed proves whatever it answers if one copy was sent.
    PortClosedProvesOnce = "R35",
    /// The copy sent after a CHALLENGE bears the number of the one before it.
    ChallengeUncounted = "R36",
    /// Every CHALLENGE is heeded at once.
    ChallengeAlwaysHeeded = "R36",
    /// An ABORT that overtakes its request leaves no mark.
    AbortLeavesNoMark = "R37",
    /// An ABORT in an evicted client proves.
    AbortOfEvictedProves = "R38",
    /// A message is whole when its last byte has come.
    HolesIgnored = "R40",
    /// A fragment that is lost is not sent again.
    LostStaysLost = "R41",
    /// What is half built is kept for ever.
    HalfBuiltKept = "R43",
}

impl Config {
    /// Whether this rule is switched off.
    #[doc(hidden)]
    #[inline]
    pub fn is_broken(&self, rule: Broken) -> bool {
        #[cfg(feature = "broken")]
        return self.broken == Some(rule);
        #[cfg(not(feature = "broken"))]
        {
            let _ = rule;
            false
        }
    }
}
