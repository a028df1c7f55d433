//! The socket, and what a thread sleeps on beside it.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
};

use crate::protocol::Time;

/// What the kernel keeps of what has come and is not read yet, in bytes: some thousands of small
/// packets, if it grants that much.
const BUFFER_LEN: usize = 4 << 20;

/// A UDP socket that never blocks.
#[derive(Debug)]
pub(crate) struct Socket(UdpSocket);

/// Why a datagram did not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// No room at the moment: as good as lost on the way.
    Lost,
    /// The kernel will not send it.
    Refused {
        /// It spoke of an earlier datagram.
        by_peer: bool,
    },
}

impl Socket {
    pub(crate) fn bind(listen: SocketAddr) -> io::Result<Socket> {
        let socket = UdpSocket::bind(listen)?;
        socket.set_nonblocking(true)?;
        // IP never cuts a datagram (R40): a path that carries less than 1,200 bytes loses it.
        match listen.is_ipv6() {
            true => set_ipv6_mtu_discover(&socket, Ipv6PathMtuDiscovery::PROBE)?,
            false => set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::PROBE)?,
        }
        // As much as is allowed; less works, too.
        let _ = setsockopt(&socket, sockopt::RcvBuf, &BUFFER_LEN);
        let _ = setsockopt(&socket, sockopt::SndBuf, &BUFFER_LEN);
        Ok(Socket(socket))
    }

    /// An address of this socket that others can send to. If it listens at all addresses of this
    /// machine: the one that packets to the outside leave from, or loopback if there is no outside.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        let mut address = self.0.local_addr()?;
        if address.ip().is_unspecified() {
            address.set_ip(outside(address.is_ipv6()));
        }
        Ok(address)
    }

    /// The next datagram, or as much of it as fits in; `None` when there is none.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        loop {
            match self.0.recv_from(buffer) {
                Ok(came) => return Some(came),
                // What the kernel says of earlier datagrams proves nothing (R3).
                Err(error) if reports(&error) => {}
                Err(_) => return None,
            }
        }
    }

    pub(crate) fn send(&self, to: SocketAddr, datagram: &[u8]) -> Result<(), Unsent> {
        loop {
            match self.0.send_to(datagram, to) {
                Ok(_) => return Ok(()),
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => return Err(Unsent::Lost),
                    ErrorKind::ConnectionRefused => return Err(Unsent::Refused { by_peer: true }),
                    _ => return Err(Unsent::Refused { by_peer: false }),
                },
            }
        }
    }
}

fn reports(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionRefused, HostUnreachable, Interrupted, NetworkUnreachable};
    matches!(error.kind(), Interrupted | ConnectionRefused | HostUnreachable | NetworkUnreachable)
}

/// Asks the kernel by which address this machine would go out. Nothing is sent: a UDP socket that
/// connects only looks the way up, here to an address set aside for documentation.
fn outside(v6: bool) -> IpAddr {
    let (any, far, home): (IpAddr, IpAddr, IpAddr) = if v6 {
        let far = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        (Ipv6Addr::UNSPECIFIED.into(), far.into(), Ipv6Addr::LOCALHOST.into())
    } else {
        let far = Ipv4Addr::new(192, 0, 2, 1);
        (Ipv4Addr::UNSPECIFIED.into(), far.into(), Ipv4Addr::LOCALHOST.into())
    };
    let address = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((far, 9))?;
        socket.local_addr()
    });
    address.map_or(home, |address| address.ip())
}

/// Wakes one thread that sleeps.
#[derive(Debug)]
pub(crate) struct Bell(EventFd);

impl Bell {
    pub(crate) fn new() -> io::Result<Bell> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        Ok(Bell(EventFd::from_value_and_flags(0, flags)?))
    }

    pub(crate) fn ring(&self) {
        // It fails only if it has been rung 2^64 times and nobody woke.
        let _ = self.0.write(1);
    }

    /// Sleeps until it rings, a datagram comes to the socket, if one is given, or so long.
    pub(crate) fn sleep(&self, socket: Option<&Socket>, so_long: Option<Time>) {
        let so_long = so_long.map(TimeSpec::from_duration);
        let bell = PollFd::new(self.0.as_fd(), PollFlags::POLLIN);
        let rings = |fd: &PollFd| fd.revents().is_some_and(|came| !came.is_empty());
        let rang = match socket {
            Some(socket) => {
                let mut both = [bell, PollFd::new(socket.0.as_fd(), PollFlags::POLLIN)];
                ppoll(&mut both, so_long, None).map(|_| rings(&both[0]))
            }
            None => ppoll(&mut [bell], so_long, None).map(|ready| ready > 0),
        };
        // An error is a signal that came meanwhile: as good as nothing.
        if rang == Ok(true) {
            let _ = self.0.read();
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::sockopt::{ip_mtu_discover, ipv6_mtu_discover};

    use super::*;

    /// R40, as the kernel has it.
    #[test]
    fn no_datagram_is_cut() {
        let socket = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        assert_eq!(ip_mtu_discover(&socket.0), Ok(Ipv4PathMtuDiscovery::PROBE));
        // Where the machine has IPv6.
        if let Ok(socket) = Socket::bind("[::1]:0".parse().unwrap()) {
            assert_eq!(ipv6_mtu_discover(&socket.0), Ok(Ipv6PathMtuDiscovery::PROBE));
        }
    }
}
