//! Exactly-once request and reply over UDP.
//!
//! A client sends a request and gets one reply, or is told what it may conclude: the service did not
//! run, or nobody can tell whether it did. It never runs twice. Two datagrams are all it takes.
//!
//! ```
//! use unavez::{IpcClient, IpcServer, Site};
//!
//! let site = Site::embedded()?;
//! let server = IpcServer::new(&site)?;
//! server.register("echo")?;
//! std::thread::spawn(move || {
//!     while let Ok((request, id)) = server.receive_request() {
//!         let _ = server.send_reply(request, id);
//!     }
//! });
//!
//! let client = IpcClient::open(&site, &format!("unavez://{}/echo", site.address()))?;
//! match client.call("hello") {
//!     Ok(reply) => assert_eq!(reply.body(), "hello"),
//!     Err(error) => println!("{error}: {}", error.conclude()),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod attached;
mod clock;
#[cfg(feature = "daemon")]
pub mod daemon;
pub mod embedded;
mod fork;
pub mod ipc;
pub mod link;
// Of both sides of the channel a library without the daemon needs one.
#[cfg_attr(not(feature = "daemon"), allow(dead_code))]
mod local;
pub mod observe;
pub mod protocol;
mod site;
mod state;
mod udp;

pub use attached::AttachError;
pub use embedded::Options;
pub use ipc::{
    CallError, Conclusion, IpcClient, IpcPort, IpcServer, MsgId, RawMsg, SendError, SiteError,
    TypedClient, serve,
};
pub use site::Site;
