//! What may happen next, and what follows from it.

use stateright::{Model, Property};

use super::properties;
use super::server::Pressure;
use super::state::{Broken, CALLS_MAX, Config, PORTS_MAX, Packet, Record, Stage, UNLIMITED, World};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// Time passes, for everybody but who is paused.
    Tick,
    /// The process makes its next call.
    Ask,
    /// A copy or a heartbeat of this call is due.
    Due(usize),
    PatienceEnds(usize),
    /// A packet arrives, and another copy of it stays on its way.
    Arrives(Packet),
    ArrivesWhenBusy(Packet),
    ArrivesAsStranger(Packet),
    /// The client reads what came while it was paused; the server what came while it was stalled.
    ClientReads(Packet),
    ServerReads(Packet),
    ClientPauses,
    ClientGoesOn,
    ServerStalls,
    ServerGoesOn,
    ServerRestarts,
    /// The process takes up or finishes this number of this port; or takes so long that WORKING is said.
    Begins(usize, usize),
    Ends(usize, usize),
    Works(usize, usize),
    /// Its patience is over at the server, or its client silent (R21, R30).
    Marks(usize, usize),
    ProcessDies,
    Evicts(usize),
    FilterLies(usize),
    FilterForgets(usize),
    WindowGrows,
}

impl Model for Config {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self)]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        if !properties::is_safe(world) {
            return;
        }
        // What is due, and what a buffer holds, comes before time passes: a thread that runs, runs.
        let client_waits = client_steps(self, world, steps);
        let server_waits = server_steps(self, world, steps);
        if !client_waits && !server_waits {
            steps.push(Step::Tick);
        }
        network_steps(self, world, steps);
        for port in 0..PORTS_MAX {
            port_steps(self, world, port, steps);
        }
        let (faults, spent) = (&self.faults, &world.spent);
        if spent.deaths < faults.deaths && !world.server.port_dead {
            steps.push(Step::ProcessDies);
        }
        if spent.restarts < faults.restarts {
            steps.push(Step::ServerRestarts);
        }
        if self.window_grows && !world.server.window_grown {
            steps.push(Step::WindowGrows);
        }
    }

    fn next_state(&self, before: &World, step: Step) -> Option<World> {
        let mut world = before.clone();
        let age = world.server.age;
        match step {
            Step::Tick => tick(self, &mut world),
            Step::Ask if !world.ask(self) => return None,
            Step::Ask => {}
            Step::Due(i) => world.call_is_due(self, i),
            Step::PatienceEnds(i) => world.patience_ends(self, i),
            Step::Arrives(packet) => arrives(self, &mut world, packet),
            Step::ArrivesWhenBusy(packet) => {
                world.server_hears(self, packet, Pressure::Busy, age);
                let name = packet.name();
                world.network.get(&Packet::Busy { name })?;
                world.spent.busies += 1;
            }
            Step::ArrivesAsStranger(packet) => {
                world.server_hears(self, packet, Pressure::Challenge, age);
                world.spent.challenges += 1;
            }
            Step::ClientReads(packet) => {
                world.client.inbox.remove(&packet);
                world.client_hears(self, packet);
            }
            Step::ServerReads(packet) => {
                let came = world.server.inbox.remove(&packet)?;
                let late = self.breaks(Broken::FreshWhenHandled);
                world.server_hears(self, packet, Pressure::None, if late { age } else { came });
            }
            Step::ClientPauses => {
                (world.client.paused, world.spent.pauses) = (true, world.spent.pauses + 1)
            }
            Step::ClientGoesOn => world.client.paused = false,
            Step::ServerStalls => {
                (world.server.stalled, world.spent.stalls) = (true, world.spent.stalls + 1)
            }
            Step::ServerGoesOn => world.server.stalled = false,
            Step::ServerRestarts => {
                world.server_restarts();
                world.spent.restarts += 1;
            }
            Step::Begins(port, number) => world.begin_service(self, port, number),
            Step::Ends(port, number) => world.end_service(self, port, number),
            Step::Works(port, number) => {
                let name = world.name(port, number);
                world.send(self, Packet::Working { name });
            }
            Step::Marks(port, number) => {
                world.set(port, number, Record::Marked(self.reply_lifetime));
                world.spent.marks += 1;
            }
            Step::ProcessDies => {
                world.process_dies(self);
                world.spent.deaths += 1;
            }
            Step::Evicts(port) => {
                world.evict(port);
                world.spent.evictions += 1;
            }
            Step::FilterLies(port) => {
                world.server.evicted[port] = true;
                world.spent.false_positives += 1;
            }
            Step::FilterForgets(port) => world.server.evicted[port] = false,
            Step::WindowGrows => world.server.window_grown = true,
        }
        (world != *before).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Config>> {
        properties::all()
    }
}

/// Says whether something must be done before time passes.
fn client_steps(config: &Config, world: &World, steps: &mut Vec<Step>) -> bool {
    let client = &world.client;
    if client.paused {
        steps.push(Step::ClientGoesOn);
        return false;
    }
    let mut waits = !client.inbox.is_empty();
    steps.extend(client.inbox.iter().map(|packet| Step::ClientReads(*packet)));
    for (i, call) in client.calls.iter().enumerate().filter(|(_, call)| call.stage.is_open()) {
        if call.patience == 0 && call.stage != Stage::Aborting {
            steps.push(Step::PatienceEnds(i));
        } else if call.due == 0 {
            steps.push(Step::Due(i));
        } else {
            continue;
        }
        waits = true;
    }
    if client.calls.iter().any(|call| call.stage == Stage::New) && world.clone().ask(config) {
        steps.push(Step::Ask);
    }
    let may_pause = world.spent.pauses < config.faults.pauses;
    if may_pause && client.calls.iter().any(|call| call.stage.is_open()) {
        steps.push(Step::ClientPauses);
    }
    waits
}

fn server_steps(config: &Config, world: &World, steps: &mut Vec<Step>) -> bool {
    let server = &world.server;
    if server.stalled {
        steps.push(Step::ServerGoesOn);
        return false;
    }
    let began = world.client.calls.iter().any(|call| call.stage != Stage::New);
    if world.spent.stalls < config.faults.stalls && began {
        steps.push(Step::ServerStalls);
    }
    steps.extend(server.inbox.keys().map(|packet| Step::ServerReads(*packet)));
    !server.inbox.is_empty()
}

fn network_steps(config: &Config, world: &World, steps: &mut Vec<Step>) {
    let (faults, spent, server) = (&config.faults, &world.spent, &world.server);
    for packet in world.network.keys() {
        steps.push(Step::Arrives(*packet));
        let Packet::Request { name, token, .. } = *packet else { continue };
        if server.stalled {
            continue;
        }
        if spent.busies < faults.busies {
            steps.push(Step::ArrivesWhenBusy(*packet));
        }
        let port = usize::from(name.port);
        let stranger = server.tombstones[port].is_none() && !server.evicted[port];
        if spent.challenges < faults.challenges && !token && stranger && name.epoch == server.epoch
        {
            steps.push(Step::ArrivesAsStranger(*packet));
        }
    }
}

fn port_steps(config: &Config, world: &World, port: usize, steps: &mut Vec<Step>) {
    let (faults, spent) = (&config.faults, &world.spent);
    if let Some(tombstone) = world.server.tombstones[port] {
        for (number, record) in tombstone.records.into_iter().enumerate() {
            if record == Record::Queued {
                steps.push(Step::Begins(port, number));
                if spent.marks < faults.marks {
                    steps.push(Step::Marks(port, number));
                }
            }
            if matches!(record, Record::Serving | Record::SecretlyServing) {
                steps.push(Step::Ends(port, number));
                if config.slow_service {
                    steps.push(Step::Works(port, number));
                }
            }
        }
        if spent.evictions < faults.evictions && world.may_evict(config, port) {
            steps.push(Step::Evicts(port));
        }
    }
    let evicted = world.server.evicted[port];
    let drawn = port == 0 || world.client.ports[port - 1].next > 0;
    if spent.false_positives < faults.false_positives && !evicted && drawn {
        steps.push(Step::FilterLies(port));
    }
    if config.breaks(Broken::FilterFades) && evicted {
        steps.push(Step::FilterForgets(port));
    }
}

/// Into the hands of whom it is for, or into the buffer of one that does not read.
fn arrives(config: &Config, world: &mut World, packet: Packet) {
    let age = world.server.age;
    if packet.is_to_server() && world.server.stalled {
        world.server.inbox.entry(packet).or_insert(age);
    } else if packet.is_to_server() {
        world.server_hears(config, packet, Pressure::None, age);
    } else if world.client.paused {
        world.client.inbox.insert(packet);
    } else {
        world.client_hears(config, packet);
    }
}

fn tick(config: &Config, world: &mut World) {
    world.network.retain(|_, left| *left > 0);
    world.network.values_mut().for_each(|left| *left -= 1);
    world.server_ages(config);
    if world.client.paused {
        return;
    }
    let server = &world.server;
    for call in world.client.calls.iter_mut().filter(|call| call.stage.is_open()) {
        // A call of unlimited patience lives as long as the server has it (R2).
        let held = config.patience == UNLIMITED
            && call.name.epoch == server.epoch
            && server.tombstones[usize::from(call.name.port)]
                .is_some_and(|it| it.records[usize::from(call.name.number)].is_open());
        call.due = call.due.saturating_sub(1);
        call.age = if held { 0 } else { call.age + 1 };
        if call.patience != UNLIMITED {
            call.patience = call.patience.saturating_sub(1);
        }
    }
    debug_assert!(world.client.calls.len() <= CALLS_MAX);
}
