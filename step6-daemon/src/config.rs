//! Every duration and count, with its reason, and nothing but.

use std::time::Duration;

/// What a site is tuned by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// How long a client waits for the reply before it sends the request again. Well above a round
    /// trip on a local network, and short enough to watch. The paper keeps it constant, and so do
    /// the steps.
    pub retransmit_after: Duration,
    /// How often a client sends a request again before it gives up. Where half of all attempts
    /// fail, ten of them fail once in a thousand calls.
    pub retransmits_max: u32,
    /// How long a client waits between two heartbeats about a call.
    pub heartbeat_every: Duration,
    /// After how many unanswered heartbeats in a row a server is taken for dead. Where half of them
    /// go unanswered, twenty in a row do once in a million; and ten seconds are soon enough.
    pub heartbeats_missed_max: u32,
    /// How long a packet, or a copy that the network made of it, may live. The protocol rests on
    /// it, and nobody knows it: RFC 8085, section 3.3, names no bound and would take TCP's 2
    /// minutes. 30 s is this course's bet; it costs memory for kept replies. A packet's life begins
    /// when its sender looks at the clock: a pause between that and sending is part of it.
    pub packet_lifetime: Duration,
    /// How many calls a client has outstanding at most: memory stays bounded whoever asks.
    pub calls_max: usize,
    /// How many records a server holds at most: memory stays bounded whoever sends.
    pub records_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            retransmit_after: Duration::from_millis(200),
            retransmits_max: 9,
            heartbeat_every: Duration::from_millis(500),
            heartbeats_missed_max: 20,
            packet_lifetime: Duration::from_secs(30),
            calls_max: 1024,
            records_max: 65_536,
        }
    }
}

impl Config {
    /// How long a client waits for a reply in all before it takes the server for dead.
    pub fn patience(&self) -> Duration {
        self.retransmit_after * (self.retransmits_max + 1)
    }

    /// How long a server keeps a reply, from the first arrival of the request (§3.2): the client
    /// sends no copy once its patience is over, and the last copy lives for a packet's lifetime.
    /// The paper stops at the patience; a late copy then runs the service again.
    pub fn reply_lifetime(&self, patience: Duration) -> Duration {
        patience + self.packet_lifetime
    }

    /// How long a server keeps a reply at least, from the last WORKING: that may travel for a packet's
    /// lifetime, then the client asks until it has missed too many answers, and its last heartbeat
    /// may travel as long again.
    pub fn heartbeat_lifetime(&self) -> Duration {
        self.heartbeat_every * (self.heartbeats_missed_max + 1) + 2 * self.packet_lifetime
    }

    pub(crate) fn check(self) -> Config {
        let carried = Duration::from_millis(u16::MAX.into());
        assert!(self.patience() <= carried, "a request carries 65 s at most");
        assert!(self.packet_lifetime <= Duration::from_secs(3600), "no packet lives for an hour");
        self
    }
}
