//! The socket, and what a thread sleeps on beside it.

mod bell;
mod incoming;
mod many;
mod outgoing;
#[cfg(test)]
mod tests;

use std::env;
use std::io::{self, ErrorKind};
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use nix::poll::PollFlags;
use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, Timeout, ip_mtu, ipv6_mtu, set_ip_mtu_discover,
    set_ipv6_mtu_discover, set_socket_timeout,
};
use rustix::net::{RecvFlags, SendFlags, recvfrom, sendto};

use crate::protocol::{DATAGRAM_LARGEST, DATAGRAM_MAX, Time};

pub(crate) use bell::Bell;
pub(crate) use incoming::Incoming;
pub(crate) use outgoing::Outgoing;

use incoming::rooms;
use many::Came;
use outgoing::Cursor;

/// What the kernel keeps of what has come and is not read yet, in bytes: some thousands of small
/// packets, if it grants that much.
const BUFFER_LEN: usize = 4 << 20;

/// How long a thread may be blocked in a receive: then it sleeps as others do, once and for all until a
/// datagram comes. It is soon, for the datagram that wakes it could be lost.
const BLOCKED_MAX: Duration = Duration::from_millis(128);
/// The kernel counts such waits in ticks, of 10 ms at most: shorter ones are too coarse.
const BLOCKED_MIN: Duration = Duration::from_millis(16);

/// See [`Socket::room`].
const ROOM_MAX: usize = 256 << 10;

/// "off" where the kernel must not be asked to cut and join datagrams: for a driver that does it wrong,
/// and for tests of what happens without.
const OFFLOAD: &str = "UNAVEZ_UDP_OFFLOAD";

/// A UDP socket. Only [`Socket::sleep`] blocks.
#[derive(Debug)]
pub(crate) struct Socket {
    udp: UdpSocket,
    /// Sends an empty datagram to the socket, to wake whoever is blocked in a receive. Without one
    /// nobody ever is.
    waker: Option<UdpSocket>,
    /// The last sleep ended with a datagram: the next one may, too.
    busy: AtomicBool,
    /// How long a receive blocks, in ms, as the kernel was told.
    blocked: AtomicU64,
    /// The kernel cuts what is sent into datagrams of one length (UDP_SEGMENT).
    cuts: AtomicBool,
    /// What came last was long, perhaps because the kernel had joined datagrams of one length (UDP_GRO):
    /// the next time it is asked of what length, which makes the call dearer.
    long: AtomicBool,
    /// What came to the thread that slept.
    inbox: Mutex<Box<Incoming>>,
}

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

/// What a look at the socket found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Datagrams.
    Some,
    /// None was there.
    Nothing,
    /// The kernel would not say.
    Trouble,
}

impl Socket {
    pub(crate) fn bind(listen: SocketAddr) -> io::Result<Socket> {
        let offload = env::var_os(OFFLOAD).is_none_or(|it| it != "off");
        Socket::bind_with(listen, offload)
    }

    fn bind_with(listen: SocketAddr, offload: bool) -> io::Result<Socket> {
        let udp = UdpSocket::bind(listen)?;
        // IP never cuts a datagram (R40): a path that carries less than 1,200 bytes loses it.
        match listen.is_ipv6() {
            true => set_ipv6_mtu_discover(&udp, Ipv6PathMtuDiscovery::PROBE)?,
            false => set_ip_mtu_discover(&udp, Ipv4PathMtuDiscovery::PROBE)?,
        }
        // As much as is allowed; less works, too.
        if setsockopt(&udp, sockopt::RcvBufForce, &BUFFER_LEN).is_err() {
            let _ = setsockopt(&udp, sockopt::RcvBuf, &BUFFER_LEN);
        }
        if setsockopt(&udp, sockopt::SndBufForce, &BUFFER_LEN).is_err() {
            let _ = setsockopt(&udp, sockopt::SndBuf, &BUFFER_LEN);
        }
        // Kernels before 5.0 know neither.
        if offload {
            let _ = setsockopt(&udp, sockopt::UdpGroSegment, &true);
        }
        let cuts = offload && getsockopt(&udp, sockopt::UdpGsoSegment).is_ok();
        Ok(Socket {
            waker: waker(udp.local_addr()?).ok(),
            udp,
            busy: AtomicBool::new(false),
            blocked: AtomicU64::new(0),
            cuts: AtomicBool::new(cuts),
            long: AtomicBool::new(false),
            inbox: Mutex::new(Incoming::new()),
        })
    }

    /// An address of this socket that others can send to. If it listens at all addresses of this
    /// machine: the one that packets to the outside leave from, or loopback if there is no outside.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        let mut address = self.udp.local_addr()?;
        if address.ip().is_unspecified() {
            address.set_ip(outside(address.is_ipv6()));
        }
        Ok(address)
    }

    /// How many bytes of large messages its buffer takes at once: the kernel counts its own part, too, up to
    /// as much again for small datagrams. What is more than a processor's cache holds is of no use.
    pub(crate) fn room(&self) -> usize {
        let buffer = getsockopt(&self.udp, sockopt::RcvBuf).unwrap_or(0);
        (buffer / 3).clamp(2 * DATAGRAM_LARGEST, ROOM_MAX)
    }

    // ---- what comes

    /// What has come, as much of it as one system call brings.
    pub(crate) fn receive(&self, into: &mut Box<Incoming>) -> Found {
        let mut inbox = self.inbox.lock().expect("no thread panics here");
        if !inbox.is_empty() {
            mem::swap(into, &mut inbox);
            return Found::Some;
        }
        drop(inbox);
        loop {
            match self.read_many(into, false) {
                Ok(()) if !into.is_empty() => return Found::Some,
                // It only woke a thread.
                Ok(()) => {}
                // What the kernel says of earlier datagrams proves nothing (R3).
                Err(error) if reports(&error) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Found::Nothing,
                Err(_) => return Found::Trouble,
            }
        }
    }

    /// Reads one datagram, or several that the kernel joined, and waits for it.
    fn read_one(&self, into: &mut Incoming) -> io::Result<()> {
        into.fill(|all, came| {
            let room = rooms(all).next().ok_or(ErrorKind::InvalidInput)?;
            let (_, len, from) = recvfrom(&self.udp, room, RecvFlags::empty())?;
            let from = from.and_then(|from| SocketAddr::try_from(from).ok());
            came[0] = from.map(|from| Came { from, len, segment: None });
            Ok::<_, io::Error>(1)
        })?;
        self.sort_out(into);
        Ok(())
    }

    /// Reads as many as there are and have room; if it waits, then for the first.
    fn read_many(&self, into: &mut Incoming, waits: bool) -> io::Result<()> {
        into.fill(|all, came| many::receive(self.udp.as_fd(), rooms(all), waits, came))?;
        self.sort_out(into);
        Ok(())
    }

    /// What only woke a thread is no datagram to anybody.
    fn sort_out(&self, read: &mut Incoming) {
        let waker = || self.waker.as_ref().and_then(|waker| waker.local_addr().ok());
        read.retain(|came| came.len > 0 || waker() != Some(came.from));
        let long = read.is_long(DATAGRAM_MAX);
        if long != self.long.load(Relaxed) {
            self.long.store(long, Relaxed);
        }
    }

    // ---- what leaves

    /// Sends all of it, as many datagrams a system call as it can; those that the kernel refuses are
    /// given away.
    pub(crate) fn send_all(
        &self,
        all: &Outgoing,
        mut refused: impl FnMut(SocketAddr, &[u8], bool),
    ) {
        if let Some((to, datagram)) = all.only() {
            if let Err(Unsent::Refused { by_peer }) = self.send(to, datagram) {
                refused(to, datagram, by_peer);
            }
            return;
        }
        let mut next = Cursor::default();
        while let Some(batch) = all.plan(next, self.cuts.load(Relaxed)) {
            let (messages, count) = batch.messages();
            match many::send(self.udp.as_fd(), &messages[..count]) {
                Ok(sent) => next = all.after(&batch, sent),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if batch.first_is_cut() && cannot_cut(&error) => {
                    self.cuts.store(false, Relaxed);
                }
                Err(error) => {
                    if let Unsent::Refused { by_peer } = unsent(&error) {
                        all.first_of(&batch, |to, datagram| refused(to, datagram, by_peer));
                    }
                    next = all.after(&batch, 1);
                }
            }
        }
    }

    pub(crate) fn send(&self, to: SocketAddr, datagram: &[u8]) -> Result<(), Unsent> {
        loop {
            match sendto(&self.udp, datagram, SendFlags::DONTWAIT, &to).map_err(io::Error::from) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(unsent(&error)),
            }
        }
    }

    // ---- sleep

    /// Sleeps until the bell rings, a datagram comes, or so long; or a little less. One thread at a
    /// time, and what came it reads next.
    ///
    /// While one datagram comes after the other it blocks in the receive itself, which costs one system
    /// call less.
    pub(crate) fn sleep(&self, bell: &Bell, so_long: Option<Time>) {
        let blocked = (self.busy.load(Relaxed) && self.waker.is_some())
            .then(|| blocked_for(so_long))
            .flatten();
        match blocked {
            Some(blocked) => self.block(blocked),
            None => self
                .busy
                .store(bell.sleep(Some((self.as_fd(), PollFlags::POLLIN)), so_long), Relaxed),
        }
    }

    fn block(&self, so_long: Duration) {
        let millis = so_long.as_millis() as u64;
        if self.blocked.load(Relaxed) != millis {
            if set_socket_timeout(&self.udp, Timeout::Recv, Some(so_long)).is_err() {
                return self.busy.store(false, Relaxed);
            }
            self.blocked.store(millis, Relaxed);
        }
        let mut inbox = self.inbox.lock().expect("no thread panics here");
        let read = match self.long.load(Relaxed) {
            true => self.read_many(&mut inbox, true),
            false => self.read_one(&mut inbox),
        };
        if read.is_err() {
            self.busy.store(false, Relaxed);
        }
    }

    /// Wakes a thread that sleeps here with this bell.
    pub(crate) fn wake(&self, bell: &Bell) {
        bell.ring();
        if let Some(waker) = &self.waker {
            // If it does not come, the thread wakes a little later.
            let _ = waker.send(&[]);
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.udp.as_fd()
    }
}

/// How long a receive may block when a thread wants to sleep so long: whole powers of two, so that the
/// kernel need not be told each time. `None` if that is too short to be exact.
fn blocked_for(so_long: Option<Time>) -> Option<Duration> {
    let so_long = so_long.map_or(BLOCKED_MAX, |it| it.min(BLOCKED_MAX));
    let millis = 1 << so_long.as_millis().checked_ilog2()?;
    Some(Duration::from_millis(millis)).filter(|it| *it >= BLOCKED_MIN)
}

/// A socket that sends to the one at this address.
fn waker(mut address: SocketAddr) -> io::Result<UdpSocket> {
    if address.ip().is_unspecified() {
        address.set_ip(home(address.is_ipv6()));
    }
    let waker = UdpSocket::bind((address.ip(), 0))?;
    waker.connect(address)?;
    waker.set_nonblocking(true)?;
    Ok(waker)
}

fn unsent(error: &io::Error) -> Unsent {
    match error.kind() {
        ErrorKind::WouldBlock => Unsent::Lost,
        ErrorKind::ConnectionRefused => Unsent::Refused { by_peer: true },
        _ => Unsent::Refused { by_peer: false },
    }
}

/// Whether the kernel says that it, or the driver, will not cut a message; or the way carries no
/// datagrams of this length, which it will say once more.
fn cannot_cut(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL | libc::EOPNOTSUPP))
}

/// How large datagrams leave this machine for there, in bytes, and whether it is certain that they
/// arrive: within this machine.
pub(crate) fn path_to(to: SocketAddr) -> (usize, bool) {
    if to.ip().is_loopback() {
        return (LOOPBACK_DATAGRAM, true);
    }
    let mtu = UdpSocket::bind(any(to.is_ipv6())).and_then(|socket| {
        // Nothing is sent: it only looks the way up.
        socket.connect(to)?;
        Ok(if to.is_ipv6() { ipv6_mtu(&socket)? } else { ip_mtu(&socket)? })
    });
    let headers = if to.is_ipv6() { IPV6_HEADERS } else { IPV4_HEADERS };
    let datagram = mtu.map_or(DATAGRAM_MAX, |mtu| (mtu as usize).saturating_sub(headers));
    (datagram, false)
}

/// Two of them are in the receiver's buffer, and others on their way there.
const LOOPBACK_DATAGRAM: usize = 32 << 10;
/// Those of IP without options, and of UDP.
const IPV4_HEADERS: usize = 20 + 8;
const IPV6_HEADERS: usize = 40 + 8;

fn reports(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionRefused, HostUnreachable, Interrupted, NetworkUnreachable};
    matches!(error.kind(), Interrupted | ConnectionRefused | HostUnreachable | NetworkUnreachable)
}

/// Asks the kernel by which address this machine would go out. Nothing is sent: a UDP socket that
/// connects only looks the way up, here to an address set aside for documentation.
fn outside(v6: bool) -> IpAddr {
    let far: IpAddr = match v6 {
        true => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
        false => Ipv4Addr::new(192, 0, 2, 1).into(),
    };
    let address = UdpSocket::bind(any(v6)).and_then(|socket| {
        socket.connect((far, 9))?;
        socket.local_addr()
    });
    address.map_or(home(v6), |address| address.ip())
}

/// All addresses of this machine, and a port that is free.
fn any(v6: bool) -> SocketAddr {
    let ip: IpAddr = if v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    (ip, 0).into()
}

/// This machine, as it calls itself.
fn home(v6: bool) -> IpAddr {
    if v6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() }
}
