//! Runs a suite to its end, or to the first state that must not be.

use stateright::{Checker, HasDiscoveries, Model};

use super::suites::{Expected, Suite};

/// So many states are enough, seen or not.
const STATES_MAX: usize = 20_000_000;

pub(crate) struct Found {
    pub(crate) states: usize,
    /// All of them were visited.
    pub(crate) exhausted: bool,
    /// Which property fails, and the steps to there.
    pub(crate) failure: Option<(&'static str, Vec<String>)>,
}

pub(crate) fn check(suite: &Suite) -> Found {
    let checker = suite.config.clone().checker().finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.target_state_count(STATES_MAX).spawn_bfs().join();
    let failure = checker.discoveries().into_iter().next().map(|(property, path)| {
        (property, path.into_actions().iter().map(|step| format!("{step:?}")).collect())
    });
    let states = checker.state_count();
    Found { states, exhausted: states < STATES_MAX, failure }
}

impl Found {
    pub(crate) fn is_as_expected(&self, suite: &Suite) -> bool {
        match suite.expected {
            Expected::Holds => self.failure.is_none(),
            Expected::Fails => self.failure.is_some(),
        }
    }
}
