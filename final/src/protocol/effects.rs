//! What the halves of a site want done, now and later.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use super::config::Config;
use super::fragments::Outbound;
use super::note::{Counters, Note};
use super::site::{Action, Now};
use super::timers::Timers;
use super::wire::Packet;

#[derive(Debug)]
pub(crate) struct Effects {
    /// The moment of the event in hand.
    pub(crate) now: Now,
    pub(crate) timers: Timers,
    pub(crate) counters: Counters,
    pub(crate) trace: bool,
    pub(super) outbound: Outbound,
    pub(super) actions: VecDeque<Action>,
    pub(super) config: Config,
    /// How many bytes the socket's buffer takes at once (R42).
    pub(crate) room: usize,
    random: StdRng,
}

impl Effects {
    pub(crate) fn new(now: Now, config: Config, seed: [u8; 32]) -> Effects {
        Effects {
            now,
            timers: Timers::default(),
            counters: Counters::default(),
            trace: false,
            outbound: Outbound::default(),
            actions: VecDeque::new(),
            config,
            room: usize::MAX,
            random: StdRng::from_seed(seed),
        }
    }

    pub(crate) fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub(crate) fn send(&mut self, to: SocketAddr, packet: Packet) {
        self.act(Action::Send { to, packet });
    }

    pub(crate) fn note(&mut self, note: Note) {
        self.counters.add(note);
        if self.trace {
            self.act(Action::Note(note));
        }
    }

    pub(crate) fn take(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// 64 bits that nobody can guess.
    pub(crate) fn draw(&mut self) -> u64 {
        self.random.next_u64()
    }

    /// So long times a factor from 1 to 1.5, so that many that began together do not stay so (R11).
    pub(crate) fn jittered(&mut self, time: Duration) -> Duration {
        time + time * self.random.random_range(0..=500) / 1000
    }
}
