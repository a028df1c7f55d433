//! What must hold of a site's tables, at every event and in the end.

use unavez::protocol::{Entries, Note};

use crate::ledger::Breach;
use crate::scenario::{Calm, host_name};
use crate::world::World;

impl World<'_> {
    pub(crate) fn check_tables(&self, host: usize) -> Result<(), Breach> {
        let Some(site) = &self.hosts[host].site else { return Ok(()) };
        let (entries, config) = (site.entries(), &self.scenario.config);
        let timers = 2 * entries.calls
            + entries.client_ports
            + entries.records
            + entries.tombstones
            + entries.building;
        let records_max = self.calm().map_or(config.records_max, |calm| calm.records_max);
        // Those of the site itself, which asks for names, come on top: one for each name.
        let held = entries.calls <= 2 * config.calls_max
            && entries.records <= records_max
            && entries.bytes <= config.bytes_max
            && entries.tombstones <= config.clients_max
            && entries.timers <= timers + 2;
        held.then_some(()).ok_or_else(|| format!("{} holds too much: {entries:?}", host_name(host)))
    }

    /// Everything has ended and its time is over: nothing is kept of it.
    pub(crate) fn check_rest(&self) -> Result<(), Breach> {
        for (i, host) in self.hosts.iter().enumerate() {
            let Some(site) = &host.site else { continue };
            if site.entries() != Entries::default() {
                return Err(format!("{} keeps {:?}", host_name(i), site.entries()));
            }
        }
        let sites = self.hosts.iter().filter_map(|host| host.site.as_ref());
        let repeated: u64 = sites.map(|site| site.counters().get(Note::Retransmitted)).sum();
        match self.calm() {
            Some(_) if repeated > 0 => Err("a request is sent again without a fault (R27)".into()),
            Some(calm) if self.run.datagrams > calm.datagrams_max => {
                Err(format!("{} datagrams without a fault (R4)", self.run.datagrams))
            }
            _ => Ok(()),
        }
    }

    /// What it costs, if nothing goes wrong.
    fn calm(&self) -> Option<Calm> {
        self.scenario.demands.calm.filter(|_| self.scenario.faults.is_empty())
    }
}
