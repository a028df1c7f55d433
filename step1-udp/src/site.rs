//! Both halves together: events in, actions out.
//!
//! A site has no socket, no thread and no clock. Its driver hands in one event, takes every action with
//! [`Site::poll_action`] until there is none, and only then hands in the next.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;

use crate::client::Client;
use crate::server::Server;
use crate::wire::{BODY_MAX, Kind, Packet, WireError};

/// One host's part in the protocol: it asks, and it answers.
///
/// ```
/// use step1_udp::{Action, Site};
///
/// let mut site = Site::default();
/// site.send_request("127.0.0.1:7373".parse().unwrap(), b"debit 10".to_vec()).unwrap();
/// let Some(Action::Send { packet, .. }) = site.poll_action() else { panic!() };
/// assert_eq!(packet.to_string(), r#"REQUEST "debit 10""#);
/// assert_eq!(site.poll_action(), None);
/// ```
#[derive(Debug, Default)]
pub struct Site {
    client: Client,
    server: Server,
    out: Effects,
}

/// Names a call: at the client the one it awaits, at the server the one it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[doc(alias = "MsgId")]
pub struct CallId {
    /// The other side's address.
    pub peer: SocketAddr,
}

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this packet; it may get lost.
    Send {
        /// Where to.
        to: SocketAddr,
        /// What.
        packet: Packet,
    },
    /// Hand this to a process of this host; it may not get lost.
    Deliver(Deliver),
    /// Nothing to do: something happened that no packet shows.
    Note(Note),
}

/// What a process of this host is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deliver {
    /// To the service: run this, then call [`Site::send_reply`].
    Request {
        /// Names the call in the reply.
        call: CallId,
        /// What the client asks.
        body: Vec<u8>,
    },
    /// To the caller: what the service answered.
    Reply {
        /// As [`Site::send_request`] named it.
        call: CallId,
        /// The answer.
        body: Vec<u8>,
    },
}

/// What happened without a packet to show for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// A datagram that is no packet was dropped.
    Malformed(WireError),
    /// A reply that no call awaits was dropped.
    StrayReply,
    /// A request was dropped because the service has its hands full.
    NoRoom,
}

/// Why nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// The body has more than [`BODY_MAX`] bytes.
    TooLong,
    /// A call to this server has not ended yet.
    Outstanding,
    /// No such request is in the service's hands.
    NotServing,
}

impl Site {
    /// A process asks: sends a request, whose reply will name the same call.
    ///
    /// # Errors
    /// The body is too long, or another call to this server is outstanding.
    pub fn send_request(&mut self, to: SocketAddr, body: Vec<u8>) -> Result<CallId, SendError> {
        check_length(&body)?;
        self.client.send_request(to, body, &mut self.out)
    }

    /// The service answers a request that it was handed.
    ///
    /// # Errors
    /// The body is too long, or this request is not in the service's hands.
    pub fn send_reply(&mut self, call: CallId, body: Vec<u8>) -> Result<(), SendError> {
        check_length(&body)?;
        self.server.send_reply(call, body, &mut self.out)
    }

    /// A datagram came, from anybody and with any bytes.
    pub fn handle_packet(&mut self, from: SocketAddr, datagram: &[u8]) {
        let packet = match Packet::decode(datagram) {
            Ok(packet) => packet,
            Err(error) => return self.out.note(Note::Malformed(error)),
        };
        match packet.kind {
            Kind::Request => self.server.handle_request(from, packet, &mut self.out),
            Kind::Reply => self.client.handle_reply(from, packet, &mut self.out),
        }
    }

    /// What to do next, until `None`.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.out.actions.pop_front()
    }

    /// How many table entries it holds: 0 when nothing is going on.
    pub fn entries(&self) -> usize {
        self.client.entries() + self.server.entries()
    }
}

/// What the halves want done.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    actions: VecDeque<Action>,
}

impl Effects {
    pub(crate) fn send(&mut self, to: SocketAddr, packet: Packet) {
        self.actions.push_back(Action::Send { to, packet });
    }

    pub(crate) fn deliver(&mut self, what: Deliver) {
        self.actions.push_back(Action::Deliver(what));
    }

    pub(crate) fn note(&mut self, note: Note) {
        self.actions.push_back(Action::Note(note));
    }
}

fn check_length(body: &[u8]) -> Result<(), SendError> {
    (body.len() <= BODY_MAX).then_some(()).ok_or(SendError::TooLong)
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Note::Malformed(error) => write!(f, "no packet, dropped: {error}"),
            Note::StrayReply => f.write_str("reply that no call awaits, dropped"),
            Note::NoRoom => f.write_str("request dropped, no room"),
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            SendError::TooLong => write!(f, "the body has more than {BODY_MAX} bytes"),
            SendError::Outstanding => f.write_str("a call to this server has not ended yet"),
            SendError::NotServing => f.write_str("no such request is in the service's hands"),
        }
    }
}

impl std::error::Error for SendError {}
