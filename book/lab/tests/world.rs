//! The bench itself, with a core that is made of faults.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use lab::{Action, Breach, End, Faults, Node, Plan, Time, Weather};

/// A core that asks and answers, and does one thing wrong.
struct Toy<const FAULT: u8> {
    actions: VecDeque<Action<SocketAddr>>,
    deadline: Option<Time>,
    held: usize,
}

const NOTHING: u8 = 0;
const ENDS_TWICE: u8 = 1;
const LEAKS: u8 = 2;
const WRONG_REPLY: u8 = 3;
const NEVER_RESTS: u8 = 4;
const SAYS_NOT_RUN: u8 = 5;

impl<const FAULT: u8> Node for Toy<FAULT> {
    type Call = SocketAddr;

    fn start(_life: u32) -> Self {
        Toy { actions: VecDeque::new(), deadline: None, held: 0 }
    }

    fn send_request(
        &mut self,
        now: Time,
        to: SocketAddr,
        body: &[u8],
    ) -> Result<SocketAddr, String> {
        self.deadline = (FAULT == NEVER_RESTS).then_some(now);
        let datagram = [b"?", body].concat();
        self.actions.push_back(Action::Send { to, label: "REQUEST".into(), datagram });
        Ok(to)
    }

    fn send_reply(&mut self, _now: Time, to: SocketAddr, body: &[u8]) {
        self.actions.push_back(Action::Send { to, label: "REPLY".into(), datagram: body.to_vec() });
    }

    fn handle_packet(&mut self, _now: Time, call: SocketAddr, datagram: &[u8]) {
        self.held += usize::from(FAULT == LEAKS);
        if let Some(body) = datagram.strip_prefix(b"?") {
            return self.actions.push_back(Action::Request { call, body: body.to_vec() });
        }
        if FAULT == SAYS_NOT_RUN {
            let why = "it did not run".into();
            return self.actions.push_back(Action::NotExecuted { call, why });
        }
        let body = if FAULT == WRONG_REPLY { b"balance 0".to_vec() } else { datagram.to_vec() };
        for _ in 0..1 + usize::from(FAULT == ENDS_TWICE) {
            self.actions.push_back(Action::Reply { call, body: body.clone() });
        }
    }

    fn handle_timeout(&mut self, now: Time) {
        self.deadline = Some(now + Duration::from_millis(1));
    }

    fn poll_action(&mut self) -> Option<Action<SocketAddr>> {
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Time> {
        self.deadline
    }

    fn entries(&self) -> usize {
        self.held
    }
}

fn breach<const FAULT: u8>(plan: &str) -> Option<Breach> {
    lab::run::<Toy<FAULT>>(&plan.parse().unwrap()).verdict.breach()
}

#[test]
fn every_breach_is_seen() {
    assert_eq!(breach::<NOTHING>("no faults"), None);
    assert_eq!(breach::<NOTHING>("2 calls"), None);
    assert_eq!(breach::<NOTHING>("drop reply 1"), Some(Breach::NeverEnded));
    assert_eq!(breach::<NOTHING>("duplicate request 1"), Some(Breach::RanTwice));
    assert_eq!(breach::<ENDS_TWICE>("no faults"), Some(Breach::EndedAgain));
    assert_eq!(breach::<LEAKS>("no faults"), Some(Breach::LeftOver));
    assert_eq!(breach::<WRONG_REPLY>("no faults"), Some(Breach::WrongReply));
    assert_eq!(breach::<SAYS_NOT_RUN>("no faults"), Some(Breach::FalseProof));
}

#[test]
fn storms_count_what_they_see() {
    let score = lab::storms::<Toy<LEAKS>>(Weather::Network, 0..100, || ());
    assert_eq!(score.storms, 100);
    assert!(score.untidy.count > 0 && score.never_ended.count > 0 && score.ran_twice.count > 0);
    let score = lab::storms::<Toy<SAYS_NOT_RUN>>(Weather::Network, 0..100, || ());
    assert!(score.false_proof.count > 0 && score.ran_twice.count > 0);
    let score = lab::storms::<Toy<WRONG_REPLY>>(Weather::Network, 0..100, || ());
    let first = score.wrong_reply.first.expect("a caller got a wrong reply");
    let verdict = lab::run::<Toy<WRONG_REPLY>>(&Plan::storm(Weather::Network, first)).verdict;
    assert!(verdict.calls.iter().any(|call| call.end == End::WrongReply), "the seed repeats it");
}

#[test]
fn exploration_tries_every_fault_at_every_place() {
    // Two packets and seven fates for each; two faults are two different packets, in order.
    let counts = [0, 1, 2].map(|faults_max| {
        lab::explore::<Toy<LEAKS>>(&"no faults".parse().unwrap(), Faults::Network, faults_max).plans
    });
    assert_eq!(counts, [1, 1, 1], "a core that breaks without a fault is explored no further");
    let found = lab::explore::<Toy<NOTHING>>(&Plan::default(), Faults::Network, 2);
    assert_eq!((found.plans, found.broken.unwrap().0.to_string()), (15, "drop packet 1".into()));
}

#[test]
fn a_core_that_never_rests_is_stopped_and_said_to() {
    assert_eq!(breach::<NEVER_RESTS>("no faults"), Some(Breach::NeverRests));
}

#[test]
fn a_long_plan_comes_to_its_end() {
    let run = lab::run::<Toy<NOTHING>>(&"1000 calls; service takes 2 s".parse().unwrap());
    assert_eq!(run.verdict.breach(), None);
    assert_eq!(run.verdict.calls.len(), 1000);
}

#[test]
fn a_fault_that_never_comes_about_is_told() {
    let plan: Plan = "drop reply 2; drop request 1; crash B after execution 1".parse().unwrap();
    let unstruck = lab::run::<Toy<NOTHING>>(&plan).unstruck;
    let unstruck: Vec<String> = unstruck.iter().map(ToString::to_string).collect();
    assert_eq!(unstruck, ["drop reply 2", "crash B after execution 1"]);
}

#[test]
fn crashes_are_explored_at_every_event_of_either_side() {
    // An arrival, a service, an arrival; one execution; two packets with seven fates each.
    let found = lab::explore::<Toy<NOTHING>>(&Plan::default(), Faults::Crashes, 1);
    assert_eq!(found.plans, 1 + 2 * 3 + 1 + 2 * 7);
}

#[test]
fn a_site_that_stands_still_misses_nothing() {
    // What arrives waits in its buffer, and its clock stops, so that its timers are late.
    let run = lab::run::<Toy<NOTHING>>(&"pause A at 7 ms for 2 s".parse().unwrap());
    let text = lab::Trace(&run.events).to_string();
    assert!(
        text.ends_with(
            "  2007 ms  A       goes on\n  2007 ms  A       call 1 ends: reply \"balance 990\"\n"
        ),
        "{text}"
    );
    let run =
        lab::run::<Toy<NOTHING>>(&"pause B at 0 ms for 2 s; duplicate request 1".parse().unwrap());
    assert_eq!((run.verdict.calls[0].executed, run.cost.lasted), (2, Duration::from_millis(2005)));
}

#[test]
fn every_client_has_its_letter_and_its_calls() {
    let run = lab::run::<Toy<NOTHING>>(&"3 clients; 2 calls".parse().unwrap());
    assert_eq!((run.verdict.calls.len(), run.cost.packets), (6, 12));
    assert!(lab::Trace(&run.events).to_string().contains("  D -> B  REQUEST"));
}

#[test]
fn each_fault_does_what_it_says() {
    // The arrow, and what follows from it.
    let trace = |plan: &str| lab::transcript::<Toy<NOTHING>>(&plan.parse().unwrap());
    assert!(
        trace("no faults").starts_with("     0 ms  A -> B  REQUEST\n     5 ms  B       execute")
    );
    assert!(
        trace("drop request 1").starts_with("     0 ms  A -x B  REQUEST\nverdict: never executed")
    );
    assert!(
        trace("delay packet 1 by 300 ms")
            .contains("A ~> B  REQUEST  (arrives at 305 ms)\n   305 ms")
    );
    assert!(
        trace("duplicate request 1 by 2 s").contains("A => B  REQUEST  (arrives at 5 and 2005 ms)")
    );
    assert!(trace("service takes 20 ms").contains("    25 ms  B       execute"));
    assert!(
        trace("crash B at 3 ms")
            .contains("     3 ms  B       crash\n     5 ms  B       is down, datagram lost")
    );
    let reordered = trace("2 calls at once; reorder request 1");
    let at = |line: &str| reordered.find(line).expect(line);
    assert!(
        at(r#"     5 ms  B       execute "debit 20""#)
            < at(r#"     5 ms  B       execute "debit 10""#)
    );
    let copied = trace("2 calls at once; duplicate request 1; reorder request 1");
    assert!(copied.contains("(arrives at 5 and 1005 ms)"), "{copied}");
    let restarted = trace("crash B before execution 1 for 10 ms");
    assert!(
        restarted.contains("     5 ms  B       crash\n    15 ms  B       restart, life 2"),
        "{restarted}"
    );
    let early = trace("crash B at event 1");
    assert!(early.contains("     5 ms  B       crash\n     5 ms  B       is down"), "{early}");
    assert!(
        trace("crash B after execution 1")
            .contains("execute \"debit 10\"\n     5 ms  B       crash")
    );
}
