//! A request that is not answered in time is sent again, up to a bounded number of times (§3.1).
//! One queue, a binary heap, holds everything that is due later (§4.2.3).
//! Every call ends now: with its reply, or with a failure that says what the caller may conclude.
//! But who sends again cannot know which packet was lost, and a service may run twice.

mod client;
pub mod config;
mod server;
pub mod site;
pub mod timers;
pub mod udp;
pub mod wire;

pub use config::Config;
pub use site::{Action, CallError, CallId, Deliver, Note, SendError, Site, Time};
pub use udp::Udp;
pub use wire::{Kind, Packet, WireError};
