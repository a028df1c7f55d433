//! Both halves together: events in, actions out.
//!
//! A site has no socket, no thread and no clock. Its driver hands in one event, takes every action with
//! [`Site::poll_action`] until there is none, and only then hands in the next.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use crate::client::Client;
use crate::config::Config;
use crate::epoch::Epoch;
use crate::server::Server;
use crate::timers::{Timer, Timers};
use crate::wire::{BODY_MAX, Kind, Packet, WireError};

/// A moment, as the time since an origin that the driver chooses, the same for all events.
pub type Time = Duration;

/// One host's part in the protocol: it asks, and it answers.
///
/// ```
/// use step5_heartbeat::{Action, Config, Epoch, Port, Site, Time};
///
/// let mut site = Site::new(Config::default(), Epoch { counter: 1, random: 0x5eed });
/// let server: Port = "127.0.0.1:7373/4-00c0ffee".parse().unwrap();
/// site.send_request(Time::ZERO, server, b"debit 10".to_vec()).unwrap();
/// let Some(Action::Send { packet, .. }) = site.poll_action() else { panic!() };
/// assert_eq!(packet.to_string(), r#"REQUEST e1.1 to e4 "debit 10", patience 2000 ms"#);
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
    /// The life of the client that asks.
    pub epoch: Epoch,
    /// Its number at the client that asks, from 1.
    pub seq: u64,
}

/// Names a life of a server, and where it is: what a client must know to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(alias = "IpcPort")]
pub struct Port {
    /// Where.
    pub address: SocketAddr,
    /// Which life.
    pub epoch: Epoch,
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
    /// An answer that no call awaits was dropped.
    StrayReply,
    /// A request was dropped because there are too many records.
    NoRoom,
    /// A duplicate was acknowledged: the service is still at the request.
    DuplicateInService,
    /// A duplicate was answered with the kept reply.
    DuplicateAnswered,
    /// A kept reply was freed.
    Forgotten,
    /// A request that named another life of this server was refused.
    StaleRequest,
    /// A packet for another life of this client was dropped.
    Orphan,
}

/// Why a call ended without a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallError {
    /// Every attempt went unanswered. The service may have run, or not: nobody can tell from here.
    Unreachable,
    /// The server has forgotten the call. The service has run, and its reply is lost.
    Forgotten,
    /// The server has begun another life. The service may have run in the former one, or not.
    ServerRestarted {
        /// The life that it is in.
        present: Epoch,
    },
}

/// Why nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// The body has more than [`BODY_MAX`] bytes.
    TooLong,
    /// Too many calls have not ended yet.
    TooManyCalls,
    /// No such request is in the service's hands.
    NotServing,
}

impl Site {
    /// A life of a site, with nothing going on.
    ///
    /// # Panics
    /// The patience of the configuration is longer than a request can carry: 65 s.
    pub fn new(config: Config, epoch: Epoch) -> Self {
        let config = config.check();
        Site {
            client: Client::new(config, epoch),
            server: Server::new(config, epoch),
            out: Effects::default(),
        }
    }

    /// A process asks: sends a request, whose reply or failure will name the same call.
    ///
    /// # Errors
    /// The body is too long, or too many calls are outstanding.
    pub fn send_request(
        &mut self,
        now: Time,
        to: Port,
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
            Kind::Request { patience, retransmit_after } => {
                let times = [patience, retransmit_after].map(|ms| Duration::from_millis(ms.into()));
                self.server.handle_request(from, packet, times.into(), &mut self.out)
            }
            Kind::Heartbeat => self.server.handle_heartbeat(from, packet, &mut self.out),
            Kind::Working => self.client.handle_working(from, packet, &mut self.out),
            Kind::NoCall => self.client.handle_no_call(from, packet, &mut self.out),
            Kind::Reply => self.client.handle_reply(from, packet, &mut self.out),
            Kind::Stale { present } => {
                self.client.handle_stale(from, packet, present, &mut self.out)
            }
        }
    }

    /// The deadline came: does all that is due.
    pub fn handle_timeout(&mut self, now: Time) {
        self.out.now = now;
        while let Some(timer) = self.out.timers.pop(now) {
            match timer {
                Timer::Retransmit(call) => self.client.handle_retransmit(call, &mut self.out),
                Timer::Acknowledge(call) => self.server.handle_acknowledge(call, &mut self.out),
                Timer::Heartbeat(call) => self.client.handle_heartbeat(call, &mut self.out),
                Timer::Forget(call) => self.server.handle_forget(call, &mut self.out),
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
            Note::DuplicateInService => f.write_str("duplicate, still in service"),
            Note::DuplicateAnswered => f.write_str("duplicate, kept reply sent again"),
            Note::Forgotten => f.write_str("reply forgotten"),
            Note::StaleRequest => f.write_str("request to another life, refused"),
            Note::Orphan => f.write_str("orphan of another life, dropped"),
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            CallError::Unreachable => f.write_str("no reply; the service may have run, or not"),
            CallError::Forgotten => f.write_str("the reply is lost; the service has run"),
            CallError::ServerRestarted { .. } => {
                f.write_str("the server restarted; the service may have run, or not")
            }
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            SendError::TooLong => write!(f, "the body has more than {BODY_MAX} bytes"),
            SendError::TooManyCalls => f.write_str("too many calls have not ended yet"),
            SendError::NotServing => f.write_str("no such request is in the service's hands"),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.epoch)
    }
}

impl FromStr for Port {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Port, &'static str> {
        let (address, epoch) = text.rsplit_once('/').unwrap_or_default();
        let port = address.parse().ok().zip(epoch.parse().ok());
        let port = port.map(|(address, epoch)| Port { address, epoch });
        port.ok_or("a port is IP:PORT/EPOCH, like 127.0.0.1:7373/3-00c0ffee")
    }
}

impl std::error::Error for CallError {}

impl std::error::Error for SendError {}
