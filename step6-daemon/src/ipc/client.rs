//! The asking side of §2: requests out, replies in, each from any thread.
//!
//! Invariant: the end of a call is received once, by one thread.

use std::ops::ControlFlow;
use std::time::Instant;

use super::attachment::{Attachment, Call, State};
use super::local::ToDaemon;
use super::{IpcError, IpcPort, MsgId, RawMsg};

/// Asks one server (§2). All methods may be used by any thread at any time.
///
/// ```no_run
/// use step6_daemon::{Attachment, IpcClient, RawMsg};
///
/// let daemon = Attachment::new("/run/ipcd".as_ref()).unwrap();
/// let bank = IpcClient::new(&daemon, "127.0.0.1:7373/3-00c0ffee/1".parse().unwrap());
/// let debit = bank.send_request(RawMsg::from("debit 10")).unwrap();
/// println!("{:?}", bank.receive_reply(debit));
/// ```
#[derive(Debug)]
pub struct IpcClient {
    attachment: Attachment,
    number: u64,
    target: IpcPort,
}

impl IpcClient {
    /// Binds a client to this server. Nothing is sent.
    pub fn new(attachment: &Attachment, target: IpcPort) -> IpcClient {
        let number = attachment.link.lock().next_tag();
        IpcClient { attachment: attachment.clone(), number, target }
    }

    /// Sends a request, and does not wait for its reply.
    ///
    /// # Errors
    /// Nothing was sent: the body is too long, or there is no daemon.
    pub fn send_request(&self, message: RawMsg) -> Result<MsgId, IpcError> {
        message.check()?;
        let until = message.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let link = &self.attachment.link;
        let mut state = link.lock();
        if state.lost {
            return Err(IpcError::NoDaemon);
        }
        let tag = state.next_tag();
        state.calls.insert(MsgId(tag), Call { client: self.number, until, end: None });
        drop(state);
        let (address, epoch) = (self.target.site.address, self.target.site.epoch);
        let request = ToDaemon::Request { tag, address, epoch, port: self.target.number };
        link.tell(request, message.body).inspect_err(|_| {
            link.lock().calls.remove(&MsgId(tag));
        })?;
        Ok(MsgId(tag))
    }

    /// Blocks until this call has ended, or its time is over.
    ///
    /// # Errors
    /// There is no reply; the error says what to conclude. [`IpcError::TimedOut`] ends only the wait:
    /// the request may still run.
    pub fn receive_reply(&self, id: MsgId) -> Result<RawMsg, IpcError> {
        self.attachment.link.wait(|state, now| match state.calls.get(&id) {
            Some(call) if call.client == self.number => match take(state, id, now) {
                Some(end) => ControlFlow::Break(end),
                None => ControlFlow::Continue(state.calls[&id].until),
            },
            _ => ControlFlow::Break(Err(IpcError::UnknownMsgId)),
        })
    }

    /// Blocks until any call of this client has ended, or its time is over.
    ///
    /// # Errors
    /// [`IpcError::UnknownMsgId`]: none is open. What became of a call is in the pair.
    pub fn receive_reply_any(&self) -> Result<(MsgId, Result<RawMsg, IpcError>), IpcError> {
        self.attachment.link.wait(|state, now| {
            let mine = state.calls.iter().filter(|(_, call)| call.client == self.number);
            let mine: Vec<MsgId> = mine.map(|(id, _)| *id).collect();
            if mine.is_empty() {
                return ControlFlow::Break(Err(IpcError::UnknownMsgId));
            }
            for id in &mine {
                if let Some(end) = take(state, *id, now) {
                    return ControlFlow::Break(Ok((*id, end)));
                }
            }
            ControlFlow::Continue(mine.iter().filter_map(|id| state.calls[id].until).min())
        })
    }
}

impl Drop for IpcClient {
    fn drop(&mut self) {
        self.attachment.link.lock().calls.retain(|_, call| call.client != self.number);
    }
}

/// Ends the call, if there is a reason to.
fn take(state: &mut State, id: MsgId, now: Instant) -> Option<Result<RawMsg, IpcError>> {
    let call = state.calls.get_mut(&id)?;
    let end = match call.end.take() {
        Some(end) => end.map(RawMsg::from),
        None if state.lost => Err(IpcError::DaemonGone),
        None if call.until.is_some_and(|until| until <= now) => Err(IpcError::TimedOut),
        None => return None,
    };
    state.calls.remove(&id);
    Some(end)
}
