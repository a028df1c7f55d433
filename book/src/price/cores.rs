//! The cores without sockets: what the rules of a call cost the processor.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Duration;

use unavez::protocol::{
    Action, Config, Datagrams, Epoch, Flags, IpcPort, Now, Outcome, Packet, ProcessId, Request,
    ServerId, ServerPort, Site, SiteId, Target,
};

use super::steps::{
    HERE, STEP, step1_udp, step2_retransmit, step3_dedup, step4_epochs, step5_heartbeat,
};
use super::{Host, LEN, Once, Result, Way};

/// A call through each core, and beside it the wire's part of it.
pub(crate) const CORES: [Way; 12] = [
    core("step1", "step 1: a request and a reply", None, step1_udp::alone),
    core("step2", "step 2: a timer", Some("step1"), step2_retransmit::alone),
    core("step3", "step 3: numbers, kept replies", Some("step2"), step3_dedup::alone),
    core("step4", "step 4: epochs", Some("step3"), step4_epochs::alone),
    core("step5", "step 5: acknowledgement, heartbeats", Some("step4"), step5_heartbeat::alone),
    core("unavez", "*final*", Some("step5"), alone),
    core("step1-wire", "", None, step1_udp::wire),
    core("step2-wire", "", None, step2_retransmit::wire),
    core("step3-wire", "", None, step3_dedup::wire),
    core("step4-wire", "", None, step4_epochs::wire),
    core("step5-wire", "", None, step5_heartbeat::wire),
    core("unavez-wire", "", None, wire),
];

const fn core(
    name: &'static str,
    label: &'static str,
    over: Option<&'static str>,
    connect: fn(&str, &Host) -> Result<Once>,
) -> Way {
    Way { name, label, over, serve: |_host| Ok(String::new()), connect }
}

fn alone(_at: &str, _host: &Host) -> Result<Once> {
    let mut pair = Pair::new();
    Ok(Box::new(move || {
        pair.call(&mut |_| {});
        Ok(())
    }))
}

fn wire(_at: &str, _host: &Host) -> Result<Once> {
    let mut packets = Vec::new();
    Pair::new().call(&mut |packet| packets.push(packet.clone()));
    let mut bytes = Vec::new();
    Ok(Box::new(move || {
        for packet in &packets {
            bytes.clear();
            black_box(packet).encode(&mut bytes);
            black_box(Packet::decode(&bytes)).map_err(|error| error.to_string())?;
        }
        Ok(())
    }))
}

/// A client's site and a server's, with nothing between them.
struct Pair {
    client: Site,
    server: Site,
    now: Now,
    port: ServerPort,
    target: Target,
    datagrams: Vec<Vec<u8>>,
}

const CLIENT: SocketAddr = SocketAddr::new(HERE.ip(), 1);
const SERVER: SocketAddr = SocketAddr::new(HERE.ip(), 2);

impl Pair {
    fn new() -> Pair {
        let now = Now::default();
        let site = |id, seed| {
            let epoch = Epoch { counter: 1, random: 1 };
            Site::new(now, Config::default(), SiteId(id), epoch, [seed; 32])
        };
        let (client, mut server) = (site(1, 1), site(2, 2));
        let port = server.open_port(ProcessId(0)).expect("it is the first");
        let name = ServerId { site: server.site(), epoch: server.epoch(), port };
        let target = Target::Port(IpcPort { address: SERVER, server: name });
        Pair { client, server, now, port, target, datagrams: Vec::new() }
    }

    /// One call, and what has become due since the last.
    fn call(&mut self, sees: &mut dyn FnMut(&Packet)) {
        let now = self.pass();
        let body = vec![7; LEN].into();
        let patience = Some(Duration::from_secs(30));
        let request = Request { body, flags: Flags::NONE, patience, max_reply: LEN as u32 };
        let sent = self.client.send_request(now, ProcessId(0), &self.target, request);
        sent.expect("it is the only call");
        drain(&mut self.client, &mut self.datagrams, sees);
        for datagram in self.datagrams.drain(..) {
            self.server.handle_datagram(now, CLIENT, &datagram);
        }
        drain(&mut self.server, &mut self.datagrams, sees);
        let taken = self.server.take_request(now, self.port).expect("it came");
        let answered = self.server.send_reply(now, self.port, taken.call, taken.body);
        answered.expect("it is in service");
        drain(&mut self.server, &mut self.datagrams, sees);
        for datagram in self.datagrams.drain(..) {
            self.client.handle_datagram(now, SERVER, &datagram);
        }
        let replies = drain(&mut self.client, &mut self.datagrams, sees);
        assert_eq!(replies, 1, "a call ends with its reply");
    }

    fn pass(&mut self) -> Now {
        self.now = Now { running: self.now.running + STEP, boot: self.now.boot + STEP };
        for site in [&mut self.client, &mut self.server] {
            if site.deadline().is_some_and(|at| at <= self.now.running) {
                site.handle_timeout(self.now);
            }
        }
        self.now
    }
}

/// Does what a driver does; says how many calls ended with a reply.
fn drain(site: &mut Site, sent: &mut Vec<Vec<u8>>, sees: &mut dyn FnMut(&Packet)) -> usize {
    let mut datagrams = Datagrams::default();
    let mut replies = 0;
    while let Some(action) = site.poll_action() {
        match action {
            Action::Send { to, packet } => {
                sees(&packet);
                datagrams.push(to, &packet, |_, datagram| sent.push(datagram.to_vec()));
            }
            Action::End { outcome: Outcome::Reply(_), .. } => replies += 1,
            _ => {}
        }
    }
    datagrams.flush(|_, datagram| sent.push(datagram.to_vec()));
    replies
}
