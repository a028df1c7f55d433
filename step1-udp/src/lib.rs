//! A request goes out in one datagram and its reply comes back in another (§1).
//! There is no connection to open and none to close, so two packets are the whole exchange.
//! The reply is the only acknowledgement: who has it knows that the service ran.
//! But either packet may be lost, and then the caller waits for ever.

mod client;
mod server;
pub mod site;
pub mod udp;
pub mod wire;

pub use site::{Action, CallId, Deliver, Note, SendError, Site};
pub use udp::Udp;
pub use wire::{Kind, Packet, WireError};
