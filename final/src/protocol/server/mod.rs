//! The answering half (PROTOCOL §5): one record for every call, made before its service runs.
//!
//! Invariant: a number of a client that was handed over is never new again, as long as a copy of its
//! request may come: its record, its bit, the floor, or the memory of evicted clients says so (R1).

mod abort;
mod admission;
mod answer;
mod build;
mod fetch;
mod forget;
mod order;
mod ports;
mod request;

use super::broken::Broken;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use super::config::Config;
use super::effects::Effects;
use super::evicted::Evicted;
use super::ids::{CallId, ClientId, Epoch, ServerId, ServerPort, SiteId};
use super::kind::{Flags, Kind, Token};
use super::note::Note;
use super::site::{ProcessId, Time};
use super::table::{CallSet, LinkedTable, Table};
use super::timers::Timer;
use super::token::Tokens;
use super::tombstone::{Record, Tombstone};
use super::wire::Packet;
pub(crate) use build::HALF_BUILT_LEN;
use build::HalfBuilt;
use forget::Ripe;

#[derive(Debug)]
pub(crate) struct Server {
    config: Config,
    site: SiteId,
    epoch: Epoch,
    began: Time,
    /// No copy sent before this life can come any more (R29).
    fresh: bool,
    tokens: Tokens,
    /// Least recently heard first (R35).
    tombstones: LinkedTable<ClientId, Tombstone>,
    per_address: Table<IpAddr, usize>,
    evicted: Evicted,
    ripe: Ripe,
    /// The sum of all windows, of all records, of the bytes that these may hold (R26).
    windows: u64,
    records: usize,
    bytes: usize,
    /// Large requests of which not all has come, by call, and by the tag of their fragments.
    half_built: BTreeMap<CallId, HalfBuilt>,
    built_tags: Table<u64, CallId>,
    /// The bytes that these will take, all together and by address (R43).
    building_bytes: usize,
    building_per_address: Table<IpAddr, usize>,
    ports: Table<ServerPort, Port>,
    names: Table<String, ServerPort>,
    last_port: u64,
}

/// Where a process takes requests.
#[derive(Debug)]
struct Port {
    process: ProcessId,
    /// Some of these may not be queued any more.
    queue: VecDeque<CallId>,
    serving: CallSet,
    names: Vec<String>,
}

/// A packet of a client, and whether its address was validated (R36).
#[derive(Debug, Clone, Copy)]
struct Came<'a> {
    from: SocketAddr,
    packet: &'a Packet,
    valid: bool,
    /// When it came.
    since: Time,
}

impl Server {
    pub(crate) fn new(config: Config, site: SiteId, epoch: Epoch, out: &mut Effects) -> Server {
        let began = out.now.running;
        out.timers.arm(Timer::Fresh, began + config.packet_lifetime + forget::LOOK_AFTER);
        let mut key = || (out.draw(), out.draw());
        Server {
            tokens: Tokens::new(key(), began, config.token_max),
            evicted: Evicted::new(key(), config.evicted_len),
            began,
            config,
            site,
            epoch,
            fresh: false,
            tombstones: LinkedTable::default(),
            per_address: Table::default(),
            ripe: Ripe::default(),
            windows: 0,
            records: 0,
            bytes: 0,
            half_built: BTreeMap::new(),
            built_tags: Table::default(),
            building_bytes: 0,
            building_per_address: Table::default(),
            ports: Table::default(),
            names: Table::default(),
            last_port: 0,
        }
    }

    /// A packet for a server. Site and epoch are checked first, whatever its kind (R20, R29).
    pub(crate) fn handle(&mut self, from: SocketAddr, packet: Packet, out: &mut Effects) {
        if packet.client.site == self.site && packet.client.epoch != self.epoch {
            out.note(Note::Clone);
        }
        let ServerId { site, epoch, port } = packet.server;
        let to_site = port == ServerPort(0);
        if site != self.site && !(to_site && site == SiteId(0)) {
            out.note(Note::OtherSite);
            return self.answer_packet(from, &packet, Kind::WrongSite, out);
        }
        let any = self.config.is_broken(Broken::AnyEpochServed)
            || self.config.is_broken(Broken::AnyEpochAborted)
                && matches!(packet.kind, Kind::Abort { .. });
        if epoch != self.epoch && !(to_site && epoch == Epoch::default()) && !any {
            out.note(Note::Stale);
            let kind = Kind::Stale { present: self.epoch, fresh: self.is_fresh(out) };
            return self.answer_packet(from, &packet, kind, out);
        }
        let token = match packet.kind {
            Kind::Request { token, .. } | Kind::Heartbeat { token, .. } => token,
            Kind::Abort { token, .. } | Kind::Fetch { token, .. } => token,
            _ => Token::NONE,
        };
        let valid = self.tokens.is_valid(out.now.running, from, packet.client.site, token);
        let came = Came { from, packet: &packet, valid, since: out.now.running };
        if to_site {
            return self.handle_for_site(came, out);
        }
        match packet.kind {
            Kind::Request { .. } => self.handle_request(came, out),
            Kind::Heartbeat { floor, .. } => self.handle_heartbeat(came, floor, out),
            Kind::Abort { floor, .. } => self.handle_abort(came, floor, out),
            Kind::Fetch { floor, credit, .. } => self.handle_fetch(came, floor, credit, out),
            _ => {}
        }
    }

    /// No copy sent before this life can come any more (R29).
    fn is_fresh(&self, out: &Effects) -> bool {
        let young = out.now.running <= self.began + self.config.packet_lifetime;
        self.fresh
            || self.config.is_broken(Broken::FreshAtOnce)
            || self.config.is_broken(Broken::FreshUndrained) && !young
    }

    /// A client was heard: it is the most recent one, and its floor may rise (R15, R24). `false` if
    /// there is no tombstone.
    fn hear(&mut self, came: Came, floor: u64, out: &mut Effects) -> bool {
        let client = came.packet.client;
        let Some(tombstone) = self.tombstones.to_back(&client) else { return false };
        tombstone.heard = out.now.running;
        tombstone.validated |= came.valid;
        tombstone.leaving = false;
        if floor > tombstone.floor() {
            self.raise_floor(client, floor, out);
        }
        true
    }

    fn record(&mut self, call: CallId) -> Option<&mut Record> {
        Some(self.tombstones.get_mut(&call.client)?.records.get_mut(call.seq)?)
    }

    /// An answer that tells of no record, and costs the address no more than it sent.
    fn answer_packet(&self, to: SocketAddr, asked: &Packet, kind: Kind, out: &mut Effects) {
        let Packet { attempt, client, server, seq, .. } = *asked;
        let packet = Packet {
            flags: Flags::NONE,
            attempt,
            client,
            server,
            seq,
            kind,
            body: bytes::Bytes::new(),
        };
        out.send(to, packet);
    }
}
