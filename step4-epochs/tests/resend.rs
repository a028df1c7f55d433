//! Why a client does not send a call again by itself when the server has restarted (§3.4).

use std::net::SocketAddr;

use lab::{Action, Breach, Node, Plan, Time};
use step4_epochs::{CallId, Config, Site};

lab::node!(
    /// This step's core.
    Step: step4_epochs, |epoch| Site::new(Config::default(), epoch), epochs
);

/// A client that helps itself: told of the server's new life, it sends the call there.
struct Eager {
    step: Step,
    /// The caller's name for the call, its name now, and what it asks.
    calls: Vec<(CallId, CallId, Vec<u8>)>,
    now: Time,
}

impl Node for Eager {
    type Call = CallId;

    fn start(life: u32) -> Self {
        Eager { step: Step::start(life), calls: Vec::new(), now: Time::ZERO }
    }

    fn send_request(&mut self, now: Time, to: SocketAddr, body: &[u8]) -> Result<CallId, String> {
        self.now = now;
        let call = self.step.send_request(now, to, body)?;
        self.calls.push((call, call, body.to_vec()));
        Ok(call)
    }

    fn send_reply(&mut self, now: Time, call: CallId, body: &[u8]) {
        self.step.send_reply(now, call, body);
    }

    fn handle_packet(&mut self, now: Time, from: SocketAddr, datagram: &[u8]) {
        self.now = now;
        self.step.handle_packet(now, from, datagram);
    }

    fn handle_timeout(&mut self, now: Time) {
        self.step.handle_timeout(now);
    }

    fn poll_action(&mut self) -> Option<Action<CallId>> {
        let action = self.step.poll_action()?;
        let mut names = self.calls.iter_mut();
        match action {
            Action::Failed { call, why } if why.starts_with("the server restarted") => {
                let (_, name, body) = names.find(|(_, name, _)| *name == call)?;
                *name = self.step.send_request(self.now, call.peer, body).ok()?;
                self.step.poll_action()
            }
            Action::Reply { call, body } => {
                let (call, ..) = names.find(|(_, name, _)| *name == call)?;
                Some(Action::Reply { call: *call, body })
            }
            action => Some(action),
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.step.deadline()
    }

    fn entries(&self) -> usize {
        self.step.entries()
    }
}

#[test]
fn who_sends_again_debits_twice() {
    // The debit ran in the former life; its reply was lost with it.
    let plan: Plan = "crash B after execution 1 for 50 ms".parse().unwrap();
    let verdict = lab::run::<Eager>(&plan).verdict;
    assert_eq!(verdict.breach(), Some(Breach::RanTwice), "{verdict}");
    assert_eq!(lab::run::<Step>(&plan).verdict.breach(), None);
}

#[test]
fn who_sends_again_is_lucky_when_it_had_not_run() {
    // From the client the two cannot be told apart, so luck is all it is.
    let plan: Plan = "crash B before execution 1 for 50 ms".parse().unwrap();
    let verdict = lab::run::<Eager>(&plan).verdict;
    assert_eq!(verdict.breach(), None, "{verdict}");
}
