//! The client's end (§2).
//!
//! Invariant: each outcome is taken once. The one of [`IpcClient::call`] and of
//! [`IpcClient::receive_reply_of`] is taken by the thread that asked for it, all others by whichever
//! thread is in [`IpcClient::receive_reply`].

use std::time::Duration;

use super::message::Id;
use super::target::TargetError;
use super::{CallError, MsgId, RawMsg, SendError, ServiceUrl, SiteError, Target, after};
use crate::Site;
use crate::protocol::{Call, Request, Time};
use crate::site::desk::{ClientNumber, End, Event};
use crate::site::inside::Inside;

/// Sends requests to one server and receives its replies, in any thread, many at a time.
///
/// When it is dropped its open calls are called off.
///
/// ```
/// use unavez::{IpcClient, IpcServer, Site};
///
/// let site = Site::embedded()?;
/// let server = IpcServer::new(&site)?;
/// let client = IpcClient::new(&site, server.port());
/// let first = client.send_request("one")?;
/// let second = client.send_request("two")?;
/// for _ in 0..2 {
///     let (request, id) = server.receive_request()?;
///     server.send_reply(request, id)?;
/// }
/// assert_eq!(client.receive_reply_of(second)?.body(), "two");
/// let (id, reply) = client.receive_reply()?;
/// assert_eq!((id, reply?.body().as_ref()), (first, b"one".as_ref()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct IpcClient {
    site: Site,
    target: Target,
    number: ClientNumber,
}

/// So many requests or replies are sent before other threads may enter: more do not travel better.
pub(super) const TOGETHER_MAX: usize = 256;

/// Which call ended, and how.
pub type Reply = (MsgId, Result<RawMsg, CallError>);

impl IpcClient {
    /// A client of this server: a port, or a service by name.
    pub fn new(site: &Site, target: impl Into<Target>) -> IpcClient {
        IpcClient { site: site.clone(), target: target.into(), number: ClientNumber::new() }
    }

    /// A client of the server of which this text speaks: `unavez://HOST:PORT/NAME`, or a printed
    /// [`super::IpcPort`].
    ///
    /// # Errors
    /// The text is neither, or nobody knows the host.
    pub fn open(site: &Site, text: &str) -> Result<IpcClient, TargetError> {
        let target = match text.parse::<super::IpcPort>() {
            Ok(port) => port.into(),
            Err(_) => text.parse::<ServiceUrl>()?.resolve(site.address().is_ipv4())?,
        };
        Ok(IpcClient::new(site, target))
    }

    /// Sends a request and waits for how it ends.
    ///
    /// # Errors
    /// There is no reply; [`CallError::conclude`] says what follows.
    pub fn call(&self, request: impl Into<RawMsg>) -> Result<RawMsg, CallError> {
        let request = request.into().into_request(self.site.config());
        let door = self.site.door().map_err(|error| CallError::NotSent(error.into()))?;
        let begin = |inside: &mut Inside| {
            inside.ask(self.number, &self.target, request, true).map(Event::Reply)
        };
        let taken = door.begin(None, begin, take).map_err(CallError::NotSent)?;
        taken.flatten().map_or(Err(CallError::Taken), said)
    }

    /// Sends a request. What becomes of it is received with the name returned.
    ///
    /// # Errors
    /// Nothing was sent.
    pub fn send_request(&self, request: impl Into<RawMsg>) -> Result<MsgId, SendError> {
        let request = request.into().into_request(self.site.config());
        self.site.door()?.enter(|inside| self.ask(inside, request))
    }

    /// Sends several requests, in this order: as many as fit travel together, which is much faster than
    /// one after the other. What becomes of each is received with its name.
    ///
    /// # Errors
    /// Each that has one was not sent.
    ///
    /// ```
    /// use unavez::{IpcClient, IpcServer, Site};
    ///
    /// let site = Site::embedded()?;
    /// let server = IpcServer::new(&site)?;
    /// let client = IpcClient::new(&site, server.port());
    /// let sent = client.send_requests((1..=3).map(|number| format!("request {number}")));
    /// let mut open = sent.into_iter().collect::<Result<Vec<_>, _>>()?.len();
    /// while open > 0 {
    ///     let requests = server.receive_requests(100)?;
    ///     server.send_replies(requests);
    ///     open -= client.receive_replies(100)?.len();
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_requests<M: Into<RawMsg>>(
        &self,
        requests: impl IntoIterator<Item = M>,
    ) -> Vec<Result<MsgId, SendError>> {
        let config = self.site.config();
        let mut requests = requests.into_iter().map(|it| it.into().into_request(config)).fuse();
        let door = match self.site.door() {
            Ok(door) => door,
            Err(error) => return requests.map(|_| Err(error.into())).collect(),
        };
        let mut sent = Vec::with_capacity(requests.size_hint().0);
        let mut some: Vec<Request> = Vec::new();
        loop {
            // Whatever the caller's iterator does, it does not do it under the lock.
            some.extend(requests.by_ref().take(TOGETHER_MAX));
            if some.is_empty() {
                return sent;
            }
            door.enter(|inside| {
                sent.extend(some.drain(..).map(|request| self.ask(inside, request)));
            });
        }
    }

    fn ask(&self, inside: &mut Inside, request: Request) -> Result<MsgId, SendError> {
        let call = inside.ask(self.number, &self.target, request, false)?;
        Ok(MsgId(Id::Sent(self.number, call)))
    }

    /// Waits for the end of any call of this client that no thread asks for by name; if none is open,
    /// for one that another thread begins.
    ///
    /// # Errors
    /// The site was stopped, and the outcomes of all calls were taken.
    pub fn receive_reply(&self) -> Result<Reply, SiteError> {
        self.take_any(None).map(|taken| taken.expect("it waits without end"))
    }

    /// The same, but takes all that are there, this many at most.
    ///
    /// # Errors
    /// As [`IpcClient::receive_reply`].
    pub fn receive_replies(&self, most: usize) -> Result<Vec<Reply>, SiteError> {
        let mut taken = Vec::new();
        let look = |inside: &mut Inside| {
            while taken.len() < most.max(1)
                && let Some(reply) = self.next(inside)
            {
                taken.push(reply);
            }
            match taken.is_empty() {
                true => inside.is_stopped().then_some(Err(SiteError::Stopped)),
                false => Some(Ok(())),
            }
        };
        self.site.door()?.wait(Event::AnyReply(self.number), None, look).transpose()?;
        Ok(taken)
    }

    /// The same, but waits no longer than this.
    ///
    /// # Errors
    /// As [`IpcClient::receive_reply`].
    pub fn receive_reply_timeout(&self, timeout: Duration) -> Result<Option<Reply>, SiteError> {
        self.take_any(after(timeout))
    }

    /// The same, but does not wait.
    ///
    /// # Errors
    /// As [`IpcClient::receive_reply`].
    pub fn try_receive_reply(&self) -> Result<Option<Reply>, SiteError> {
        self.take_any(Some(Time::ZERO))
    }

    /// Waits for the end of this call.
    ///
    /// # Errors
    /// There is no reply; [`CallError::conclude`] says what follows.
    pub fn receive_reply_of(&self, id: MsgId) -> Result<RawMsg, CallError> {
        self.take_claimed(id, None).unwrap_or(Err(CallError::Taken))
    }

    /// The same, but waits no longer than this. The call goes on.
    ///
    /// # Errors
    /// As [`IpcClient::receive_reply_of`].
    pub fn receive_reply_of_timeout(
        &self,
        id: MsgId,
        timeout: Duration,
    ) -> Option<Result<RawMsg, CallError>> {
        self.take_claimed(id, after(timeout))
    }

    /// The same, but does not wait.
    ///
    /// # Errors
    /// As [`IpcClient::receive_reply_of`].
    pub fn try_receive_reply_of(&self, id: MsgId) -> Option<Result<RawMsg, CallError>> {
        self.take_claimed(id, Some(Time::ZERO))
    }

    /// Calls a call off (R37): it ends at once, with [`crate::protocol::Unknown::Cancelled`] if it was
    /// sent; if it was [`RawMsg::certain`], when it is known what became of it. Nothing happens if it
    /// has ended.
    ///
    /// # Errors
    /// This is a child of the process that made the site.
    pub fn cancel(&self, id: MsgId) -> Result<(), SiteError> {
        let door = self.site.door()?;
        if let Some(call) = self.own(id) {
            door.enter(|inside| inside.cancel(call));
        }
        Ok(())
    }

    fn own(&self, id: MsgId) -> Option<Call> {
        match id.0 {
            Id::Sent(client, call) => (client == self.number).then_some(call),
            Id::Received(..) => None,
        }
    }

    fn take_any(&self, until: Option<Time>) -> Result<Option<Reply>, SiteError> {
        let look = |inside: &mut Inside| match self.next(inside) {
            Some(reply) => Some(Ok(reply)),
            None => inside.is_stopped().then_some(Err(SiteError::Stopped)),
        };
        self.site.door()?.wait(Event::AnyReply(self.number), until, look).transpose()
    }

    fn next(&self, inside: &mut Inside) -> Option<Reply> {
        let (call, end) = inside.desk.take_any(self.number)?;
        Some((MsgId(Id::Sent(self.number, call)), said(end)))
    }

    fn take_claimed(&self, id: MsgId, until: Option<Time>) -> Option<Result<RawMsg, CallError>> {
        let Some(call) = self.own(id) else { return Some(Err(CallError::Taken)) };
        let door = match self.site.door() {
            Ok(door) => door,
            Err(error) => return Some(Err(CallError::Site(error))),
        };
        let claim = |inside: &mut Inside| match inside.desk.claim(call) {
            true => Ok(Event::Reply(call)),
            false => Err(CallError::Taken),
        };
        match door.begin(until, claim, take) {
            Ok(Some(Some(end))) => Some(said(end)),
            Ok(None) => {
                door.enter(|inside| inside.desk.unclaim(call));
                None
            }
            Ok(Some(None)) | Err(_) => Some(Err(CallError::Taken)),
        }
    }
}

impl Drop for IpcClient {
    fn drop(&mut self) {
        if let Ok(door) = self.site.door() {
            door.enter(|inside| inside.close_client(self.number));
        }
    }
}

/// The outcome of the call that this thread waits for, if it has come: none if another thread took it.
fn take(inside: &mut Inside, event: Event) -> Option<Option<End>> {
    let Event::Reply(call) = event else { return None };
    inside.desk.take(call)
}

fn said(end: End) -> Result<RawMsg, CallError> {
    end.map(RawMsg::new)
}
