//! Every request bears a number that its client never uses again (§3.1).
//! The server makes a record of a call before the service runs, and keeps the reply in it for duplicates.
//! Replies are never acknowledged: the record goes when no duplicate can come any more (§3.2).
//! But the numbers and the records live in memory, and a site that restarts has forgotten them.
//!
//! Left out: a client is known by its address, so one whose address changes in the middle of a call
//! is a stranger, and its call may run again. The production library names sites instead.

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
