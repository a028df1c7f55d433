//! The protocol: no socket, no thread and no clock in it.
//!
//! A [`Site`] takes one event, gives out every [`Action`] that follows, and says when it next wants
//! [`Site::handle_timeout`]. The same type runs on a simulated network, inside a process, under the
//! threads of a daemon.

mod broken;
mod builtin;
mod client;
pub mod config;
mod datagram;
mod effects;
mod evicted;
mod fragments;
mod ids;
mod kind;
mod note;
mod outcome;
mod row;
mod rtt;
mod server;
mod site;
mod table;
mod timers;
mod token;
mod tombstone;
mod wire;

#[doc(hidden)]
pub use broken::Broken;
pub use builtin::{SiteReply, SiteRequest};
pub use config::Config;
pub use datagram::{Datagrams, Piece, packets, pieces};
pub use fragments::{DATAGRAM_LARGEST, FRAGMENT_HEADER, Fragment, MESSAGE_LARGEST};
pub use ids::{
    CallId, ClientId, ClientPort, Epoch, IpcPort, ParsePortError, ServerId, ServerPort, SiteId,
};
pub use kind::{Credit, Fate, Flags, Grant, Kind, Ran, Reason, Token};
pub use note::{Counters, Note};
pub use outcome::{NotExecuted, Outcome, SendError, Unknown};
pub use site::{Action, Call, Entries, Incoming, Now, ProcessId, Request, Site, Target, Time};
pub(crate) use table::{NumberedTable, Table};
pub use timers::{Timer, Timers};
pub use wire::{BODY_MAX, DATAGRAM_MAX, HEADER_MAX, Packet, UNLIMITED, WireError};
