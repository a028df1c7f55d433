//! The two ends of each contender: one that serves and one that asks.

mod batch;
mod fast_open;
mod quic;
mod tcp;
mod tcp_many;
mod udp;
mod unavez;

use std::net::IpAddr;
use std::path::Path;

use super::contender::Contender;
use super::orders::Message;
use crate::Result;

/// The asking end.
pub(super) trait Peer {
    /// One request and its reply.
    fn exchange(&mut self, message: &Message) -> Result<()>;

    /// So many calls, of which so many are open at any time.
    fn pipeline(&mut self, _: &Message, _calls: usize, _open: usize) -> Result<()> {
        Err("only one call can be open".into())
    }
}

/// Serves, in threads of its own, until the process ends; gives where.
pub(super) fn serve(contender: Contender, ip: IpAddr, daemon: Option<&Path>) -> Result<String> {
    match contender {
        Contender::Udp => udp::serve(ip),
        Contender::UdpBatch => batch::serve(ip),
        Contender::TcpEach | Contender::TcpOpen => tcp::serve(ip),
        Contender::TcpFastOpen => tcp::serve_fast_open(ip),
        Contender::QuicEach | Contender::QuicOpen => quic::serve(ip),
        Contender::Unavez | Contender::UnavezdShm | Contender::UnavezdSysv => {
            unavez::serve(contender, ip, daemon)
        }
    }
}

/// Goes to where it is served.
pub(super) fn connect(
    contender: Contender,
    ip: IpAddr,
    at: &str,
    daemon: Option<&Path>,
) -> Result<Box<dyn Peer>> {
    Ok(match contender {
        Contender::Udp => Box::new(udp::Echo::connect(ip, at.parse()?)?),
        Contender::UdpBatch => Box::new(batch::Batches::connect(ip, at.parse()?)?),
        Contender::TcpEach => Box::new(tcp::Each::new(at.parse()?)),
        Contender::TcpFastOpen => Box::new(tcp::FastOpen::new(at.parse()?)?),
        Contender::TcpOpen => Box::new(tcp::Open::connect(at.parse()?)?),
        Contender::QuicEach => Box::new(quic::Quic::connect(ip, at, false)?),
        Contender::QuicOpen => Box::new(quic::Quic::connect(ip, at, true)?),
        Contender::Unavez | Contender::UnavezdShm | Contender::UnavezdSysv => {
            Box::new(unavez::Caller::connect(contender, ip, at, daemon)?)
        }
    })
}
