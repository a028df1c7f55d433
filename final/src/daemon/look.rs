//! What a process is shown of the daemon.
//!
//! Invariant: nothing is changed by a look. Who is neither root nor the daemon's own user sees nothing
//! of other processes, neither what they are nor what they say.

use rustix::process::geteuid;

use super::inside::Inside;
use super::process::{Hands, Process};
use crate::clock;
use crate::local::Kind;
use crate::local::message::{Answer, Seen, What, page};
use crate::local::seen::{PortRow, ProcessInfo};
use crate::protocol::{ProcessId, ServerPort, SiteId};

impl Inside {
    pub(super) fn look(&mut self, id: ProcessId, serial: u64, what: What) {
        let Some(user) = self.processes.get(&id).map(|process| process.who.user) else { return };
        let owner = geteuid().as_raw();
        let sees_all = [0, owner].contains(&user);
        let seen = match what {
            What::Counters => Seen::Counters(self.site.counters().clone()),
            What::Entries => Seen::Entries(self.site.entries()),
            What::RoundTrips => Seen::RoundTrips(self.site.round_trips()),
            What::MoreRoundTrips { after } => self.more_round_trips(after),
            What::Processes { .. } | What::Ports { .. } | What::Trace if !sees_all => {
                Seen::NotAllowed { user, owner }
            }
            What::Processes { after } => self.processes_after(after, id),
            What::Ports { from, name } => self.ports_from(from, name),
            What::Trace => Seen::Watching,
        };
        let watches = seen == Seen::Watching;
        self.answer(id, serial, Answer::Seen, seen.encode().into());
        if watches {
            self.watch(id, serial);
        }
    }

    fn more_round_trips(&self, after: SiteId) -> Seen {
        let mut trips = self.site.round_trips();
        trips.retain(|(site, _, _)| *site > after);
        Seen::RoundTrips(trips)
    }

    fn processes_after(&self, after: u64, but: ProcessId) -> Seen {
        let later = self.processes.keys().filter(|id| id.0 > after && **id != but);
        let mut later: Vec<ProcessId> = later.copied().collect();
        later.sort_unstable();
        let shown = later.iter().filter_map(|id| Some(self.show(*id, self.processes.get(id)?)));
        let (processes, more) = page(shown);
        Seen::Processes { processes, more }
    }

    fn show(&self, id: ProcessId, process: &Process) -> ProcessInfo {
        let ports = process.ports();
        let in_hand = ports.iter().filter_map(|port| Some(self.ports.get(port)?.1.full.len()));
        let in_hand = count(in_hand.sum());
        ProcessInfo {
            id: id.0,
            pid: process.who.pid,
            user: process.who.user,
            kind: if process.queues.is_some() { Kind::Sysv } else { Kind::Shm },
            calls: count(process.open_calls()),
            ports: count(ports.len()),
            in_hand,
            waiting: count(process.waiting()),
            attached: clock::now().boot.saturating_sub(process.who.since),
        }
    }

    fn ports_from(&self, from: ServerPort, name: u32) -> Seen {
        let mut later: Vec<ServerPort> =
            self.ports.keys().filter(|port| **port >= from).copied().collect();
        later.sort_unstable();
        let rows = later.iter().filter_map(|port| Some((*port, self.ports.get(port)?)));
        let rows = rows.flat_map(|(port, (process, hands))| rows_of(port, *process, hands));
        let (ports, more) = page(rows.filter(|row| (row.port, row.number) >= (from, name)));
        Seen::Ports { ports, more }
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// One for each name, or one without.
fn rows_of(
    port: ServerPort,
    process: ProcessId,
    hands: &Hands,
) -> impl Iterator<Item = PortRow> + use<'_> {
    let nameless = hands.names.is_empty().then_some(None);
    let names = hands.names.iter().map(|name| Some(name.clone())).chain(nameless);
    names.zip(0..).map(move |(name, number)| PortRow {
        port,
        process: process.0,
        in_hand: count(hands.full.len()),
        free: hands.free,
        number,
        name,
    })
}
