//! The steps, each in two ways: its driver behind a real socket, and its core alone.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use crossbeam_channel::bounded;

use super::{Host, LEN, Once, Result};

/// Any free port of this host.
pub(crate) const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

const CLIENT: SocketAddr = SocketAddr::new(HERE.ip(), 1);
const SERVER: SocketAddr = SocketAddr::new(HERE.ip(), 2);
/// How far the clock goes from call to call of a core alone. A reply is kept for 32 seconds: a
/// thousand of them are kept.
pub(crate) const STEP: Duration = Duration::from_millis(32);

/// A step by the name of its crate; `now` if its core has a clock; its driver, its core, and how a
/// server at an address is named.
macro_rules! step {
    ($step:ident, [$($now:ident)?], $udp:expr, $site:expr, $port:expr) => {
        pub(crate) mod $step {
            use super::*;
            use ::$step::{Action, Deliver, Packet, Site, Udp};

            /// An echo behind the step's own driver.
            pub(crate) fn serve(_host: &Host) -> Result<String> {
                let (says, at) = bounded(1);
                // Made by its thread: a driver stays in it.
                thread::spawn(move || -> Result<()> {
                    let mut udp: Udp = $udp?;
                    says.send(udp.socket().local_addr()?)?;
                    loop {
                        if let Deliver::Request { call, body } = udp.receive()? {
                            udp.send_reply(call, body)?;
                        }
                    }
                });
                Ok(at.recv()?.to_string())
            }

            pub(crate) fn connect(at: &str, _host: &Host) -> Result<Once> {
                let mut udp: Udp = $udp?;
                let port = $port(at.parse()?);
                Ok(Box::new(move || {
                    udp.send_request(port, vec![7; LEN])?;
                    match udp.receive()? {
                        Deliver::Reply { body, .. } if body.len() == LEN => Ok(()),
                        other => Err(format!("no reply: {other:?}").into()),
                    }
                }))
            }

            /// One call through two cores with nothing between them.
            pub(crate) fn alone(_at: &str, _host: &Host) -> Result<Once> {
                let mut pair = Pair::new();
                Ok(Box::new(move || {
                    black_box(pair.call());
                    Ok(())
                }))
            }

            /// The wire's part of it: the two packets, encoded and decoded.
            pub(crate) fn wire(_at: &str, _host: &Host) -> Result<Once> {
                let packets = Pair::new().call();
                Ok(Box::new(move || {
                    for packet in &packets {
                        let decoded = Packet::decode(&black_box(packet).encode());
                        black_box(decoded).map_err(|error| error.to_string())?;
                    }
                    Ok(())
                }))
            }

            pub(super) struct Pair {
                client: Site,
                pub(super) server: Site,
                $($now: Duration,)?
            }

            impl Pair {
                pub(super) fn new() -> Pair {
                    Pair { client: $site, server: $site, $($now: Duration::ZERO)? }
                }

                /// One call, and what has become due since the last; its two packets.
                pub(super) fn call(&mut self) -> [Packet; 2] {
                    let Pair { client, server, $($now)? } = self;
                    $(
                        *$now += STEP;
                        for site in [&mut *client, &mut *server] {
                            if site.deadline().is_some_and(|at| at <= *$now) {
                                site.handle_timeout(*$now);
                                while site.poll_action().is_some() {}
                            }
                        }
                    )?
                    let sent = client.send_request($(*$now,)? $port(SERVER), vec![7; LEN]);
                    sent.expect("it is the only call");
                    let request = packet(client);
                    server.handle_packet($(*$now,)? CLIENT, &request.encode());
                    let taken = server.poll_action();
                    let Some(Action::Deliver(Deliver::Request { call, body })) = taken else {
                        panic!("a request is handed over, not {taken:?}");
                    };
                    server.send_reply($(*$now,)? call, body).expect("it is in service");
                    let reply = packet(server);
                    client.handle_packet($(*$now,)? SERVER, &reply.encode());
                    let end = client.poll_action();
                    assert!(matches!(end, Some(Action::Deliver(Deliver::Reply { .. }))), "{end:?}");
                    [request, reply]
                }
            }

            fn packet(site: &mut Site) -> Packet {
                match site.poll_action() {
                    Some(Action::Send { packet, .. }) => packet,
                    other => panic!("a packet is sent, not {other:?}"),
                }
            }
        }
    };
}

step!(step1_udp, [], Udp::bind(HERE), Site::default(), std::convert::identity::<SocketAddr>);
step!(
    step2_retransmit,
    [now],
    Udp::bind(HERE, ::step2_retransmit::Config::default()),
    Site::new(::step2_retransmit::Config::default()),
    std::convert::identity::<SocketAddr>
);
step!(
    step3_dedup,
    [now],
    Udp::bind(HERE, ::step3_dedup::Config::default()),
    Site::new(::step3_dedup::Config::default()),
    std::convert::identity::<SocketAddr>
);
step!(
    step4_epochs,
    [now],
    Udp::bind(HERE, ::step4_epochs::Config::default(), epochs::STEP4),
    Site::new(::step4_epochs::Config::default(), epochs::STEP4),
    epochs::step4
);
step!(
    step5_heartbeat,
    [now],
    Udp::bind(HERE, ::step5_heartbeat::Config::default(), epochs::STEP5),
    Site::new(::step5_heartbeat::Config::default(), epochs::STEP5),
    epochs::step5
);

/// Every site is in its first life.
mod epochs {
    use std::net::SocketAddr;

    use step4_epochs as four;
    use step5_heartbeat as five;

    pub(super) const STEP4: four::Epoch = four::Epoch { counter: 1, random: 1 };
    pub(super) const STEP5: five::Epoch = five::Epoch { counter: 1, random: 1 };

    pub(super) fn step4(address: SocketAddr) -> four::Port {
        four::Port { address, epoch: STEP4 }
    }

    pub(super) fn step5(address: SocketAddr) -> five::Port {
        five::Port { address, epoch: STEP5 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_replies_are_kept() {
        // As the chapter says: each with its record and its timer, once the first ones were freed.
        let mut pair = step5_heartbeat::Pair::new();
        for _ in 0..3000 {
            pair.call();
        }
        assert_eq!(pair.server.entries(), 2 * 1000);
        let page = include_str!("../../chapters/price.md");
        let says = format!("Each call comes {} milliseconds after the last", STEP.as_millis());
        assert!(page.contains(&says));
    }
}
