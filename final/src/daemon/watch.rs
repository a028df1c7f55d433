//! Those who watch the calls go by, and get the trace in lines.
//!
//! Invariant: what waits for one of them is bounded. What it has no room for is dropped, counted, and
//! said to it when it has read the rest; nothing else waits for it.

use super::inside::Inside;
use super::limits::LINES_MAX;
use crate::clock;
use crate::embedded::trace::Line;
use crate::local::message::{Answer, LINE_MAX, Seen};
use crate::protocol::ProcessId;

/// One of them.
#[derive(Debug)]
pub(super) struct Watcher {
    /// What its lines are the answers to.
    serial: u64,
    /// How many lines it has not got since it was last told so.
    lost: u64,
}

impl Inside {
    pub(super) fn watch(&mut self, id: ProcessId, serial: u64) {
        self.watchers.insert(id, Watcher { serial, lost: 0 });
        self.heed_watchers();
    }

    pub(super) fn unwatch(&mut self, id: ProcessId) {
        if self.watchers.remove(&id).is_some() {
            self.heed_watchers();
        }
    }

    fn heed_watchers(&mut self) {
        let trace = self.network.trace();
        trace.set_watched(!self.watchers.is_empty());
        self.site.set_trace(trace.wants_notes());
    }

    /// What was traced since is given to all who watch.
    pub(super) fn spread(&mut self) {
        if self.watchers.is_empty() {
            return;
        }
        let lines = self.network.trace().take_lines();
        if lines.is_empty() {
            return;
        }
        let mut watchers = std::mem::take(&mut self.watchers);
        for line in &lines {
            for (id, watcher) in &mut watchers {
                self.catch_up_with(*id, watcher);
                if watcher.lost > 0 || self.waiting(*id) >= LINES_MAX {
                    watcher.lost += 1;
                } else {
                    self.give(*id, watcher.serial, line);
                }
            }
        }
        self.watchers = watchers;
    }

    /// A process has read: if it watches, it is told what it has lost.
    pub(super) fn catch_up(&mut self, id: ProcessId) {
        if let Some(mut watcher) = self.watchers.remove(&id) {
            self.catch_up_with(id, &mut watcher);
            self.watchers.insert(id, watcher);
        }
    }

    fn catch_up_with(&mut self, id: ProcessId, watcher: &mut Watcher) {
        if watcher.lost > 0 && self.waiting(id) == 0 {
            let text = format!("… {} lines lost", std::mem::take(&mut watcher.lost));
            self.give(id, watcher.serial, &Line { at: clock::now().running, text });
        }
    }

    fn give(&mut self, id: ProcessId, serial: u64, line: &Line) {
        let mut rest = &line.text[..];
        loop {
            let (part, later) = rest.split_at(rest.floor_char_boundary(LINE_MAX));
            let more = !later.is_empty();
            let seen = Seen::Line { at: line.at, text: part.into(), more };
            self.answer(id, serial, Answer::Seen, seen.encode().into());
            if !more {
                return;
            }
            rest = later;
        }
    }

    fn waiting(&self, id: ProcessId) -> usize {
        self.processes.get(&id).map_or(0, |process| process.waiting())
    }
}
