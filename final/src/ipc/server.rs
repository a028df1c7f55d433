//! The server's end (§2).

use std::time::Duration;

use bytes::Bytes;

use super::client::TOGETHER_MAX;
use super::message::Id;
use super::{IpcPort, MsgId, RawMsg, SendError, SiteError, after};
use crate::Site;
use crate::protocol::{self, Incoming, ServerId, ServerPort, Time};
use crate::site::Whereabouts;
use crate::site::desk::{Done, Event};
use crate::site::inside::{Inside, Job};

/// Receives requests and answers them, in any thread.
///
/// When it is dropped its port is closed for good: requests not taken are refused, and the clients of
/// those that were taken and not answered are told that nobody can tell whether they ran (R28).
///
/// ```
/// use unavez::{IpcServer, Site};
///
/// let site = Site::embedded()?;
/// let server = IpcServer::new(&site)?;
/// server.register("bank")?;
/// println!("{} is unavez://{}/bank", server.port(), site.address());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct IpcServer {
    site: Site,
    port: ServerPort,
}

impl IpcServer {
    /// A server with a port of its own.
    ///
    /// # Errors
    /// There are too many, or the site was stopped.
    pub fn new(site: &Site) -> Result<IpcServer, SendError> {
        match site.have_done(&Job::OpenPort)? {
            Done::Opened(port) => Ok(IpcServer { site: site.clone(), port }),
            other => unreachable!("a port was to be opened: {other:?}"),
        }
    }

    /// Its port: what a client needs to know to ask it. It names this life of the site, too: a server
    /// that comes back has another one (R10).
    pub fn port(&self) -> IpcPort {
        let Whereabouts { id: site, epoch, address } = self.site.whereabouts();
        let server = match self.site.door() {
            Ok(door) => door.enter(|inside| inside.name_of(self.port)),
            Err(_) => ServerId { site, epoch, port: self.port },
        };
        IpcPort { address, server }
    }

    /// Registers a name, under which clients find it in every life of the site.
    ///
    /// # Errors
    /// The name is taken at this site, empty or too long; or there are too many.
    pub fn register(&self, name: &str) -> Result<(), SendError> {
        self.site.have_done(&Job::Register(self.port, name.into())).map(drop)
    }

    /// Waits for a request. From here on it counts as run.
    ///
    /// # Errors
    /// The server takes no more, or the site was stopped.
    pub fn receive_request(&self) -> Result<(RawMsg, MsgId), SiteError> {
        self.take(None).map(|taken| taken.expect("it waits without end"))
    }

    /// The same, but takes all that are there, this many at most. All of them count as run from here on, so
    /// a service that takes long takes few.
    ///
    /// # Errors
    /// As [`IpcServer::receive_request`].
    pub fn receive_requests(&self, most: usize) -> Result<Vec<(RawMsg, MsgId)>, SiteError> {
        let mut taken = Vec::new();
        let look = |inside: &mut Inside| {
            while taken.len() < most.max(1) {
                match self.next(inside) {
                    Some(Ok(request)) => taken.push(request),
                    Some(Err(error)) if taken.is_empty() => return Some(Err(error)),
                    _ => break,
                }
            }
            (!taken.is_empty()).then_some(Ok(()))
        };
        self.site.door()?.wait(Event::Request(self.port), None, look).transpose()?;
        Ok(taken)
    }

    /// The same, but waits no longer than this.
    ///
    /// # Errors
    /// As [`IpcServer::receive_request`].
    pub fn receive_request_timeout(
        &self,
        timeout: Duration,
    ) -> Result<Option<(RawMsg, MsgId)>, SiteError> {
        self.take(after(timeout))
    }

    /// The same, but does not wait.
    ///
    /// # Errors
    /// As [`IpcServer::receive_request`].
    pub fn try_receive_request(&self) -> Result<Option<(RawMsg, MsgId)>, SiteError> {
        self.take(Some(Time::ZERO))
    }

    /// Answers a request that any thread has received here, once. The reply's flags and timeout mean
    /// nothing.
    ///
    /// # Errors
    /// No such request waits for an answer here: it was answered before.
    pub fn send_reply(&self, reply: impl Into<RawMsg>, id: MsgId) -> Result<(), SendError> {
        let body = reply.into().into_body();
        self.site.door()?.enter(|inside| self.answer(inside, body, id))
    }

    /// Answers several requests: as many replies as fit travel together, which is much faster than one
    /// after the other. None waits for that: a service that takes long answers each when it is done.
    ///
    /// # Errors
    /// Each as [`IpcServer::send_reply`].
    pub fn send_replies<M: Into<RawMsg>>(
        &self,
        replies: impl IntoIterator<Item = (M, MsgId)>,
    ) -> Vec<Result<(), SendError>> {
        let mut replies =
            replies.into_iter().map(|(reply, id)| (reply.into().into_body(), id)).fuse();
        let door = match self.site.door() {
            Ok(door) => door,
            Err(error) => return replies.map(|_| Err(error.into())).collect(),
        };
        let mut sent = Vec::with_capacity(replies.size_hint().0);
        let mut some: Vec<(Bytes, MsgId)> = Vec::new();
        loop {
            // Whatever the caller's iterator does, it does not do it under the lock.
            some.extend(replies.by_ref().take(TOGETHER_MAX));
            if some.is_empty() {
                return sent;
            }
            door.enter(|inside| {
                sent.extend(some.drain(..).map(|(body, id)| self.answer(inside, body, id)));
            });
        }
    }

    fn answer(&self, inside: &mut Inside, body: Bytes, id: MsgId) -> Result<(), SendError> {
        match id.0 {
            Id::Received(port, call) if port == self.port => inside.reply(port, call, body),
            _ => Err(protocol::SendError::NotServing.into()),
        }
    }

    /// Whether a request that was received here is not wanted any more: its client called it off, or
    /// has not been heard of for long (R30, R38). A long service asks now and then, and breaks off.
    pub fn is_cancelled(&self, id: &MsgId) -> bool {
        match (id.0, self.site.door()) {
            (Id::Received(_, call), Ok(door)) => door.enter(|inside| inside.is_cancelled(call)),
            _ => true,
        }
    }

    /// Takes no more requests: threads that wait for one return with [`SiteError::Closed`]. What was
    /// received before can still be answered; what comes waits, and is refused when the server is
    /// dropped.
    pub fn finish(&self) {
        if let Ok(door) = self.site.door() {
            door.enter(|inside| inside.finish_port(self.port));
        }
    }

    pub(super) fn site(&self) -> &Site {
        &self.site
    }

    fn take(&self, until: Option<Time>) -> Result<Option<(RawMsg, MsgId)>, SiteError> {
        let look = |inside: &mut Inside| self.next(inside);
        self.site.door()?.wait(Event::Request(self.port), until, look).transpose()
    }

    fn next(&self, inside: &mut Inside) -> Option<Result<(RawMsg, MsgId), SiteError>> {
        let port = self.port;
        match inside.desk.is_open(port) {
            true => inside.take_request(port).map(|taken| Ok(named(port, taken))),
            false if inside.is_stopped() => Some(Err(SiteError::Stopped)),
            false => Some(Err(SiteError::Closed)),
        }
    }
}

impl Drop for IpcServer {
    fn drop(&mut self) {
        if let Ok(door) = self.site.door() {
            door.enter(|inside| inside.close_port(self.port));
        }
    }
}

fn named(port: ServerPort, taken: Incoming) -> (RawMsg, MsgId) {
    let Incoming { call, body, flags, patience } = taken;
    (RawMsg::received(body, flags, patience), MsgId(Id::Received(port, call)))
}
