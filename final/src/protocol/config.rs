//! Every duration, count and limit, with its reason, and what must hold between them (PROTOCOL §9).

use super::broken::Broken;
use std::time::Duration;

use super::fragments::{DATAGRAM_LARGEST, MESSAGE_LARGEST, Outbound};
use super::server::HALF_BUILT_LEN;
use super::wire::{BODY_MAX, UNLIMITED};

/// The bytes in which evicted clients are usually remembered (R35): 13 million of them before one
/// stranger in a hundred is taken for one.
pub const EVICTED_LEN: usize = 16 << 20;

/// The longest of all durations.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// What a site is tuned by. The defaults suit the Internet; [`Config::lan`] a local network.
///
/// All durations are of running time unless said otherwise. Memory, at worst: see
/// [`Config::memory_max`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// How long a datagram, or a copy that the network made of it, lives at most: MPL. The protocol
    /// rests on it and nobody knows it: RFC 793 took 2 minutes, RFC 8085 (section 3.3) names no bound.
    pub packet_lifetime: Duration,
    /// How long a client waits for the first answer of a site before it sends again (RFC 8085,
    /// section 3.1.1).
    pub rto_initial: Duration,
    /// The least that it waits, whatever was measured: a delayed thread is no lost packet.
    pub rto_min: Duration,
    /// The most that a measured round trip makes it wait.
    pub rto_max: Duration,
    /// Where doubling ends: a restarted server is found again soon enough.
    pub backoff_max: Duration,
    /// How often a request is sent again without an answer before the server is given up.
    pub retransmits_max: u32,
    /// How often a call may begin anew because its first try was proved not to have run (R29, R35).
    pub resends_max: u32,
    /// How long a call of unlimited patience waits until the server says that it has it (R2).
    pub accept_max: Duration,
    /// The patience of a call whose caller names none.
    pub patience_default: Duration,
    /// How often a server wants to be asked after a long call (R16, R27).
    pub heartbeat_every: Duration,
    /// After so many unanswered heartbeats in a row the server is given up (R16): where one in five
    /// round trips fails, ten in a row do once in ten million.
    pub heartbeats_missed_max: u32,
    /// The most that the first WORKING is held back (R27): half of `rto_min` or more would be late.
    pub working_after_max: Duration,
    /// The longest patience that a reply is kept for (R23); a set bit outlives it.
    pub patience_kept_max: Duration,
    /// By how much two clocks may differ in speed, in parts of a million: quartz is within 100.
    pub drift_ppm: u32,
    /// The receive queue must be found empty twice, so far apart, before anything is forgotten (R23):
    /// what the kernel had taken from the wire by then is in the queue.
    pub drain_time: Duration,
    /// How many calls a client may have above its floor at first (R26).
    pub window: u32,
    /// How many at most; a multiple of 64, as bits are kept in words.
    pub window_max: u32,
    /// How many all clients together: the sum of the windows granted (R26).
    pub windows_sum_max: u64,
    /// How many clients are remembered whole (R35).
    pub clients_max: usize,
    /// How many of them may be at one IP address (R26).
    pub clients_per_address_max: usize,
    /// How long a client is remembered at least after it was last heard (R35).
    pub port_life: Duration,
    /// How long at most, if nothing of it is kept (R35).
    pub port_life_max: Duration,
    /// How many calls have a record (R26).
    pub records_max: usize,
    /// How many bytes of requests not begun and of replies kept (R26).
    pub bytes_max: usize,
    /// How many ordered requests of a client wait for the one before them (R33).
    pub ordered_wait_max: usize,
    /// How long a token is good (R36).
    pub token_max: Duration,
    /// How long a client is asked to wait when there is no room (R26).
    pub busy_after: Duration,
    /// How many calls of this site's processes are open, those that wait at home included.
    pub calls_max: usize,
    /// How many client ports one process has towards one server, if long calls hold their windows.
    pub ports_max: usize,
    /// How many ports this site's processes serve at, and how many names they have.
    pub server_ports_max: usize,
    /// The longest name of a service, in bytes.
    pub name_max: usize,
    /// The longest request and the longest reply, in bytes (R32, R40).
    pub message_max: usize,
    /// How many bytes the large requests take that are half built, all together (R43). Each takes up to
    /// 8 KiB more than it will have.
    pub building_max: usize,
    /// How many of them those from one IP address take.
    pub building_per_address_max: usize,
    /// How many bytes the large replies have that come to this site, all together (R43): whoever asks for
    /// more at once hears that a reply is too big.
    pub fetching_max: usize,
    /// How many bytes of large messages may be on their way to this site at once (R42): the product of
    /// bandwidth and delay of a good path, divided among those that come.
    pub credit_max: usize,
    /// In how many bytes evicted clients are remembered (R35), a multiple of 8.
    pub evicted_len: usize,
    /// The rule that is not kept, for the proof that its loss is seen.
    #[cfg(feature = "broken")]
    #[doc(hidden)]
    pub broken: Option<super::Broken>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            packet_lifetime: Duration::from_secs(30),
            rto_initial: Duration::from_secs(1),
            rto_min: Duration::from_millis(20),
            rto_max: Duration::from_secs(4),
            backoff_max: Duration::from_secs(8),
            retransmits_max: 7,
            resends_max: 3,
            accept_max: Duration::from_secs(60),
            patience_default: Duration::from_secs(30),
            heartbeat_every: Duration::from_secs(1),
            heartbeats_missed_max: 10,
            working_after_max: Duration::from_millis(100),
            patience_kept_max: Duration::from_secs(600),
            drift_ppm: 1000,
            drain_time: Duration::from_millis(100),
            window: 64,
            window_max: 1024,
            windows_sum_max: 1 << 23,
            clients_max: 65_536,
            clients_per_address_max: 16_384,
            port_life: Duration::from_secs(600),
            port_life_max: Duration::from_secs(3600),
            records_max: 1 << 20,
            bytes_max: 1 << 30,
            ordered_wait_max: 64,
            token_max: Duration::from_secs(600),
            busy_after: Duration::from_millis(100),
            calls_max: 131_072,
            ports_max: 128,
            server_ports_max: 4096,
            name_max: 255,
            message_max: 64 << 20,
            building_max: 256 << 20,
            building_per_address_max: 128 << 20,
            fetching_max: 1 << 30,
            credit_max: 4 << 20,
            evicted_len: EVICTED_LEN,
            #[cfg(feature = "broken")]
            broken: None,
        }
    }
}

impl Config {
    /// For a network where no datagram lives for more than 2 s, and few are lost.
    pub fn lan() -> Config {
        let packet_lifetime = Duration::from_secs(2);
        Config { packet_lifetime, heartbeats_missed_max: 4, ..Config::default() }
    }

    /// For messages up to so long, in bytes, with room to build one from an address, and two together, and to
    /// keep two.
    pub fn with_message_max(self, message_max: usize) -> Config {
        let each = message_max + HALF_BUILT_LEN;
        Config {
            message_max,
            bytes_max: self.bytes_max.max(2 * message_max),
            fetching_max: self.fetching_max.max(2 * message_max),
            building_per_address_max: self.building_per_address_max.max(each),
            building_max: self.building_max.max(2 * each),
            ..self
        }
    }

    /// How long what became of a call is kept from its first arrival (R23): the client sends no copy
    /// once its patience is over, and the last copy lives for a packet's lifetime.
    pub fn reply_lifetime(&self, patience: Option<Duration>) -> Duration {
        if self.is_broken(Broken::ReplyForgottenEarly) {
            return Duration::ZERO;
        }
        let kept = patience.unwrap_or(self.patience_kept_max).min(self.patience_kept_max);
        kept + kept * self.drift_ppm / 1_000_000 + self.packet_lifetime
    }

    /// How long it is kept at least, once WORKING was said, after completion and after the last packet
    /// about it (R23): the client asks until it has missed too many answers.
    pub fn working_lifetime(&self) -> Duration {
        if self.is_broken(Broken::WorkingForgottenEarly) {
            return Duration::ZERO;
        }
        self.heartbeat_every * self.heartbeats_missed_max * 3 / 2 + 2 * self.packet_lifetime
    }

    /// After how long without a word a client that should be asking is taken for gone (R30).
    pub fn orphan_after(&self) -> Duration {
        // Each wait is drawn up to half as long again.
        let silence = self.heartbeat_every * self.heartbeats_missed_max;
        silence.max(self.backoff_max * 3 / 2) * 3 / 2
    }

    /// How long after the last packet of a client and the end of its last call it may be evicted (R35).
    pub fn evict_after(&self) -> Duration {
        2 * self.packet_lifetime
    }

    /// The most memory that the tables hold for other sites, in bytes, bodies included: tombstones
    /// with their windows, records, large messages in both directions, and the memory of evicted clients.
    pub fn memory_max(&self) -> usize {
        let large = self.records_max.min(self.bytes_max / BODY_MAX);
        self.clients_max * super::tombstone::TOMBSTONE_LEN
            + (self.windows_sum_max / 8) as usize
            + self.records_max * super::tombstone::RECORD_LEN
            + self.bytes_max
            + self.building_max
            + self.fetching_max
            + Outbound::memory_max(large, self.bytes_max)
            + self.evicted_len
    }

    /// What must hold between them, or the promise does not.
    ///
    /// # Panics
    /// It does not hold; the message says what.
    pub(crate) fn check(self) -> Config {
        self.check_durations();
        let carried = Duration::from_millis(u64::from(UNLIMITED) - 1);
        assert!(self.patience_default <= carried, "a request carries 49 days of patience at most");
        assert!(self.rto_min >= Duration::from_millis(1), "a request carries its rto in ms");
        assert!(self.rto_min <= self.rto_initial && self.rto_initial <= self.backoff_max);
        assert!(self.rto_min <= self.rto_max && self.rto_max <= self.backoff_max);
        assert!(
            self.window >= 1 && self.window <= self.window_max,
            "the first window is the least"
        );
        assert!(
            self.window_max.is_multiple_of(64) && self.window.is_multiple_of(64),
            "whole words"
        );
        assert!(self.windows_sum_max >= self.clients_max as u64 * u64::from(self.window));
        assert!(self.port_life <= self.port_life_max);
        assert!(
            self.port_life >= 2 * self.evict_after(),
            "a client is remembered while it may send"
        );
        assert!(self.port_life.as_millis() < u128::from(u32::MAX), "a reply carries it in ms");
        assert!((BODY_MAX..=MESSAGE_LARGEST).contains(&self.message_max), "a gibibyte at most");
        assert!(self.credit_max >= 2 * DATAGRAM_LARGEST, "two datagrams, so that none waits");
        let longest = self.message_max + HALF_BUILT_LEN;
        assert!(longest <= self.building_per_address_max, "the longest request can be built");
        assert!(self.building_per_address_max <= self.building_max);
        assert!(self.message_max <= self.fetching_max, "the longest reply can be built");
        // Before it stand which request it is, and how long the name is.
        assert!(self.name_max <= BODY_MAX - 12, "a name is asked for in one datagram");
        assert!(self.evicted_len > 0 && self.evicted_len.is_multiple_of(8), "whole words");
        assert!(self.packet_lifetime <= Duration::from_secs(3600), "no packet lives for an hour");
        assert!(self.patience_kept_max >= self.accept_max, "a reply is kept while it is asked for");
        let periods = super::client::HEARTBEAT_MIN..=super::client::HEARTBEAT_MAX;
        assert!(periods.contains(&self.heartbeat_every), "clients ask no more often, and no less");
        assert!(self.drift_ppm < 1_000_000 && !self.heartbeat_every.is_zero());
        self
    }

    /// None may be so long that a clock plus some of them is no time any more.
    fn check_durations(&self) {
        let all = [
            self.rto_initial,
            self.rto_max,
            self.backoff_max,
            self.accept_max,
            self.patience_kept_max,
            self.drain_time,
            self.port_life_max,
            self.token_max,
            self.busy_after,
        ];
        assert!(all.iter().all(|it| *it <= LONGEST), "nothing lasts for more than a year");
        let busy_after = self.busy_after.as_millis();
        assert!(busy_after <= u128::from(u32::MAX), "a BUSY carries it in ms");
    }
}
