//! The interface of the paper's §2: messages, ports, clients and servers; on top, typed calls.
//!
//! Any thread may send, receive and answer. A reply may be taken by another thread than the one that
//! sent the request, and given by another than the one that received it.

mod client;
mod error;
mod message;
mod nested;
mod server;
mod target;
pub mod typed;

pub use client::{IpcClient, Reply};
pub use error::{CallError, Conclusion, SendError, SiteError};
pub use message::{MsgId, RawMsg};
pub use server::IpcServer;
pub use target::{ServiceUrl, TargetError};
pub use typed::{Service, TypedClient, TypedError, serve};

pub use crate::protocol::{IpcPort, Target};

use std::time::Duration;

use crate::clock;
use crate::protocol::Time;

/// The moment at which this time is over, or none if no clock of the kernel goes so far.
pub(crate) fn after(time: Duration) -> Option<Time> {
    let at = clock::running().checked_add(time)?;
    (at.as_nanos() <= i64::MAX as u128).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel takes a wait that is longer than its clocks go for a mistake, and returns at once:
    /// the thread would turn in circles (R5).
    #[test]
    fn a_wait_beyond_all_clocks_is_endless() {
        assert!(after(Duration::from_secs(200 * 366 * 24 * 3600)).is_some());
        for long in [Duration::from_secs(u64::MAX - (1 << 40)), Duration::MAX] {
            assert_eq!(after(long), None);
        }
    }
}
