//! Two sites and nobody between them: a test gives and drops each packet by hand.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use unavez::protocol::{
    Action, Call, CallId, Config, DATAGRAM_MAX, Datagrams, Epoch, Flags, Fragment, Incoming,
    IpcPort, Kind, Note, Now, Outcome, Packet, ProcessId, Ran, Reason, Request, SendError,
    ServerId, ServerPort, Site, SiteId, Target,
};

/// The process that asks, and the one that serves.
pub(crate) const ASKS: ProcessId = ProcessId(1);
pub(crate) const SERVES: ProcessId = ProcessId(2);

/// One site, and what it wanted done.
pub(crate) struct End {
    pub(crate) site: Site,
    /// When something came last.
    pub(crate) now: Now,
    pub(crate) address: SocketAddr,
    pub(crate) sent: Vec<(SocketAddr, Packet)>,
    pub(crate) ended: Vec<(Call, Outcome)>,
    pub(crate) cancelled: Vec<CallId>,
    /// Pieces of large messages that were not given to the other end yet.
    pub(crate) fragments: Vec<Fragment>,
}

/// A client and a server.
pub(crate) struct Pair {
    pub(crate) config: Config,
    pub(crate) now: Now,
    pub(crate) client: End,
    pub(crate) server: End,
    pub(crate) port: ServerPort,
    lives: u32,
}

impl End {
    pub(crate) fn new(config: Config, now: Now, site: u64, life: u32) -> End {
        let epoch = Epoch { counter: life, random: 0x5eed + life };
        let seed = [site as u8 + life as u8; 32];
        End {
            site: Site::new(now, config, SiteId(site), epoch, seed),
            now,
            address: ([10, 0, 0, site as u8], 7373).into(),
            sent: Vec::new(),
            ended: Vec::new(),
            cancelled: Vec::new(),
            fragments: Vec::new(),
        }
    }

    /// Takes all actions; gives back the packets among them.
    pub(crate) fn drain(&mut self) -> Vec<Packet> {
        let before = self.sent.len();
        while let Some(action) = self.site.poll_action() {
            match action {
                Action::Send { to, packet } => self.sent.push((to, packet)),
                Action::End { call, outcome, .. } => self.ended.push((call, outcome)),
                Action::Cancelled { call, .. } => self.cancelled.push(call),
                Action::Fragment { fragment, .. } => self.fragments.push(fragment),
                Action::Path { to } => self.site.handle_path(self.now, to, DATAGRAM_MAX, false),
                Action::Ready { .. } | Action::Note(_) => {}
            }
        }
        self.sent[before..].iter().map(|(_, packet)| packet.clone()).collect()
    }

    pub(crate) fn give(&mut self, now: Now, from: SocketAddr, packet: &Packet) -> Vec<Packet> {
        self.now = now;
        self.site.handle_datagram(now, from, &bytes(packet));
        self.drain()
    }

    pub(crate) fn count(&self, note: Note) -> u64 {
        self.site.counters().get(note)
    }

    /// As a driver does: what came was read, and there was nothing.
    fn wake(&mut self, now: Now) {
        self.site.handle_drained(now);
        if self.site.deadline().is_some_and(|deadline| deadline <= now.running) {
            self.site.handle_timeout(now);
        }
        self.drain();
    }

    /// Lives through so much time in which nothing comes.
    fn pass(&mut self, from: Now, to: Now) {
        while let Some(deadline) = self.site.deadline().filter(|it| *it <= to.running) {
            let later = deadline.saturating_sub(from.running);
            self.wake(Now { running: from.running + later, boot: from.boot + later });
        }
    }
}

impl Pair {
    pub(crate) fn new(config: Config) -> Pair {
        let now = Now { running: Duration::from_secs(50), boot: Duration::from_secs(90) };
        let (client, server) = (End::new(config, now, 0xc, 1), End::new(config, now, 0x5, 1));
        let mut pair = Pair { config, now, client, server, port: ServerPort(0), lives: 1 };
        pair.port = pair.serve("bank");
        pair
    }

    /// Opens a port with this name at the server.
    pub(crate) fn serve(&mut self, name: &str) -> ServerPort {
        let port = self.server.site.open_port(SERVES).expect("a port");
        self.server.site.register(name, port).expect("a new name");
        port
    }

    /// The server dies and begins another life; everything in it is lost.
    pub(crate) fn restart_server(&mut self) {
        self.lives += 1;
        self.server = End::new(self.config, self.now, 0x5, self.lives);
        self.port = self.serve("bank");
    }

    pub(crate) fn ipc_port(&self) -> IpcPort {
        let (site, epoch) = (self.server.site.site(), self.server.site.epoch());
        let server = ServerId { site, epoch, port: self.port };
        IpcPort { address: self.server.address, server }
    }

    pub(crate) fn by_name(&self, name: &str) -> Target {
        Target::Name { at: self.server.address, name: name.into() }
    }

    /// Asks at the port; gives back the call and its first packet.
    pub(crate) fn ask(&mut self, body: &'static str) -> (Call, Packet) {
        self.ask_with(request(body))
    }

    pub(crate) fn ask_with(&mut self, request: Request) -> (Call, Packet) {
        let target = Target::Port(self.ipc_port());
        let (call, sent) = self.ask_for(&target, request).expect("room");
        let [packet] = sent.try_into().expect("one packet");
        (call, packet)
    }

    pub(crate) fn ask_for(
        &mut self,
        target: &Target,
        request: Request,
    ) -> Result<(Call, Vec<Packet>), SendError> {
        let call = self.client.site.send_request(self.now, ASKS, target, request)?;
        Ok((call, self.client.drain()))
    }

    /// To the server, from the client's address.
    pub(crate) fn at_server(&mut self, packet: &Packet) -> Vec<Packet> {
        self.server.give(self.now, self.client.address, packet)
    }

    /// To the server, and the only answer.
    pub(crate) fn answer(&mut self, packet: &Packet) -> Packet {
        let answers: Result<[Packet; 1], _> = self.at_server(packet).try_into();
        let [answer] = answers.unwrap_or_else(|it| panic!("one answer, not {it:?}"));
        answer
    }

    pub(crate) fn at_client(&mut self, packet: &Packet) -> Vec<Packet> {
        self.client.give(self.now, self.server.address, packet)
    }

    /// The next request is handed over.
    pub(crate) fn take(&mut self) -> Option<Incoming> {
        let taken = self.server.site.take_request(self.now, self.port);
        self.server.drain();
        taken
    }

    pub(crate) fn reply(&mut self, call: CallId, body: &'static str) -> Vec<Packet> {
        let body = Bytes::from_static(body.as_bytes());
        self.server.site.send_reply(self.now, self.port, call, body).expect("it is in service");
        self.server.drain()
    }

    /// Takes a request, answers it, and gives back the only packet.
    pub(crate) fn run(&mut self, packet: &Packet) -> Packet {
        self.at_server(packet);
        let taken = self.take().expect("a request");
        let [reply] = self.reply(taken.call, "done").try_into().expect("one packet");
        reply
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        let from = self.now;
        self.now = Now { running: from.running + time, boot: from.boot + time };
        self.client.pass(from, self.now);
        self.server.pass(from, self.now);
    }

    /// Only the client lives through it: the server stands still.
    pub(crate) fn pass_at_client(&mut self, time: Duration) {
        let from = self.now;
        self.now = Now { running: from.running + time, boot: from.boot + time };
        self.client.pass(from, self.now);
    }

    /// Only the server does.
    pub(crate) fn pass_at_server(&mut self, time: Duration) {
        let from = self.now;
        self.now = Now { running: from.running + time, boot: from.boot + time };
        self.server.pass(from, self.now);
    }

    /// How this call ended; it did so once.
    pub(crate) fn outcome(&self, call: Call) -> Option<&Outcome> {
        let mut ends = self.client.ended.iter().filter(|(it, _)| *it == call);
        let end = ends.next().map(|(_, outcome)| outcome);
        assert!(ends.next().is_none(), "it ended twice");
        end
    }
}

/// A packet lives for 2 s, and nothing is drawn out.
pub(crate) fn config() -> Config {
    Config::lan()
}

pub(crate) fn request(body: &'static str) -> Request {
    let patience = Some(Duration::from_secs(10));
    Request { body: body.into(), flags: Flags::NONE, patience, max_reply: 1000 }
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) fn bytes(packet: &Packet) -> Vec<u8> {
    let mut datagram = Vec::new();
    let to = ([10, 0, 0, 1], 1).into();
    let mut datagrams = Datagrams::default();
    datagrams.push(to, packet, |_, _| {});
    datagrams.flush(|_, bytes| datagram = bytes.to_vec());
    datagram
}

pub(crate) fn names(packets: &[Packet]) -> Vec<&'static str> {
    packets.iter().map(|packet| packet.kind.name()).collect()
}

/// The packets of this kind that were sent.
pub(crate) fn of_kind<'a>(end: &'a End, name: &str) -> Vec<&'a Packet> {
    let sent = end.sent.iter().map(|(_, packet)| packet);
    sent.filter(|packet| packet.kind.name() == name).collect()
}

/// The floor that a packet carries.
pub(crate) fn floor(packet: &Packet) -> u64 {
    match packet.kind {
        Kind::Request { floor, .. } | Kind::Heartbeat { floor, .. } | Kind::Abort { floor, .. } => {
            floor
        }
        _ => panic!("{packet} carries no floor"),
    }
}

/// What a REFUSED says.
pub(crate) fn refused(packet: &Packet) -> (Ran, Reason) {
    match packet.kind {
        Kind::Refused { ran, reason } => (ran, reason),
        _ => panic!("{packet} is no refusal"),
    }
}
