//! A site in the process, and the sites of two hosts that their daemons play.

use std::net::IpAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use unavez::attached::{self, Kind};
use unavez::{IpcClient, IpcServer, Options, RawMsg, Site, SiteError};

use super::Peer;
use crate::Result;
use crate::bench::contender::Contender;
use crate::bench::orders::{Message, reply_len};

/// How many requests a server takes together, if there are so many.
const AT_ONCE: usize = 512;

pub(super) fn serve(contender: Contender, ip: IpAddr, daemon: Option<&Path>) -> Result<String> {
    let server = IpcServer::new(&site(contender, ip, daemon)?)?;
    let at = server.port().to_string();
    thread::spawn(move || -> std::result::Result<(), SiteError> {
        loop {
            let requests = server.receive_requests(AT_ONCE)?;
            // A client may have called some off.
            server.send_replies(requests.into_iter().map(|(request, id)| {
                let body = request.into_body();
                (body.slice(..reply_len(&body)), id)
            }));
        }
    });
    Ok(at)
}

fn site(contender: Contender, ip: IpAddr, daemon: Option<&Path>) -> Result<Site> {
    let channel = match contender {
        Contender::UnavezdShm => Kind::Shm,
        Contender::UnavezdSysv => Kind::Sysv,
        _ => return Ok(Site::with(Options { listen: (ip, 0).into(), ..Options::default() })?),
    };
    let socket = daemon.map(Path::to_owned);
    Ok(Site::attach_with(attached::Options { socket, channel })?)
}

/// How long a call may take: the longest message on a slow wire takes some time.
const PATIENCE: Duration = Duration::from_secs(300);

pub(super) struct Caller {
    client: IpcClient,
}

impl Caller {
    pub(super) fn connect(
        contender: Contender,
        ip: IpAddr,
        at: &str,
        daemon: Option<&Path>,
    ) -> Result<Caller> {
        Ok(Caller { client: IpcClient::open(&site(contender, ip, daemon)?, at)? })
    }
}

impl Peer for Caller {
    fn exchange(&mut self, message: &Message) -> Result<()> {
        let reply = self.client.call(request(message))?;
        Ok(message.check(reply.body().len())?)
    }

    fn pipeline(&mut self, message: &Message, calls: usize, open: usize) -> Result<()> {
        let (mut sent, mut done) = (0, 0);
        while done < calls {
            let more = calls.min(done + open) - sent;
            for id in self.client.send_requests((0..more).map(|_| request(message))) {
                id?;
            }
            sent += more;
            for (_, reply) in self.client.receive_replies(open)? {
                message.check(reply?.body().len())?;
                done += 1;
            }
        }
        Ok(())
    }
}

fn request(message: &Message) -> RawMsg {
    RawMsg::new(message.body()).timeout(PATIENCE)
}
