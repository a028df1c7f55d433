//! A server that needs longer than the client's timer says so before that timer is due (§3.3).
//! From then on the client sends no copies; it asks now and then whether its call is still being served.
//! A living server is never given up however long it takes, and a dead one is noticed in bounded time.
//! But all of it lives in one process, and a host has many that want to ask and to serve.

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
