//! What is checked: the rules as they are, small ones and large, and each rule broken on purpose.

use super::state::{Broken, Config, Faults, UNLIMITED};

/// What is to come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    Holds,
    /// A state that must not be is found.
    Fails,
}

pub(crate) struct Suite {
    pub(crate) expected: Expected,
    pub(crate) name: &'static str,
    pub(crate) config: Config,
    /// Too large for `cargo test`.
    pub(crate) large: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            calls: 1,
            packet_lifetime: 1,
            rto: 1,
            attempts_max: 2,
            patience: 3,
            certain_wait: 1,
            heartbeat_every: 1,
            heartbeats_missed_max: 2,
            resends_max: 2,
            reply_lifetime: 3,
            evict_after: 2,
            window: 3,
            window_grows: false,
            slow_service: false,
            long_replies: false,
            faults: Faults::default(),
            broken: &[],
        }
    }
}

pub(crate) fn suites() -> Vec<Suite> {
    [holds(), large(), broken_calls(), broken_strangers()].into_iter().flatten().collect()
}

const NONE: Faults = Faults {
    pauses: 0,
    stalls: 0,
    restarts: 0,
    deaths: 0,
    busies: 0,
    challenges: 0,
    evictions: 0,
    false_positives: 0,
    marks: 0,
};
const PAUSE: Faults = Faults { pauses: 1, evictions: 1, ..NONE };
const RESTART: Faults = Faults { restarts: 1, ..NONE };
const DEATH: Faults = Faults { deaths: 1, ..NONE };
const LIE: Faults = Faults { false_positives: 1, ..NONE };
const STALL: Faults = Faults { stalls: 1, ..PAUSE };

fn with(faults: Faults) -> Config {
    Config { faults, ..Config::default() }
}

/// A reply is kept for patience, wait and a packet's lifetime, so that a client is only evicted under an
/// open call if it was paused.
fn paused(faults: Faults) -> Config {
    Config { reply_lifetime: 5, ..with(faults) }
}

fn instant(calls: u8, faults: Faults) -> Config {
    Config {
        calls,
        packet_lifetime: 0,
        evict_after: 1,
        patience: 2,
        reply_lifetime: 3,
        heartbeat_every: 2,
        heartbeats_missed_max: 1,
        ..with(faults)
    }
}

fn unlimited(faults: Faults) -> Config {
    Config {
        patience: UNLIMITED,
        heartbeat_every: 2,
        heartbeats_missed_max: 1,
        reply_lifetime: 7,
        ..with(faults)
    }
}

impl Suite {
    /// Too large for `cargo test`.
    fn large(self) -> Suite {
        Suite { large: true, ..self }
    }
}

fn suite(name: &'static str, config: Config) -> Suite {
    Suite { expected: Expected::Holds, name, config, large: false }
}

fn holds() -> Vec<Suite> {
    let both = Faults { restarts: 1, ..PAUSE };
    vec![
        suite("one call, slow service", Config { slow_service: true, ..with(NONE) }),
        suite("two calls", Config { calls: 2, ..with(NONE) }).large(),
        suite(
            "patience ends before an answer",
            Config { attempts_max: 9, packet_lifetime: 2, reply_lifetime: 5, ..with(NONE) },
        ),
        suite("two calls, packets live for an instant", instant(2, NONE)),
        suite("restart", with(RESTART)),
        suite("stalled", with(Faults { stalls: 1, ..NONE })),
        suite("paused and evicted", Config { slow_service: true, ..paused(PAUSE) }),
        suite("two calls, paused and evicted, packets live for an instant", instant(2, PAUSE))
            .large(),
        suite("the second call waits at home", Config { window: 1, ..instant(2, PAUSE) }),
        suite("paused, restart", with(Faults { pauses: 1, ..RESTART })).large(),
        suite("two restarts", with(Faults { restarts: 2, ..NONE })).large(),
        suite("two calls, restart", Config { calls: 2, packet_lifetime: 0, ..with(RESTART) })
            .large(),
        suite("paused, evicted, restart", paused(both)).large(),
        suite(
            "restart, one port for all lives",
            Config { broken: &[Broken::OnePortForAllLives], ..paused(both) },
        )
        .large(),
        suite("the process dies", Config { slow_service: true, ..with(DEATH) }),
        suite("the process dies, paused and evicted", paused(Faults { deaths: 1, ..PAUSE }))
            .large(),
        suite("marked while queued, paused and evicted", paused(Faults { marks: 1, ..PAUSE })),
        suite(
            "busy",
            Config {
                attempts_max: 3,
                patience: 4,
                reply_lifetime: 6,
                ..with(Faults { busies: 2, ..NONE })
            },
        ),
        suite("busy, paused and evicted", paused(Faults { busies: 1, ..PAUSE })).large(),
        suite(
            "aborted beyond the window, which grows",
            Config {
                calls: 2,
                window: 1,
                window_grows: true,
                attempts_max: 9,
                broken: &[Broken::ClientIgnoresItsWindow, Broken::AbortHasNoFloor],
                ..with(NONE)
            },
        )
        .large(),
        suite("unlimited patience, restart", Config { slow_service: true, ..unlimited(RESTART) }),
        suite("stalled, paused and evicted", paused(STALL)).large(),
        suite("stalled, restart", with(Faults { stalls: 1, ..RESTART })).large(),
        suite("the filter lies", with(LIE)),
        suite("the filter lies, two calls", Config { calls: 2, ..instant(2, LIE) }).large(),
        suite(
            "the filter lies, paused and evicted",
            paused(Faults { false_positives: 1, ..PAUSE }),
        )
        .large(),
        suite("the filter lies, restart", with(Faults { restarts: 1, ..LIE })).large(),
        suite("challenged, the filter lies", with(Faults { challenges: 2, ..LIE })).large(),
        suite("challenged, paused and evicted", paused(Faults { challenges: 2, ..PAUSE })).large(),
        suite("long replies, paused and evicted", Config { long_replies: true, ..paused(PAUSE) })
            .large(),
        suite(
            "tokens are never valid",
            Config {
                broken: &[Broken::TokensAreNeverValid],
                ..with(Faults { challenges: 3, ..NONE })
            },
        ),
        suite(
            "replies are not kept at all, paused and evicted",
            Config { reply_lifetime: 0, ..paused(PAUSE) },
        ),
        suite(
            "evicted one tick after the last copy has died",
            Config { evict_after: 3, reply_lifetime: 0, packet_lifetime: 2, rto: 3, ..with(PAUSE) },
        )
        .large(),
    ]
}

fn large() -> Vec<Suite> {
    let all = Faults { stalls: 1, challenges: 1, false_positives: 1, ..PAUSE };
    let suites = vec![
        suite("two pauses, two evictions", paused(Faults { pauses: 2, evictions: 2, ..NONE })),
        suite(
            "two calls, slow service, paused and evicted",
            Config { slow_service: true, ..instant(2, PAUSE) },
        ),
        suite(
            "unlimited patience, death, paused and evicted",
            Config { slow_service: true, ..unlimited(Faults { deaths: 1, ..PAUSE }) },
        ),
        suite(
            "long replies, heartbeats, paused and evicted",
            Config { long_replies: true, slow_service: true, ..paused(PAUSE) },
        ),
        suite(
            "long replies, challenged, restart",
            Config { long_replies: true, ..with(Faults { challenges: 1, ..RESTART }) },
        ),
        suite(
            "long replies, and much else",
            Config {
                long_replies: true,
                ..with(Faults { challenges: 1, busies: 1, marks: 1, deaths: 1, ..LIE })
            },
        ),
        suite(
            "the filter lies twice, busy",
            Config {
                attempts_max: 3,
                packet_lifetime: 2,
                patience: 4,
                reply_lifetime: 7,
                evict_after: 4,
                ..with(Faults { false_positives: 2, busies: 1, ..NONE })
            },
        ),
        suite("stalled, challenged, the filter lies, paused and evicted", paused(all)),
        suite("two calls, paused and evicted", Config { calls: 2, ..paused(PAUSE) }),
        suite("three calls, paused and evicted", instant(3, PAUSE)),
        suite(
            "two calls, the filter lies, restart, paused and evicted",
            instant(2, Faults { false_positives: 1, restarts: 1, ..PAUSE }),
        ),
    ];
    suites.into_iter().map(Suite::large).collect()
}

fn broken(name: &'static str, broken: &'static [Broken], config: Config) -> Suite {
    let config = Config { broken, ..config };
    Suite { expected: Expected::Fails, name, config, large: false }
}

/// Rules about calls, their records and the lives of the server.
fn broken_calls() -> Vec<Suite> {
    use Broken::*;
    let two = Config { calls: 2, ..with(NONE) };
    let long_wait = Config { attempts_max: 9, packet_lifetime: 2, ..with(NONE) };
    let beyond = Config { calls: 2, window: 1, attempts_max: 9, ..with(NONE) };
    let late = with(Faults { stalls: 1, ..RESTART });
    let stalled = paused(STALL);
    let slow_dead = Config { slow_service: true, ..unlimited(DEATH) };
    vec![
        broken("R15 the floor passes open calls", &[FloorPassesOpenCalls], two.clone()),
        broken(
            "R18 NO_CALL after WORKING is sent again",
            &[NoCallIsSentAgain, TombstoneIsRebuilt],
            Config { attempts_max: 9, slow_service: true, ..paused(PAUSE) },
        ),
        broken("R20 the port is checked before duplicates", &[PortIsCheckedFirst], with(DEATH)),
        broken("R20 queued until the process says so", &[QueuedUntilAnswered], with(DEATH)),
        broken(
            "R23 a reply is kept for too short",
            &[],
            Config { reply_lifetime: 0, ..with(NONE) },
        ),
        broken(
            "R25 no bit is kept of a reply",
            &[DuplicateHasNoBit],
            Config { reply_lifetime: 0, ..with(NONE) },
        ),
        broken("R23 forgotten before the queue is empty", &[ForgetsBeforeDraining], stalled)
            .large(),
        broken(
            "R25 what is below the floor is run",
            &[BelowTheFloorIsRun],
            Config { packet_lifetime: 2, ..two },
        ),
        broken("R25 Forgotten proves", &[ForgottenProves, ForgetsBeforeDraining], paused(STALL))
            .large(),
        broken("R28 death means not executed", &[DeathMeansNotRun], with(DEATH)),
        broken("R28 the site vouches for the dead", &[SiteVouchesForTheDead], slow_dead),
        broken("R29 STALE always proves", &[StaleAlwaysProves], with(RESTART)),
        broken("R29 fresh at once", &[FreshAtOnce], with(RESTART)),
        broken("R29 fresh when it is handled", &[FreshWhenHandled], late),
        broken("R29 ABORT is for any life", &[AbortForAnyLife], with(RESTART)),
        broken("R37 ABORT leaves no mark", &[AbortLeavesNoMark], long_wait),
        broken(
            "R38 ABORT beyond the window proves, without a floor",
            &[ClientIgnoresItsWindow, BeyondTheWindowProves, AbortHasNoFloor],
            beyond.clone(),
        )
        .large(),
        broken(
            "R38 ABORT beyond the window proves, which grows",
            &[ClientIgnoresItsWindow, BeyondTheWindowProves],
            Config { window_grows: true, ..beyond },
        )
        .large(),
    ]
}

/// Rules about clients that are forgotten, and those that must show a token.
fn broken_strangers() -> Vec<Suite> {
    use Broken::*;
    let slow = Config { slow_service: true, ..paused(PAUSE) };
    let hasty = Config { packet_lifetime: 2, reply_lifetime: 0, rto: 3, ..with(PAUSE) };
    let port_wide =
        Config { attempts_max: 3, rto: 2, patience: 4, reply_lifetime: 6, ..instant(2, PAUSE) };
    let patient = Config { attempts_max: 9, rto: 9, ..paused(PAUSE) };
    let long = Config { long_replies: true, ..paused(PAUSE) };
    let long_restart = Config { long_replies: true, ..with(Faults { pauses: 1, ..RESTART }) };
    vec![
        broken("R35 PortClosed always proves", &[ClosedAlwaysProves], paused(PAUSE)),
        broken(
            "R35 sent once proves, without the echo",
            &[ClosedProvesIfSentOnce, ClosedProvesAfterWorking],
            slow.clone(),
        ),
        broken(
            "R35 a refused HEARTBEAT echoes an attempt",
            &[HeartbeatIsEchoed, ClosedProvesAfterWorking],
            slow,
        ),
        broken("R35 a refused ABORT echoes an attempt", &[AbortIsEchoed], patient),
        broken("R35 one proof for the whole port", &[ClosedProvesForThePort], port_wide).large(),
        broken("R35 the tombstone is rebuilt", &[TombstoneIsRebuilt], paused(PAUSE)),
        broken("R37 ABORT rebuilds the tombstone", &[AbortRebuildsTombstone], paused(PAUSE)),
        broken("R38 ABORT of the evicted proves", &[EvictedAbortSaysNotRun], paused(PAUSE)),
        broken("R35 evicted while a copy lives", &[], Config { evict_after: 2, ..hasty.clone() }),
        broken("R35 evicted at once", &[], Config { evict_after: 0, packet_lifetime: 1, ..hasty }),
        broken("R35 the filter is asked first", &[FilterIsAskedFirst], with(LIE)),
        broken("R35 the filter forgets", &[FilterFades], with(LIE)),
        broken("R36 a challenged copy does not count", &[ChallengedCopyIsNotCounted], long).large(),
        broken(
            "R36 a challenged copy does not count, restart",
            &[ChallengedCopyIsNotCounted],
            long_restart,
        )
        .large(),
        broken(
            "R36 each CHALLENGE is heeded",
            &[EachChallengeIsHeeded, TokensAreNeverValid],
            with(Faults { challenges: 9, ..NONE }),
        ),
    ]
}
