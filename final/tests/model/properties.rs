//! What must hold in every state (PROTOCOL §1).

use stateright::Property;

use super::state::{Config, Outcome, Record, Stage, UNLIMITED, Unknown, World};

pub(crate) fn all() -> Vec<Property<Config>> {
    vec![
        Property::always("R1 no service runs twice", |_, world: &World| {
            world.executed.iter().all(|times| *times <= 1)
        }),
        Property::always("R3 what is proved not to have run did not", |_, world: &World| {
            ended(world, Outcome::NotExecuted).all(|i| world.executed[i] == 0)
        }),
        Property::always("R1 what was answered ran once", |_, world: &World| {
            ended(world, Outcome::Reply).all(|i| world.executed[i] == 1)
        }),
        Property::always("R2 every call ends in time", |config: &Config, world: &World| {
            world.client.calls.iter().all(|call| call.age <= age_max(config))
        }),
        Property::always("R26 records stay within the window", |config: &Config, world: &World| {
            let window = config.window + u8::from(world.server.window_grown);
            world.server.tombstones.iter().flatten().all(|tombstone| {
                let above = tombstone.records.iter().skip(tombstone.floor.into());
                let kept = |record: &&Record| !matches!(record, Record::Unseen | Record::Forgotten);
                above.filter(kept).count() <= window.into()
            })
        }),
        Property::always(
            "R23 nothing is forgotten of who runs",
            |config: &Config, world: &World| {
                let faults = &config.faults;
                let forgets =
                    faults.evictions + faults.false_positives + faults.pauses + faults.stalls;
                forgets > 0 || ended(world, Outcome::Unknown(Unknown::Forgotten)).count() == 0
            },
        ),
        Property::always(
            "R26 nothing makes a client send more than its schedule",
            |config: &Config, world: &World| {
                // One more is sent with a token (R36).
                world.client.calls.iter().all(|call| call.attempt <= config.attempts_max + 1)
            },
        ),
    ]
}

/// From a state that is not, nothing follows that is worth a look.
pub(crate) fn is_safe(world: &World) -> bool {
    world.executed.iter().all(|times| *times <= 1)
        && ended(world, Outcome::NotExecuted).all(|i| world.executed[i] == 0)
        && ended(world, Outcome::Reply).all(|i| world.executed[i] == 1)
}

fn ended(world: &World, how: Outcome) -> impl Iterator<Item = usize> {
    let calls = world.client.calls.iter().enumerate();
    calls.filter(move |(_, call)| call.stage == Stage::Ended(how)).map(|(i, _)| i)
}

fn age_max(config: &Config) -> u8 {
    if config.patience != UNLIMITED {
        return config.patience + config.certain_wait;
    }
    let copies = config.rto * (config.attempts_max + 1);
    let heartbeats = config.heartbeat_every * (config.heartbeats_missed_max + 1);
    (copies + heartbeats + 2 * (config.packet_lifetime + 1)) * (1 + config.resends_max)
}
