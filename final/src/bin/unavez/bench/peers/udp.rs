//! The floor: a datagram there, a datagram back, and nothing that makes up for a lost one.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};

use super::Peer;
use crate::Result;
use crate::bench::orders::{Message, reply_len};

/// The longest datagram of IPv4.
const LONGEST: usize = 65_507;
/// What the kernel keeps, if it grants that much.
const BUFFER_LEN: usize = 4 << 20;
/// After so long an echo is lost.
const LOST_AFTER: Duration = Duration::from_secs(5);

pub(super) fn serve(ip: IpAddr) -> Result<String> {
    let socket = bind(ip)?;
    let at = socket.local_addr()?.to_string();
    thread::spawn(move || {
        let mut buffer = vec![0; LONGEST];
        loop {
            // An error speaks of a client that is gone.
            let Ok((len, from)) = socket.recv_from(&mut buffer) else { continue };
            let _ = socket.send_to(&buffer[..reply_len(&buffer[..len])], from);
        }
    });
    Ok(at)
}

/// A socket with room for all that is open.
pub(super) fn bind(ip: IpAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind((ip, 0))?;
    // Less works, too.
    let _ = setsockopt(&socket, sockopt::RcvBuf, &BUFFER_LEN);
    let _ = setsockopt(&socket, sockopt::SndBuf, &BUFFER_LEN);
    Ok(socket)
}

pub(super) struct Echo {
    socket: UdpSocket,
    buffer: Vec<u8>,
}

impl Echo {
    pub(super) fn connect(ip: IpAddr, at: SocketAddr) -> Result<Echo> {
        let socket = bind(ip)?;
        socket.connect(at)?;
        socket.set_read_timeout(Some(LOST_AFTER))?;
        Ok(Echo { socket, buffer: vec![0; LONGEST] })
    }
}

impl Peer for Echo {
    fn exchange(&mut self, message: &Message) -> Result<()> {
        let body = message.body();
        if body.len() > LONGEST {
            return Err(format!("too long: a datagram has {LONGEST} bytes at most").into());
        }
        self.socket.send(&body)?;
        let len = self.socket.recv(&mut self.buffer).map_err(|_| "an echo was lost")?;
        Ok(message.check(len)?)
    }
}
