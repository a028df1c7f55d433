//! Both halves together: events in, actions out.
//!
//! A site has no socket, no thread and no clock. Its driver hands in one event, takes every action with
//! [`Site::poll_action`] until there is none, and only then hands in the next.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::client::Client;
use crate::config::Config;
use crate::server::Server;
use crate::timers::{Timer, Timers};
use crate::wire::{BODY_MAX, Kind, Packet, WireError};

/// A moment, as the time since an origin that the driver chooses, the same for all events.
pub type Time = Duration;

/// One host's part in the protocol: it asks, and it answers.
///
/// ```
/// use step2_retransmit::{Action, Config, Site, Time};
///
/// let mut site = Site::new(Config::default());
/// let server = "127.0.0.1:7373".parse().unwrap();
/// site.send_request(Time::ZERO, server, b"debit 10".to_vec()).unwrap();
/// let Some(Action::Send { packet, .. }) = site.poll_action() else { panic!() };
/// assert_eq!(packet.to_string(), r#"REQUEST "debit 10""#);
/// assert_eq!(site.poll_action(), None);
/// assert_eq!(site.deadline(), Some(Time::from_millis(200)));
/// ```
#[derive(Debug)]
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
    /// To the caller: there is no answer.
    Failed {
        /// As [`Site::send_request`] named it.
        call: CallId,
        /// What to conclude.
        error: CallError,
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

/// Why a call ended without a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallError {
    /// Every attempt went unanswered. The service may have run, or not: nobody can tell from here.
    Unreachable,
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
    /// A site with nothing going on.
    pub fn new(config: Config) -> Self {
        Site { client: Client::new(config), server: Server::new(config), out: Effects::default() }
    }

    /// A process asks: sends a request, whose reply or failure will name the same call.
    ///
    /// # Errors
    /// The body is too long, or another call to this server is outstanding.
    pub fn send_request(
        &mut self,
        now: Time,
        to: SocketAddr,
        body: Vec<u8>,
    ) -> Result<CallId, SendError> {
        check_length(&body)?;
        self.out.now = now;
        self.client.send_request(to, body, &mut self.out)
    }

    /// The service answers a request that it was handed.
    ///
    /// # Errors
    /// The body is too long, or this request is not in the service's hands.
    pub fn send_reply(&mut self, now: Time, call: CallId, body: Vec<u8>) -> Result<(), SendError> {
        check_length(&body)?;
        self.out.now = now;
        self.server.send_reply(call, body, &mut self.out)
    }

    /// A datagram came, from anybody and with any bytes.
    pub fn handle_packet(&mut self, now: Time, from: SocketAddr, datagram: &[u8]) {
        self.out.now = now;
        let packet = match Packet::decode(datagram) {
            Ok(packet) => packet,
            Err(error) => return self.out.note(Note::Malformed(error)),
        };
        match packet.kind {
            Kind::Request => self.server.handle_request(from, packet, &mut self.out),
            Kind::Reply => self.client.handle_reply(from, packet, &mut self.out),
        }
    }

    /// The deadline came: does all that is due.
    pub fn handle_timeout(&mut self, now: Time) {
        self.out.now = now;
        while let Some(timer) = self.out.timers.pop(now) {
            match timer {
                Timer::Retransmit(call) => self.client.handle_retransmit(call, &mut self.out),
            }
        }
    }

    /// When [`Site::handle_timeout`] is next wanted; `None` is never.
    pub fn deadline(&self) -> Option<Time> {
        self.out.timers.deadline()
    }

    /// What to do next, until `None`.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.out.actions.pop_front()
    }

    /// How many table entries and timers it holds: 0 when nothing is going on.
    pub fn entries(&self) -> usize {
        self.client.entries() + self.server.entries() + self.out.timers.entries()
    }
}

/// What the halves want done, now and later.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// The time of the event in hand.
    pub(crate) now: Time,
    actions: VecDeque<Action>,
    pub(crate) timers: Timers,
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

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            CallError::Unreachable => f.write_str("no reply; the service may have run, or not"),
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

impl std::error::Error for CallError {}

impl std::error::Error for SendError {}
