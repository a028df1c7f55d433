//! Every life of a site has an epoch of its own, on stable storage before the first packet leaves (§3.4).
//! A request names the life of the server that it is meant for; any other life refuses it, and says so.
//! A reply names the life of the client that asked; any other life drops it as an orphan.
//! But a service that takes longer than the client's patience is given up, though its server lives.

mod client;
pub mod config;
pub mod epoch;
mod server;
pub mod site;
pub mod timers;
pub mod udp;
pub mod wire;

pub use config::Config;
pub use epoch::{Epoch, Life};
pub use site::{Action, CallError, CallId, Deliver, Note, Port, SendError, Site, Time};
pub use udp::Udp;
pub use wire::{Kind, Packet, WireError};
