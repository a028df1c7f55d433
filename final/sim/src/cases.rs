//! Small scenarios worth exploring, and the one that shows each rule's loss.

use std::time::Duration;

use unavez::protocol::{Broken, Config, Flags};

use crate::explore::{Exploration, Faults, explore};
use crate::scenario::{
    CallPlan, Calm, Demands, Fate, Fault, Freeze, HostPlan, Mishap, Scenario, ServicePlan, When,
};

/// A scenario, and what may go wrong in it.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it is called.
    pub name: &'static str,
    /// What happens if nothing goes wrong.
    pub scenario: Scenario,
    /// What may.
    pub faults: Faults,
    /// With how many faults `cargo test` explores it.
    pub depth: usize,
}

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

/// All of them.
pub fn cases() -> Vec<Case> {
    vec![
        one_call(),
        slow_call(),
        endless_call(),
        two_calls(),
        known_client(),
        two_clients_restart(),
        restart(),
        late_restart(),
        process_dies(),
        named(),
        client_stands_still(),
        client_is_remembered(),
        client_stands_still_long_call(),
        server_stands_still(),
        ordered(),
        called_off(),
        idempotent(),
        unsent(),
        full_tables(),
        no_token(),
        moves(),
        large(),
        large_and_crashes(),
    ]
}

/// The shortest plan that shows that this rule is not kept.
pub fn catch(rule: Broken) -> (Case, Exploration) {
    let mut case = shown_by(rule);
    case.scenario.config.broken = Some(rule);
    let exploration = explore(&case.scenario, &case.faults, case.depth);
    (case, exploration)
}

fn shown_by(rule: Broken) -> Case {
    match rule {
        Broken::DuplicateRuns | Broken::NeverRetransmits | Broken::KeptReplySilent => one_call(),
        Broken::AnswersFirstAddress => moves(),
        Broken::HolesIgnored | Broken::LostStaysLost => large(),
        Broken::HalfBuiltKept => large_and_crashes(),
        Broken::NoHeartbeats | Broken::DuplicateInServiceSilent | Broken::WorkingLate => {
            slow_call()
        }
        Broken::WorkingForgottenEarly => endless_call(),
        Broken::ReplyForgottenEarly
        | Broken::BelowFloorRuns
        | Broken::FloorFreesNothing
        | Broken::FloorPassesOpen
        | Broken::AnswerOfAnyPort => two_calls(),
        Broken::EvictsAtOnce => known_client(),
        Broken::BitForgotten => client_is_remembered(),
        Broken::EpochNotDurable
        | Broken::AnyEpochServed
        | Broken::StaleProves
        | Broken::FreshAtOnce => restart(),
        Broken::FreshUndrained => late_restart(),
        Broken::PortBeforeDuplicate | Broken::DeathProves | Broken::DeadVouchedFor => {
            process_dies()
        }
        Broken::EvictedForgotten
        | Broken::PortClosedProves
        | Broken::AbortOfEvictedProves
        | Broken::SleepUncounted => client_stands_still(),
        Broken::PortClosedProvesOnce => client_stands_still_long_call(),
        Broken::ForgetsUndrained => server_stands_still(),
        Broken::OrderIgnored => ordered(),
        Broken::PatienceEndless
        | Broken::QueuedUntilDone
        | Broken::ExpiredRuns
        | Broken::AbortLeavesNoMark
        | Broken::AnyEpochAborted => called_off(),
        Broken::IdempotentProves => idempotent(),
        Broken::UnsentProves | Broken::SilenceProves => unsent(),
        Broken::RoomUnchecked | Broken::ReplyTooBigSent => full_tables(),
        Broken::ChallengeUncounted | Broken::ChallengeAlwaysHeeded => no_token(),
    }
}

/// Short lives, so that all that is kept is forgotten while something may still be asked.
fn config() -> Config {
    Config {
        packet_lifetime: ms(200),
        rto_initial: ms(100),
        rto_min: ms(20),
        rto_max: ms(200),
        backoff_max: ms(200),
        retransmits_max: 3,
        accept_max: ms(2000),
        patience_default: ms(2000),
        heartbeat_every: ms(100),
        heartbeats_missed_max: 3,
        working_after_max: ms(20),
        patience_kept_max: ms(5000),
        drain_time: ms(10),
        window: 64,
        window_max: 64,
        windows_sum_max: 64 * 64,
        clients_max: 64,
        port_life: ms(800),
        port_life_max: ms(1000),
        records_max: 64,
        evicted_len: 4096,
        busy_after: ms(20),
        ..Config::default()
    }
}

/// `A` asks, `B` serves, with one process each.
fn pair(name: &'static str, calls: Vec<CallPlan>, depth: usize) -> Case {
    let asks = HostPlan { clients: 1, ..HostPlan::default() };
    let serves = HostPlan { services: vec![ServicePlan::default()], ..HostPlan::default() };
    let mut scenario = Scenario::new(config(), vec![asks, serves]);
    scenario.calls = calls;
    let faults = Faults::network(&scenario);
    Case { name, scenario, faults, depth }
}

fn call(at: u64) -> CallPlan {
    CallPlan { at: ms(at), from: (A, 0), to: (B, 0), ..CallPlan::default() }
}

fn one_call() -> Case {
    let mut case = pair("one call", vec![call(0)], 3);
    case.scenario.demands = Demands { replies: true, remembered: true, calm: None };
    case
}

/// Longer than all attempts together.
fn slow_call() -> Case {
    let slow = CallPlan { service: ms(900), patience: Some(ms(3000)), ..call(0) };
    let mut case = pair("a slow call", vec![slow], 2);
    // One more than there are faults.
    case.scenario.config.heartbeats_missed_max = 4;
    // REQUEST, WORKING, REPLY, and a HEARTBEAT with its WORKING for each period.
    let calm = Some(Calm { datagrams_max: 3 + 2 * 7, records_max: 1 });
    case.scenario.demands = Demands { replies: true, remembered: true, calm };
    case
}

/// Longer than any reply is kept that its client was not told to wait for.
fn endless_call() -> Case {
    let slow = CallPlan { service: ms(2500), patience: None, ..call(0) };
    let mut case = pair("a call without end", vec![slow], 2);
    case.scenario.config.patience_kept_max = ms(2000);
    case.scenario.config.heartbeats_missed_max = 4;
    case.scenario.config.heartbeat_every = ms(400);
    case.scenario.demands = Demands { replies: true, remembered: true, calm: None };
    case
}

/// A client that is heard of again before its port is given up.
fn known_client() -> Case {
    let again = CallPlan { flags: Flags::IDEMPOTENT, ..call(300) };
    let mut case = pair("a known client", vec![call(0), again, call(600)], 2);
    let calm = Some(Calm { datagrams_max: 6, records_max: 1 });
    case.scenario.demands = Demands { replies: true, remembered: true, calm };
    case
}

/// Two processes, so two client ports; three calls of one of them, one after the other.
fn two_calls() -> Case {
    let second = CallPlan { from: (A, 1), ..call(0) };
    let calls = vec![call(0), second, call(30), call(200)];
    let mut case = pair("two processes", calls, 2);
    case.scenario.hosts[A].clients = 2;
    let calm = Some(Calm { datagrams_max: 8, records_max: 2 });
    case.scenario.demands = Demands { replies: true, remembered: true, calm };
    case
}

/// The one of the book: two clients, two calls each, one restart of either side.
fn two_clients_restart() -> Case {
    let other = |at| CallPlan { from: (C, 0), ..call(at) };
    let calls = vec![call(0), call(3), other(1), other(40)];
    let mut case = pair("two clients, two calls each, one restart of either side", calls, 3);
    case.scenario.hosts.push(HostPlan { clients: 1, ..HostPlan::default() });
    let crash = Mishap::Crash(ms(1));
    case.faults = case.faults.and(&[(A, crash), (B, crash), (C, crash)]);
    case
}

fn restart() -> Case {
    let mut case = pair("a restart", vec![call(0)], 2);
    case.faults = case.faults.and(&[
        (A, Mishap::Crash(ms(1))),
        (B, Mishap::Crash(ms(1))),
        (B, Mishap::Crash(ms(300))),
    ]);
    case
}

/// The client stands still before it sends, the server after it restarted.
fn late_restart() -> Case {
    let mut case = pair("a restart, then the server stands still", vec![call(0)], 3);
    case.faults = case.faults.and(&[
        (B, Mishap::Crash(ms(1))),
        (B, Mishap::Freeze(Freeze::Stall, ms(400))),
        (B, Mishap::FreezeReading(Freeze::Stall, ms(400))),
        (A, Mishap::Freeze(Freeze::Pause, ms(400))),
    ]);
    case
}

fn process_dies() -> Case {
    let long = CallPlan { patience: None, service: ms(300), ..call(0) };
    let mut case = pair("the process dies", vec![long, call(5)], 2);
    case.scenario.hosts[B].services[0].take_after = ms(10);
    case.faults = case.faults.and(&[
        (B, Mishap::ServerDies(0, ms(10))),
        (B, Mishap::Reopens(0)),
        (A, Mishap::ClientDies(0)),
    ]);
    case
}

fn named() -> Case {
    let by_name = |at| CallPlan { by_name: true, ..call(at) };
    let mut case = pair("by name", vec![by_name(0), by_name(30)], 2);
    case.faults = case.faults.and(&[(B, Mishap::ServerDies(0, ms(10))), (B, Mishap::Crash(ms(1)))]);
    case
}

fn client_stands_still() -> Case {
    let certain = CallPlan { flags: Flags::CERTAIN, patience: Some(ms(150)), ..call(40) };
    let calls = vec![CallPlan { patience: Some(ms(1500)), ..call(0) }, certain];
    let mut case = pair("the client stands still", calls, 2);
    let long = ms(4000);
    case.faults = case.faults.and(&[
        (A, Mishap::Freeze(Freeze::Pause, long)),
        (A, Mishap::Freeze(Freeze::Suspend, long)),
        (A, Mishap::Freeze(Freeze::Stall, long)),
        (B, Mishap::Freeze(Freeze::Suspend, long)),
    ]);
    case
}

/// The same, but its tombstone outlives the record of its call.
fn client_is_remembered() -> Case {
    let patient = CallPlan { patience: Some(ms(1500)), ..call(0) };
    let mut case = pair("the client stands still, and is remembered", vec![patient], 2);
    case.scenario.config.port_life_max = ms(20_000);
    case.faults = case.faults.and(&[(A, Mishap::Freeze(Freeze::Pause, ms(4000)))]);
    case
}

fn client_stands_still_long_call() -> Case {
    let slow = CallPlan { service: ms(150), patience: None, ..call(0) };
    let mut case = pair("the client of a long call stands still", vec![slow], 3);
    case.faults = case
        .faults
        .and(&[(A, Mishap::Freeze(Freeze::Pause, ms(4000))), (B, Mishap::ServerDies(0, ms(10)))]);
    case
}

/// The client is paused for longer, and another one wakes the server; one copy is late for certain.
fn server_stands_still() -> Case {
    let patient = CallPlan { patience: Some(ms(1500)), ..call(0) };
    let other = CallPlan { from: (C, 0), ..call(20) };
    let mut case = pair("both stand still", vec![patient, other], 2);
    case.scenario.hosts.push(HostPlan { clients: 1, ..HostPlan::default() });
    case.scenario.faults = vec![
        Fault::Packet(1, Fate::Double(ms(199))),
        Fault::Host(When::At(ms(1)), A, Mishap::Freeze(Freeze::Pause, ms(10_000))),
    ];
    case.faults = case.faults.and(&[
        (B, Mishap::Freeze(Freeze::Stall, ms(3000))),
        (B, Mishap::FreezeReading(Freeze::Stall, ms(3000))),
    ]);
    case
}

fn ordered() -> Case {
    let in_order = |at| CallPlan { flags: Flags::ORDERED, ..call(at) };
    let calls = vec![in_order(0), in_order(1), call(2), in_order(3)];
    let mut case = pair("ordered calls", calls, 2);
    case.faults = case.faults.and(&[(B, Mishap::ServerDies(0, ms(10)))]);
    case
}

fn called_off() -> Case {
    let flags = Flags::CERTAIN;
    let short = CallPlan { flags, patience: Some(ms(60)), service: ms(100), ..call(0) };
    let early = CallPlan { flags, cancel: Some(ms(2)), ..call(1) };
    let behind = CallPlan { patience: Some(ms(50)), ..call(2) };
    let mut case = pair("called off", vec![short, early, behind], 2);
    case.scenario.hosts[B].services[0] = ServicePlan { take_after: ms(10), hands: 1 };
    case.faults = case.faults.and(&[(B, Mishap::Crash(ms(1)))]);
    case
}

fn idempotent() -> Case {
    let flags = Flags::IDEMPOTENT | Flags::CERTAIN;
    let again = CallPlan { flags, patience: Some(ms(250)), ..call(0) };
    let by_name = CallPlan { flags, by_name: true, ..call(10) };
    let mut case = pair("idempotent calls", vec![again, by_name], 2);
    case.scenario.hosts[B].services[0] = ServicePlan { take_after: ms(10), hands: 1 };
    case.faults = case.faults.and(&[(B, Mishap::ServerDies(0, ms(10))), (B, Mishap::Crash(ms(1)))]);
    case
}

fn unsent() -> Case {
    let mut case = pair("not sent", vec![CallPlan { patience: Some(ms(1000)), ..call(0) }], 3);
    case.scenario.config.retransmits_max = 1;
    case.faults.fates.extend([Fate::Unsent(false), Fate::Unsent(true)]);
    case
}

fn full_tables() -> Case {
    let other = |at, client| CallPlan { from: (A, client), service: ms(60), ..call(at) };
    let long = CallPlan { max_reply: 5, reply: 100, ..call(4) };
    let calls = vec![other(0, 0), other(1, 1), other(2, 2), other(3, 3), long];
    let mut case = pair("full tables", calls, 1);
    case.scenario.hosts[A].clients = 4;
    case.scenario.config =
        Config { records_max: 2, clients_max: 3, windows_sum_max: 3 * 64, ..case.scenario.config };
    case.faults = case.faults.and(&[(A, Mishap::Freeze(Freeze::Pause, ms(4000)))]);
    case
}

/// The reply is more than three times the request, and no token is ever good.
fn no_token() -> Case {
    let big = |at| CallPlan { reply: 900, patience: Some(ms(1500)), ..call(at) };
    let mut case = pair("no token is good", vec![big(0)], 2);
    case.scenario.config.token_max = Duration::ZERO;
    case.faults =
        case.faults.and(&[(A, Mishap::Freeze(Freeze::Pause, ms(4000))), (B, Mishap::Crash(ms(1)))]);
    case
}

fn moves() -> Case {
    let mut case = pair("the client moves", vec![CallPlan { service: ms(50), ..call(0) }], 1);
    case.scenario.demands = Demands { replies: true, remembered: true, calm: None };
    case.faults.fates = vec![Fate::Drop];
    case.faults = case.faults.and(&[(A, Mishap::Move)]);
    case
}

/// A request and a reply of some fragments each, after a small call that brings the token.
fn large() -> Case {
    let large = CallPlan { size: 3400, reply: 3400, max_reply: 10_000, ..call(30) };
    let mut case = pair("large messages", vec![call(0), large], 2);
    case.scenario.demands = Demands { replies: true, remembered: true, calm: None };
    case
}

/// A stranger's, and both sides crash on the way.
fn large_and_crashes() -> Case {
    let flags = Flags::CERTAIN;
    let large = CallPlan { flags, size: 3000, reply: 3000, max_reply: 10_000, ..call(0) };
    let mut case = pair("large messages and crashes", vec![large], 2);
    case.scenario.weather.leaves = 1472;
    case.faults = case.faults.and(&[
        (A, Mishap::Crash(ms(1))),
        (B, Mishap::Crash(ms(1))),
        (B, Mishap::ServerDies(0, ms(10))),
    ]);
    case
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
