//! One daemon serves all processes of its host: the protocol moves into it, unchanged (§4).
//! Four threads each wait for one thing, a message, a datagram, a moment or a packet to send, and nothing polls.
//! Processes talk to it through System V queues, and a library hides those: ports, requests, replies, any thread (§2).
//! But a message must fit one datagram, and a process that gives up on a call cannot call it off.

mod client;
pub mod config;
pub mod daemon;
pub mod epoch;
pub mod ipc;
mod server;
pub mod site;
pub mod timers;
pub mod wire;

pub use config::Config;
pub use daemon::Daemon;
pub use epoch::{Epoch, Life};
pub use ipc::{Attachment, IpcClient, IpcError, IpcPort, IpcServer, MsgId, RawMsg};
pub use site::{Action, CallError, CallId, Deliver, Note, Port, SendError, Site, Time};
pub use wire::{Kind, Packet, WireError};
