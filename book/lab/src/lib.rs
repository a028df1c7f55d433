//! The bench all steps are tested on: a simulated network with a virtual clock, in no thread.
//!
//! A core is a [`Node`]; a [`Plan`] says in one line what is asked and what goes wrong; [`run()`] gives the one list of
//! events that the text trace, the diagram and the verdict are made from. The same plan gives the same run, byte for byte.

pub mod bank;
pub mod cli;
pub mod demo;
pub mod diagram;
pub mod events;
pub mod examples;
pub mod explore;
pub mod hostile;
pub mod lossy;
mod network;
pub mod node;
pub mod plan;
pub mod play;
pub mod run;
pub mod snapshot;
pub mod storm;
pub mod verdict;
pub mod world;

pub use bank::Bank;
pub use diagram::diagram;
pub use events::Trace;
pub use explore::{Exploration, Faults, explore};
pub use lossy::{LinkArgs, Lossy};
pub use node::{Action, Node, Time};
pub use plan::{Plan, Weather};
pub use run::Run;
pub use snapshot::assert_trace;
pub use storm::{Score, storms};
pub use verdict::{Breach, End, Verdict};
pub use world::{run, transcript};
