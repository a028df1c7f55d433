//! A site of the world with its processes, and what befalls it.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use unavez::protocol::{
    Broken, CallId, Epoch, IpcPort, Now, ProcessId, ServerId, ServerPort, Site, SiteId, Time,
};

use crate::clock::Clock;
use crate::ledger::Breach;
use crate::process::name;
use crate::scenario::{Freeze, HostPlan, Mishap};
use crate::world::{Due, World};

pub(crate) struct Host {
    id: usize,
    pub(crate) address: SocketAddr,
    moves: u8,
    pub(crate) clock: Clock,
    pub(crate) site: Option<Site>,
    pub(crate) life: u32,
    /// What its socket holds.
    pub(crate) inbox: VecDeque<(SocketAddr, Vec<u8>)>,
    pub(crate) services: Vec<Service>,
    pub(crate) clients: Vec<ProcessId>,
    processes: u64,
    /// Every port that each service ever had.
    pub(crate) published: Vec<Vec<IpcPort>>,
    /// What its processes would have done while it stood still.
    pub(crate) backlog: Vec<Due>,
    pub(crate) cut_until: Time,
    /// Stands still as soon as it has read what came.
    pub(crate) trip: Option<(Freeze, Time)>,
    /// It had read all that came before this moment when it stood still.
    pub(crate) drained: Option<Now>,
}

#[derive(Default)]
pub(crate) struct Service {
    pub(crate) process: ProcessId,
    pub(crate) port: Option<ServerPort>,
    /// Which call is which request in its hands.
    pub(crate) hands: BTreeMap<CallId, usize>,
    /// How often each of them had run.
    pub(crate) answers: BTreeMap<CallId, u32>,
}

impl Host {
    pub(crate) fn new(id: usize, plan: &HostPlan) -> Host {
        Host {
            id,
            address: address(id, 0),
            moves: 0,
            clock: Clock::new(plan.drift_ppm),
            site: None,
            life: 0,
            inbox: VecDeque::new(),
            services: plan.services.iter().map(|_| Service::default()).collect(),
            clients: vec![ProcessId::default(); plan.clients],
            processes: 0,
            published: vec![Vec::new(); plan.services.len()],
            backlog: Vec::new(),
            cut_until: Time::ZERO,
            trip: None,
            drained: None,
        }
    }

    pub(crate) fn runs(&self) -> bool {
        self.site.is_some() && !self.clock.is_frozen()
    }

    pub(crate) fn now(&self, at: Time) -> Now {
        self.clock.now(at)
    }

    /// The service of this process, and its port.
    pub(crate) fn serving(&self, process: ProcessId) -> Option<(usize, ServerPort)> {
        self.site.as_ref()?;
        let index = self.services.iter().position(|service| service.process == process)?;
        Some((index, self.services[index].port?))
    }

    pub(crate) fn server_id(&self, port: ServerPort) -> ServerId {
        let site = self.site.as_ref().expect("it serves");
        ServerId { site: site.site(), epoch: site.epoch(), port }
    }

    fn new_process(&mut self) -> ProcessId {
        self.processes += 1;
        ProcessId(self.processes)
    }
}

impl World<'_> {
    /// A life of a site begins, with all its processes.
    pub(crate) fn start(&mut self, host: usize) {
        let config = self.scenario.config;
        let it = &mut self.hosts[host];
        if it.site.is_some() {
            return;
        }
        it.life += 1;
        let forgetful = config.is_broken(Broken::EpochNotDurable);
        let life = if forgetful { 1 } else { it.life };
        let mut random = Pcg64Mcg::seed_from_u64(
            self.scenario.weather.seed ^ ((host as u64) << 32) ^ (u64::from(it.life) << 48),
        );
        let mut seed = [0; 32];
        random.fill_bytes(&mut seed);
        let epoch_random = if forgetful { 7 } else { random.next_u32() };
        let epoch = Epoch { counter: life, random: epoch_random };
        let now = it.clock.now(self.now);
        let mut site = Site::new(now, config, SiteId(0xa0 + it.id as u64), epoch, seed);
        site.set_trace(self.trace.on);
        it.site = Some(site);
        for client in 0..it.clients.len() {
            it.clients[client] = it.new_process();
        }
        for service in 0..it.services.len() {
            self.open(host, service);
        }
        let life = self.hosts[host].life;
        if life > 1 {
            self.trace.line(self.now, host, || format!("restart, life {life}"));
        }
    }

    /// A process begins to serve.
    pub(crate) fn open(&mut self, host: usize, service: usize) {
        let it = &mut self.hosts[host];
        let process = it.new_process();
        let Some(site) = &mut it.site else { return };
        let Ok(port) = site.open_port(process) else { return };
        // The name may still be taken, by a port that is not closed.
        let _ = site.register(&name(service), port);
        it.services[service] = Service { process, port: Some(port), ..Service::default() };
        let (address, server) = (it.address, it.server_id(port));
        it.published[service].push(IpcPort { address, server });
    }

    pub(crate) fn befall(&mut self, host: usize, mishap: Mishap) -> Result<(), Breach> {
        if self.hosts[host].site.is_none() {
            return Ok(());
        }
        let stands_still = self.hosts[host].clock.is_frozen();
        match mishap {
            Mishap::Crash(down) => self.crash(host, down),
            Mishap::Cut(time) => {
                self.trace.line(self.now, host, || format!("cut off for {time:?}"));
                self.hosts[host].cut_until = self.now + time;
            }
            Mishap::Swap(other) if other != host => {
                self.trace.line(self.now, host, || "changes addresses".into());
                let address = self.hosts[other].address;
                self.hosts[other].address = self.hosts[host].address;
                self.hosts[host].address = address;
            }
            Mishap::Swap(_) => {}
            Mishap::Move => {
                let it = &mut self.hosts[host];
                it.moves += 1;
                it.address = address(it.id, it.moves);
                self.trace.line(self.now, host, || "moves".into());
            }
            // What stands still does nothing and is told nothing.
            _ if stands_still => {}
            Mishap::Freeze(how, time) => self.freeze(host, how, time),
            Mishap::FreezeReading(how, time) => self.hosts[host].trip = Some((how, time)),
            Mishap::ServerDies(service, down) => return self.server_dies(host, service, down),
            Mishap::Reopens(service) => return self.reopens(host, service),
            Mishap::ClientDies(client) => return self.client_dies(host, client),
        }
        Ok(())
    }

    fn crash(&mut self, host: usize, down: Time) {
        self.trace.line(self.now, host, || "crash".into());
        self.count(host);
        self.ledger.crashed(host);
        let it = &mut self.hosts[host];
        it.site = None;
        it.clock.thaw(self.now);
        it.inbox.clear();
        it.drained = None;
        it.trip = None;
        it.services.iter_mut().for_each(|service| *service = Service::default());
        // Asks planned for later are made by the next life; the rest dies with its processes.
        let backlog = std::mem::take(&mut it.backlog);
        for due in backlog.into_iter().filter(|due| matches!(due, Due::Ask(_))) {
            self.schedule(self.now, due);
        }
        self.schedule(self.now + down, Due::Restart(host));
    }

    pub(crate) fn freeze(&mut self, host: usize, how: Freeze, time: Time) {
        self.trace.line(self.now, host, || format!("{how:?} for {time:?}"));
        self.hosts[host].clock.freeze(how, self.now);
        self.schedule(self.now + time, Due::Thaw(host));
    }

    pub(crate) fn thaw(&mut self, host: usize) -> Result<(), Breach> {
        if !self.hosts[host].clock.is_frozen() {
            return Ok(());
        }
        self.trace.line(self.now, host, || "goes on".into());
        self.hosts[host].clock.thaw(self.now);
        for due in std::mem::take(&mut self.hosts[host].backlog) {
            self.schedule(self.now, due);
        }
        if let Some(read) = self.hosts[host].drained.take() {
            self.with_site(host, |site, _| site.handle_drained(read))?;
            self.with_site(host, |site, now| {
                if site.deadline().is_some_and(|deadline| deadline <= now.running) {
                    site.handle_timeout(now);
                }
            })?;
        }
        self.drive(host)
    }

    fn server_dies(&mut self, host: usize, service: usize, down: Time) -> Result<(), Breach> {
        let it = &mut self.hosts[host];
        let died = std::mem::take(&mut it.services[service]);
        let life = it.life;
        if died.port.is_none() {
            return Ok(());
        }
        self.trace.line(self.now, host, || format!("service {service} dies"));
        self.schedule(self.now + down, Due::Revive { host, life, service });
        self.with_site(host, |site, now| site.end_process(now, died.process))
    }

    fn reopens(&mut self, host: usize, service: usize) -> Result<(), Breach> {
        let left = std::mem::take(&mut self.hosts[host].services[service]);
        let Some(port) = left.port else { return Ok(()) };
        self.trace.line(self.now, host, || format!("service {service} opens another port"));
        self.with_site(host, |site, now| site.close_port(now, port))?;
        self.open(host, service);
        Ok(())
    }

    fn client_dies(&mut self, host: usize, client: usize) -> Result<(), Breach> {
        self.trace.line(self.now, host, || format!("client {client} dies"));
        let process = self.hosts[host].clients[client];
        self.hosts[host].clients[client] = self.hosts[host].new_process();
        self.with_site(host, |site, now| site.end_process(now, process))?;
        self.ledger.left(host, process);
        Ok(())
    }
}

fn address(host: usize, moves: u8) -> SocketAddr {
    (Ipv4Addr::new(10, moves, 0, host as u8 + 1), 7373).into()
}
