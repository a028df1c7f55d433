//! The answering side of §2: requests in, replies out, each from any thread.
//!
//! Invariant: a request is received once and answered at most once.

use std::ops::ControlFlow;

use super::attachment::Attachment;
use super::local::ToDaemon;
use super::{IpcError, IpcPort, MsgId, RawMsg};

/// Serves at a port of its own (§2). All methods may be used by any thread at any time.
///
/// ```no_run
/// use step6_daemon::{Attachment, IpcServer};
///
/// let server = IpcServer::new(&Attachment::new("/run/ipcd".as_ref()).unwrap()).unwrap();
/// println!("serving at {}", server.port());
/// let (request, id) = server.receive_request().unwrap();
/// server.send_reply(id, request).unwrap();
/// ```
#[derive(Debug)]
pub struct IpcServer {
    attachment: Attachment,
    port: IpcPort,
}

impl IpcServer {
    /// Opens a port.
    ///
    /// # Errors
    /// There is no daemon, or this process has too many ports.
    pub fn new(attachment: &Attachment) -> Result<IpcServer, IpcError> {
        let link = &attachment.link;
        let mut state = link.lock();
        let tag = state.next_tag();
        state.opening.insert(tag, None);
        drop(state);
        let told = link.tell(ToDaemon::Open { tag }, Vec::new());
        let port = link.wait(|state, _| match state.opening.get(&tag) {
            Some(Some(opened)) => ControlFlow::Break(*opened),
            _ if state.lost || told.is_err() => ControlFlow::Break(Err(IpcError::NoDaemon)),
            _ => ControlFlow::Continue(None),
        });
        link.lock().opening.remove(&tag);
        Ok(IpcServer { attachment: attachment.clone(), port: port? })
    }

    /// The port: what a client must know.
    #[doc(alias = "getPort")]
    pub fn port(&self) -> IpcPort {
        self.port
    }

    /// Blocks until there is a request.
    ///
    /// # Errors
    /// [`IpcError::NoDaemon`]: there will be none.
    pub fn receive_request(&self) -> Result<(RawMsg, MsgId), IpcError> {
        self.attachment.link.wait(|state, _| {
            let inbox = state.inboxes.get_mut(&self.port.number);
            if let Some((id, body)) = inbox.and_then(|inbox| inbox.pop_front()) {
                state.in_hand.insert(id, self.port.number);
                return ControlFlow::Break(Ok((RawMsg::from(body), id)));
            }
            match state.lost {
                true => ControlFlow::Break(Err(IpcError::NoDaemon)),
                false => ControlFlow::Continue(None),
            }
        })
    }

    /// Answers a request; whichever thread received it.
    ///
    /// # Errors
    /// Nothing was sent: the body is too long (the request can still be answered), the request is
    /// unknown or answered already, or there is no daemon.
    pub fn send_reply(&self, id: MsgId, reply: RawMsg) -> Result<(), IpcError> {
        reply.check()?;
        let link = &self.attachment.link;
        let mut state = link.lock();
        if state.in_hand.get(&id) != Some(&self.port.number) {
            return Err(IpcError::UnknownMsgId);
        }
        state.in_hand.remove(&id);
        let lost = state.lost;
        drop(state);
        if lost {
            Err(IpcError::NoDaemon)
        } else {
            link.tell(ToDaemon::Reply { call: id.0 }, reply.body)
        }
    }
}

impl Drop for IpcServer {
    fn drop(&mut self) {
        let link = &self.attachment.link;
        let _ = link.tell(ToDaemon::Close { port: self.port.number }, Vec::new());
        let mut state = link.lock();
        state.inboxes.remove(&self.port.number);
        state.in_hand.retain(|_, port| *port != self.port.number);
    }
}
