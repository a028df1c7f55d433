//! The proof bench of `unavez`: many sites on a simulated network under virtual clocks, in no thread.
//!
//! A [`Scenario`] says who asks whom for what, and what goes wrong. [`run`] plays it on the real core
//! and watches the promise at every event. Storms make scenarios by the million from seeds;
//! exploration makes all of them with up to so many faults.

mod cases;
mod clock;
mod explore;
mod host;
mod ledger;
mod network;
mod process;
mod run;
mod scenario;
mod storm;
mod storms;
mod tables;
mod trace;
mod world;

pub use cases::{Case, cases, catch};
pub use explore::{Exploration, Faults, explore};
pub use run::{Point, Run, Seen};
pub use scenario::{
    CallPlan, Calm, Demands, Fate, Fault, Freeze, HostPlan, Mishap, Scenario, ServicePlan, Weather,
    When,
};
pub use storm::{Season, storm};
pub use storms::{Score, kind, shrink, storms};
pub use world::run;
