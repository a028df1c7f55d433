//! What goes wrong, and what to conclude from it (R3).

use std::fmt;

use crate::protocol::{self, NotExecuted, Unknown};

/// What a caller may conclude about a call without a reply.
///
/// ```
/// use unavez::{IpcClient, IpcServer, RawMsg, Site, Conclusion};
///
/// let site = Site::embedded()?;
/// let server = IpcServer::new(&site)?;
/// let port = server.port();
/// drop(server);
/// let error = IpcClient::new(&site, port).call("hello").unwrap_err();
/// assert_eq!(error.conclude(), Conclusion::NotExecuted);
/// assert_eq!(error.to_string(), "nobody serves at this port");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Conclusion {
    /// It is proved that the service did not run and never will for this call: it may be called again.
    NotExecuted,
    /// The service ran, or broke off while it ran, and there is no reply.
    Executed,
    /// The service ran once or not at all; nobody can tell from here.
    Unknown,
}

/// Why the site does not serve this process any more, or this port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SiteError {
    /// [`crate::Site::stop`] was called.
    #[error("the site was stopped")]
    Stopped,
    /// The site belongs to the parent of this process, which must make its own.
    #[error("the site was made before this process was forked")]
    Forked,
    /// The daemon of this host was restarted while this call was open or this request was served: what
    /// it knew of them is gone.
    #[error("the daemon of this host was restarted meanwhile")]
    Restarted,
    /// The daemon of this host does not answer, or there is none at the moment.
    #[error("the daemon of this host does not answer")]
    Away,
    /// The server takes no more requests.
    #[error("the server takes no more requests")]
    Closed,
}

/// Why nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SendError {
    /// It cannot be sent.
    #[error(transparent)]
    Refused(#[from] protocol::SendError),
    /// Nothing can be sent any more.
    #[error(transparent)]
    Site(#[from] SiteError),
}

/// Why a call has no reply. [`CallError::conclude`] says what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CallError {
    /// Nothing was sent.
    #[error(transparent)]
    NotSent(SendError),
    /// It is proved that the service did not run.
    #[error(transparent)]
    NotExecuted(#[from] NotExecuted),
    /// Nobody can tell whether the service ran; but [`Unknown::ReplyTooBig`] says that it did.
    #[error(transparent)]
    Unknown(#[from] Unknown),
    /// No open call of this client is named so: its outcome was taken before, and said what to
    /// conclude.
    #[error("no open call of this client; its outcome was taken before")]
    Taken,
    /// The outcome cannot be received here any more.
    #[error(transparent)]
    Site(SiteError),
}

impl CallError {
    /// What the caller may conclude.
    pub fn conclude(&self) -> Conclusion {
        match self {
            CallError::NotSent(_) | CallError::NotExecuted(_) => Conclusion::NotExecuted,
            CallError::Unknown(Unknown::ReplyTooBig) => Conclusion::Executed,
            CallError::Unknown(_) | CallError::Taken | CallError::Site(_) => Conclusion::Unknown,
        }
    }
}

impl SendError {
    /// What the caller may conclude: nothing was sent.
    pub fn conclude(&self) -> Conclusion {
        Conclusion::NotExecuted
    }
}

impl fmt::Display for Conclusion {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Conclusion::NotExecuted => "the service did not run and never will",
            Conclusion::Executed => "the service ran",
            Conclusion::Unknown => "the service may have run, once",
        })
    }
}
