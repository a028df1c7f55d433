//! One site, and whatever may happen to it: packets from anybody, processes that do as they like, a
//! clock that stands still, jumps and sleeps.

#[path = "limits.rs"]
mod limits;
#[path = "packets.rs"]
mod packets;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use limits::limits;
use packets::{EPOCH, Known, SITE};
use unavez::protocol::{
    Action, BODY_MAX, Call, CallId, Counters, DATAGRAM_LARGEST, DATAGRAM_MAX, Datagrams, Fate,
    Flags, IpcPort, Kind, Now, Packet, ProcessId, Ran, Request, ServerId, ServerPort, Site, SiteId,
    Target,
};

/// What the site may do about one event, at most.
const ACTIONS_MAX: usize = 1000;
/// So many timers are due, at most, until nothing is open any more.
const TIMEOUTS_MAX: usize = 10_000;

/// Plays what the bytes say, then waits until every call has ended (R2). Says what happened.
pub(crate) fn site(bytes: &[u8]) -> Counters {
    let mut world = World::new(bytes.first().is_some_and(|byte| byte % 2 == 0));
    let mut input = Unstructured::new(bytes.get(1..).unwrap_or_default());
    while !input.is_empty() {
        world.event(&mut input).expect("every value has a default");
        world.act();
    }
    for _ in 0..TIMEOUTS_MAX {
        if world.calls.is_empty() {
            return world.site.counters().clone();
        }
        world.time_passes_until_due(true);
        world.act();
    }
    panic!("calls that do not end: {:?}", world.calls);
}

struct World {
    site: Site,
    now: Now,
    known: Known,
    /// Open ones of this site's processes.
    calls: BTreeMap<Call, ProcessId>,
    ports: BTreeMap<ServerPort, ProcessId>,
    /// In the hands of a service.
    serving: BTreeMap<CallId, ServerPort>,
    /// Handed over: declared idempotent, and not.
    ran_freely: BTreeSet<CallId>,
    ran: BTreeSet<CallId>,
    /// Said not to have run, and not to run ever.
    proved: BTreeSet<CallId>,
    /// The newest datagrams, to be repeated.
    datagrams: Vec<(SocketAddr, Vec<u8>)>,
    received: usize,
    answered: usize,
}

impl World {
    fn new(show_tokens: bool) -> World {
        let mut site = Site::new(Now::default(), limits(), SITE, EPOCH, [5; 32]);
        let port = site.open_port(ProcessId(1)).expect("it is the first");
        World {
            site,
            now: Now::default(),
            known: Known { show_tokens, ports: vec![port], ..Known::default() },
            calls: BTreeMap::new(),
            ports: BTreeMap::from([(port, ProcessId(1))]),
            serving: BTreeMap::new(),
            ran_freely: BTreeSet::new(),
            ran: BTreeSet::new(),
            proved: BTreeSet::new(),
            datagrams: Vec::new(),
            received: 0,
            answered: 0,
        }
    }

    fn event(&mut self, input: &mut Unstructured) -> Result<()> {
        match input.int_in_range(0..=28)? {
            0..=4 => self.packets_come(input, Known::question),
            5..=7 => self.packets_come(input, Known::answer),
            8 => self.a_datagram_comes_again(input),
            9 => self.bytes_come(input),
            10 | 11 => self.time_passes(input),
            12 | 13 => {
                self.time_passes_until_due(input.arbitrary()?);
                Ok(())
            }
            14 | 15 => self.a_process_asks(input),
            16 => self.a_call_is_called_off(input),
            17 => self.a_port_opens(input),
            18 => self.a_port_closes(input),
            19..=21 => self.a_service_takes(input),
            22 | 23 => self.a_service_answers(input),
            24 => self.a_process_ends(input),
            26 => self.a_fragment_comes(input),
            27 | 28 => self.a_large_request_comes(input),
            _ => self.a_packet_is_not_sent(input),
        }
    }

    // ---- the network

    fn packets_come(
        &mut self,
        input: &mut Unstructured,
        draw: fn(&Known, &mut Unstructured) -> Result<Packet>,
    ) -> Result<()> {
        let from = address(input)?;
        let mut datagram = Vec::new();
        for _ in 0..*input.choose(&[1, 1, 1, 2, 3])? {
            let packet = draw(&self.known, input)?;
            if packet.flags.has(Flags::BEGINS) {
                let known = (packet.tag(), packet.whole().0 as u32);
                self.known.begun.retain(|other| *other != known);
                self.known.begun.push(known);
                if self.known.begun.len() > 4 {
                    self.known.begun.remove(0);
                }
            }
            if datagram.len() + packet.encoded_len() <= DATAGRAM_MAX {
                packet.encode(&mut datagram);
            }
        }
        self.receive(from, datagram);
        Ok(())
    }

    /// From somebody who has a token, and its rest in one piece, right or not.
    fn a_large_request_comes(&mut self, input: &mut Unstructured) -> Result<()> {
        let from = address(input)?;
        let packet = self.known.large_request(input)?;
        let rest = Known::rest_of(&packet, input.ratio(1, 3)?);
        for encode in [&|to: &mut Vec<u8>| packet.encode(to), &|to: &mut Vec<u8>| rest.encode(to)]
            as [&dyn Fn(&mut Vec<u8>); 2]
        {
            let mut datagram = Vec::new();
            encode(&mut datagram);
            self.receive(from, datagram);
            self.act();
        }
        Ok(())
    }

    fn a_fragment_comes(&mut self, input: &mut Unstructured) -> Result<()> {
        let from = address(input)?;
        if let Some(fragment) = self.known.fragment(input)? {
            let mut datagram = Vec::new();
            fragment.encode(&mut datagram);
            self.receive(from, datagram);
        }
        Ok(())
    }

    fn a_datagram_comes_again(&mut self, input: &mut Unstructured) -> Result<()> {
        if let Ok((from, datagram)) = input.choose(&self.datagrams).cloned() {
            let elsewhere = input.arbitrary()?;
            self.receive(if elsewhere { address(input)? } else { from }, datagram);
        }
        Ok(())
    }

    fn bytes_come(&mut self, input: &mut Unstructured) -> Result<()> {
        let from = address(input)?;
        let length = input.int_in_range(0..=255)?;
        let mut datagram = vec![0; length];
        input.fill_buffer(&mut datagram)?;
        self.receive(from, datagram);
        Ok(())
    }

    fn receive(&mut self, from: SocketAddr, datagram: Vec<u8>) {
        self.received += datagram.len();
        self.site.handle_datagram(self.now, from, &datagram);
        self.datagrams.push((from, datagram));
        if self.datagrams.len() > 8 {
            self.datagrams.remove(0);
        }
    }

    fn a_packet_is_not_sent(&mut self, input: &mut Unstructured) -> Result<()> {
        if let Some(packet) = self.known.asked.last() {
            self.site.handle_unsent(packet, input.arbitrary()?);
        }
        Ok(())
    }

    // ---- the clock

    fn time_passes(&mut self, input: &mut Unstructured) -> Result<()> {
        let steps = [1, 10, 50, 100, 200, 500, 1000, 2000, 4000, 10_000, 20_000, 600_000];
        let step = Duration::from_millis(*input.choose(&steps)?);
        let asleep = input.ratio(1, 8)?;
        self.now.boot += step;
        if !asleep {
            self.now.running += step;
        }
        if input.arbitrary()? {
            self.site.handle_drained(self.now);
        }
        Ok(())
    }

    /// As a driver does it: everything that has arrived first, then what is due.
    fn time_passes_until_due(&mut self, drained: bool) {
        let Some(deadline) = self.site.deadline() else { return };
        let step = deadline.saturating_sub(self.now.running);
        self.now.running += step;
        self.now.boot += step;
        if drained {
            self.site.handle_drained(self.now);
        }
        self.site.handle_timeout(self.now);
        let next = self.site.deadline();
        assert!(next.is_none_or(|next| next > self.now.running), "a driver would never sleep");
    }

    // ---- processes that ask

    fn a_process_asks(&mut self, input: &mut Unstructured) -> Result<()> {
        let process = ProcessId(input.int_in_range(1..=2)?);
        let target = target(input)?;
        let patience = *input.choose(&[Some(3000), Some(0), Some(100), Some(60_000), None])?;
        let request = Request {
            body: Bytes::from(vec![b'q'; *input.choose(&[0, 10, BODY_MAX, BODY_MAX + 1, 6000])?]),
            flags: Flags(*input.choose(&[0, 0, 1, 2, 3, 4, 6])?),
            patience: patience.map(Duration::from_millis),
            max_reply: *input.choose(&[1000, 0, u32::MAX])?,
        };
        if let Ok(call) = self.site.send_request(self.now, process, &target, request) {
            assert!(self.calls.insert(call, process).is_none(), "a name is given once");
        }
        Ok(())
    }

    fn a_call_is_called_off(&mut self, input: &mut Unstructured) -> Result<()> {
        let call = Call(input.int_in_range(1..=16)?);
        self.site.cancel(self.now, call);
        Ok(())
    }

    // ---- processes that serve

    fn a_port_opens(&mut self, input: &mut Unstructured) -> Result<()> {
        let process = ProcessId(input.int_in_range(1..=2)?);
        if let Ok(port) = self.site.open_port(process) {
            assert!(self.ports.insert(port, process).is_none(), "no port is used again (R8)");
            self.known.ports.push(port);
            let _ = self.site.register(input.choose(&["a", "", "abcde"])?, port);
        }
        Ok(())
    }

    fn a_port_closes(&mut self, input: &mut Unstructured) -> Result<()> {
        let port = self.port(input)?;
        self.site.close_port(self.now, port);
        self.forget_port(port);
        Ok(())
    }

    fn a_process_ends(&mut self, input: &mut Unstructured) -> Result<()> {
        let process = ProcessId(input.int_in_range(1..=2)?);
        self.site.end_process(self.now, process);
        self.calls.retain(|_, of| *of != process);
        let of: Vec<_> = self.ports.iter().filter(|it| *it.1 == process).map(|it| *it.0).collect();
        of.into_iter().for_each(|port| self.forget_port(port));
        Ok(())
    }

    fn forget_port(&mut self, port: ServerPort) {
        self.ports.remove(&port);
        self.serving.retain(|_, at| *at != port);
    }

    fn a_service_takes(&mut self, input: &mut Unstructured) -> Result<()> {
        let port = self.port(input)?;
        if let Some(taken) = self.site.take_request(self.now, port) {
            assert!(self.ports.contains_key(&port), "closed ports take nothing (R28)");
            let call = taken.call;
            if taken.flags.has(Flags::IDEMPOTENT) {
                self.ran_freely.insert(call);
            } else {
                assert!(self.ran.insert(call), "ran twice (R1): {call}");
                assert!(!self.proved.contains(&call), "it would never run (R3): {call}");
            }
            assert!(self.serving.insert(call, port).is_none(), "twice at the same time");
        }
        Ok(())
    }

    fn a_service_answers(&mut self, input: &mut Unstructured) -> Result<()> {
        let served = self.serving.iter().map(|(call, port)| (*call, *port)).collect::<Vec<_>>();
        let Ok((call, port)) = input.choose(&served).copied() else { return Ok(()) };
        let body = Bytes::from(vec![b'r'; *input.choose(&[0, 10, 1000, 1001, 5000])?]);
        let answer = |site: &mut Site| site.send_reply(self.now, port, call, body.clone());
        assert_eq!(answer(&mut self.site), Ok(()), "what is in service can be answered");
        assert!(answer(&mut self.site).is_err(), "but once");
        self.serving.remove(&call);
        Ok(())
    }

    fn port(&self, input: &mut Unstructured) -> Result<ServerPort> {
        let newest = *self.known.ports.last().expect("one is open from the beginning");
        Ok(if input.ratio(1, 4)? { ServerPort(input.int_in_range(0..=3)?) } else { newest })
    }

    // ---- what the site does about it

    fn act(&mut self) {
        let mut datagrams = Datagrams::default();
        let bounded = |_, datagram: &[u8]| assert!(datagram.len() <= DATAGRAM_LARGEST);
        for _ in 0..ACTIONS_MAX {
            match self.site.poll_action() {
                Some(Action::Send { to, packet }) => {
                    datagrams.push(to, &packet, bounded);
                    self.send(packet);
                }
                Some(Action::Fragment { fragment, .. }) => {
                    assert!(fragment.encoded_len() <= DATAGRAM_LARGEST);
                    let bytes = fragment.header();
                    assert!(bytes.len() + fragment.body.len() == fragment.encoded_len());
                }
                Some(Action::Path { to }) => {
                    self.site.handle_path(self.now, to, 1472, to.port() % 2 == 0);
                }
                Some(Action::End { process, call, .. }) => {
                    assert_eq!(self.calls.remove(&call), Some(process), "a call ends once (R2)");
                }
                // It may be closed by now, if its process ended.
                Some(Action::Ready { port }) => assert!(self.known.ports.contains(&port)),
                Some(Action::Cancelled { port, call }) => {
                    assert_eq!(self.serving.get(&call), Some(&port), "only what is in service");
                }
                Some(Action::Note(_)) => {}
                None => return self.check(),
            }
        }
        panic!("no end of actions");
    }

    fn send(&mut self, packet: Packet) {
        let mut bytes = Vec::new();
        packet.encode(&mut bytes);
        assert_eq!(Packet::decode(&bytes), Ok((packet.clone(), bytes.len())));
        if packet.kind.is_to_server() {
            self.known.asked.push(packet);
            if self.known.asked.len() > 8 {
                self.known.asked.remove(0);
            }
            return;
        }
        self.answered += bytes.len();
        if packet.server.port != ServerPort(0) {
            self.check_answer(&packet);
        }
        if let Kind::Challenge { token } = packet.kind {
            self.known.tokens.push(token);
        } else if let Kind::Reply { grant, .. } | Kind::Working { grant, .. } = packet.kind {
            self.known.tokens.push(grant.token);
        }
    }

    /// Whether it ran is said only as it was (R3).
    fn check_answer(&mut self, packet: &Packet) {
        let call = packet.call();
        match packet.kind {
            Kind::Refused { ran: Ran::No, .. } | Kind::Aborted { fate: Fate::NotRun } => {
                assert!(!self.ran.contains(&call), "it did run: {packet}");
                self.proved.insert(call);
            }
            Kind::Reply { .. } | Kind::Refused { ran: Ran::Once, .. } => {
                assert!(self.ran.contains(&call) || self.ran_freely.contains(&call), "{packet}");
            }
            _ => {}
        }
    }

    fn check(&self) {
        let (entries, limits) = (self.site.entries(), limits());
        assert!(self.calls.len() <= entries.calls && entries.calls <= 2 * limits.calls_max);
        assert!(entries.records <= limits.records_max, "{entries:?}");
        assert!(entries.bytes <= limits.bytes_max, "{entries:?}");
        assert!(entries.tombstones <= limits.clients_max, "{entries:?}");
        // Two are the site's own: of an empty queue, and of its freshness.
        let armed = entries.calls + entries.client_ports + entries.records + entries.tombstones;
        assert!(entries.timers <= armed + entries.building + 2, "{entries:?}");
        // None is shorter than a packet.
        let built = limits.building_max / 1000 + limits.calls_max;
        assert!(entries.building <= built, "{entries:?}");
        assert!(entries.sending <= entries.calls + entries.records, "{entries:?}");
        // R36: to addresses that showed no token, three times the bytes that came from anybody.
        assert!(self.known.show_tokens || self.answered <= 3 * self.received, "amplifies");
    }
}

fn address(input: &mut Unstructured) -> Result<SocketAddr> {
    let host = *input.choose(&[1, 1, 2, 3])?;
    Ok(SocketAddr::from(([127, 0, 0, host], 7373 + input.int_in_range(0..=1)?)))
}

fn target(input: &mut Unstructured) -> Result<Target> {
    let at = address(input)?;
    Ok(match input.int_in_range(0..=3)? {
        0 => Target::Name { at, name: (*input.choose(&["a", "b", "", "abcde"])?).into() },
        1 => Target::Port(IpcPort::site_at(at)),
        _ => {
            let site = SiteId(input.int_in_range(11..=12)?);
            let server = ServerId { site, epoch: EPOCH, port: ServerPort(1) };
            Target::Port(IpcPort { address: at, server })
        }
    })
}
