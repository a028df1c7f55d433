//! Sites that crash, come back, stand still and go on.

use super::{Due, SERVER, Site, State, World};
use crate::events::What;
use crate::node::{Node, Time};
use crate::plan::{Fault, When};
use crate::verdict::End;

impl<N: Node> World<N> {
    /// Strikes with the crashes of this moment, each of them once.
    pub(super) fn crash_when(&mut self, now: When) {
        let due = |fault: &mut Fault| matches!(fault, Fault::Crash { when, .. } if *when == now);
        let struck: Vec<Fault> = self.crashes.extract_if(.., due).collect();
        for fault in struck {
            if let Fault::Crash { site, down, .. } = fault {
                self.crash(site, down);
            }
        }
    }

    pub(super) fn crash(&mut self, site: usize, down: Option<Time>) {
        if self.sites[site].node.take().is_none() {
            return;
        }
        self.record(site, What::Crashed);
        for call in &mut self.calls {
            if call.client == site && matches!(call.state, State::Outstanding(_)) {
                call.state = State::Ended(End::Crashed);
            }
        }
        if let Some(down) = down {
            self.schedule(self.now + down, Due::Restart { site });
        }
    }

    pub(super) fn pause(&mut self, site: usize, until: Time) {
        let at = &mut self.sites[site];
        if at.node.is_some() && at.paused.is_none() {
            at.paused = Some(until);
            let behind = at.behind + (until - self.now);
            self.schedule(until, Due::Wake { site, behind });
            self.record(site, What::Note("stands still, and its clock".into()));
        }
    }

    pub(super) fn wake(&mut self, site: usize, behind: Time) {
        // Another life was never paused.
        if self.sites[site].paused == Some(self.now) {
            self.sites[site].paused = None;
            self.sites[site].behind = behind;
            self.record(site, What::Note("goes on".into()));
        }
    }

    pub(super) fn restart(&mut self, site: usize) {
        let life = self.sites[site].life + 1;
        self.sites[site] = Site::new(life, self.now, site);
        self.record(site, What::Restarted(life));
        if site != SERVER {
            self.ask(site);
        }
    }
}
