//! The ladder: from plain UDP up, each with one mechanism more.

use std::thread;

use step6_daemon::{Attachment, RawMsg};
use unavez::attached::{self, Kind};
use unavez::{IpcClient, IpcPort, IpcServer, Options, Site};

use super::plain::{deadline, tcp, tcp_each, threads, udp};
use super::steps::{HERE, step1_udp, step2_retransmit, step3_dedup, step4_epochs, step5_heartbeat};
use super::{Host, LEN, Once, Result, Way, parts};

pub(crate) const WAYS: [Way; 22] = [
    part("clock", "the clock is read", parts::clock),
    part("nothing", "a system call: `recv` that finds nothing", parts::nothing),
    part("datagram", "a datagram sent and received by one thread", parts::datagram),
    part("futex", "two threads, a futex", parts::futex),
    part("eventfd", "two threads, an eventfd", parts::eventfd),
    part("channel", "two threads, crossbeam-channel", parts::channel),
    part("sysv", "two threads, System V queues", parts::sysv),
    way("udp", "UDP echo", None, udp::serve, udp::connect),
    // The same, so that the page can say what no difference looks like.
    way("udp-again", "UDP echo, again", Some("udp"), udp::serve, udp::connect),
    way("deadline", "UDP echo, with a deadline", Some("udp"), deadline::serve, deadline::connect),
    way("threads", "UDP echo, with threads", Some("udp"), threads::serve, threads::connect),
    way("step1", "step 1", Some("udp"), step1_udp::serve, step1_udp::connect),
    way("step2", "step 2", Some("step1"), step2_retransmit::serve, step2_retransmit::connect),
    way("step3", "step 3", Some("step2"), step3_dedup::serve, step3_dedup::connect),
    way("step4", "step 4", Some("step3"), step4_epochs::serve, step4_epochs::connect),
    way("step5", "step 5", Some("step4"), step5_heartbeat::serve, step5_heartbeat::connect),
    way("step6", "step 6", Some("step5"), step6::serve, step6::connect),
    way("unavez", "*final*", Some("udp"), embedded::serve, embedded::connect),
    way("unavezd-shm", "*final*, `shm`", Some("unavez"), shm::serve, shm::connect),
    way("unavezd-sysv", "*final*, `sysv`", Some("unavez"), sysv::serve, sysv::connect),
    way("tcp", "TCP, kept open", Some("udp"), tcp::serve, tcp::connect),
    way("tcp-each", "TCP, one each", Some("tcp"), tcp_each::serve, tcp_each::connect),
];

type Serve = fn(&Host) -> Result<String>;
type Connect = fn(&str, &Host) -> Result<Once>;

const fn way(
    name: &'static str,
    label: &'static str,
    over: Option<&'static str>,
    serve: Serve,
    connect: Connect,
) -> Way {
    Way { name, label, over, serve, connect }
}

/// It needs no other process.
const fn part(name: &'static str, label: &'static str, connect: Connect) -> Way {
    way(name, label, None, |_host| Ok(String::new()), connect)
}

/// Through the daemons of the paper: five threads and System V queues on either host.
mod step6 {
    use super::*;
    use step6_daemon::{IpcClient, IpcServer};

    pub(super) fn serve(host: &Host) -> Result<String> {
        let server = IpcServer::new(&Attachment::new(&host.ipcd())?)?;
        let at = server.port().to_string();
        thread::spawn(move || -> Result<()> {
            loop {
                let (request, id) = server.receive_request()?;
                server.send_reply(id, request)?;
            }
        });
        Ok(at)
    }

    pub(super) fn connect(at: &str, host: &Host) -> Result<Once> {
        let client = IpcClient::new(&Attachment::new(&host.ipcd())?, at.parse()?);
        Ok(Box::new(move || {
            client.receive_reply(client.send_request(RawMsg::from(vec![7; LEN]))?)?;
            Ok(())
        }))
    }
}

/// The product, its site in the process.
mod embedded {
    use super::*;

    pub(super) fn serve(_host: &Host) -> Result<String> {
        echo(&site()?)
    }

    pub(super) fn connect(at: &str, _host: &Host) -> Result<Once> {
        call(site()?, at)
    }

    fn site() -> Result<Site> {
        Ok(Site::with(Options { listen: HERE, ..Options::default() })?)
    }
}

/// The product, through the daemons of both hosts.
macro_rules! attached {
    ($channel:ident, $kind:expr) => {
        mod $channel {
            use super::*;

            pub(super) fn serve(host: &Host) -> Result<String> {
                echo(&attach(host, $kind)?)
            }

            pub(super) fn connect(at: &str, host: &Host) -> Result<Once> {
                call(attach(host, $kind)?, at)
            }
        }
    };
}

attached!(shm, Kind::Shm);
attached!(sysv, Kind::Sysv);

fn attach(host: &Host, channel: Kind) -> Result<Site> {
    Ok(Site::attach_with(attached::Options { socket: Some(host.unavezd()), channel })?)
}

fn echo(site: &Site) -> Result<String> {
    let server = IpcServer::new(site)?;
    let at = server.port().to_string();
    thread::spawn(move || -> Result<()> {
        loop {
            let (request, id) = server.receive_request()?;
            server.send_reply(request, id)?;
        }
    });
    Ok(at)
}

fn call(site: Site, at: &str) -> Result<Once> {
    let port: IpcPort = at.parse()?;
    let client = IpcClient::new(&site, port);
    Ok(Box::new(move || {
        let _is_kept = &site;
        let reply = client.call(vec![7; LEN])?;
        if reply.body().len() == LEN { Ok(()) } else { Err("a reply of another length".into()) }
    }))
}
