//! The socket, and what a thread sleeps on beside it.

use std::io::{self, ErrorKind};
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, Timeout, ip_mtu, ipv6_mtu, set_ip_mtu_discover,
    set_ipv6_mtu_discover, set_socket_timeout,
};
use rustix::net::{RecvFlags, SendFlags, recvfrom, sendto};

use crate::protocol::{DATAGRAM_LARGEST, DATAGRAM_MAX, Time};

/// What the kernel keeps of what has come and is not read yet, in bytes: some thousands of small
/// packets, if it grants that much.
const BUFFER_LEN: usize = 4 << 20;

/// How long a thread may be blocked in a receive: then it sleeps as others do, once and for all until a
/// datagram comes. It is soon, for the datagram that wakes it could be lost.
const BLOCKED_MAX: Duration = Duration::from_millis(128);
/// The kernel counts such waits in ticks, of 10 ms at most: shorter ones are too coarse.
const BLOCKED_MIN: Duration = Duration::from_millis(16);

/// What a datagram is read into: one byte more than it may have, so that a longer one is seen to be.
pub(crate) type Buffer = Box<[u8; DATAGRAM_LARGEST + 1]>;

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
    /// What came to the thread that slept.
    inbox: Mutex<Inbox>,
}

#[derive(Debug)]
struct Inbox {
    came: Option<(usize, SocketAddr)>,
    buffer: Buffer,
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

impl Socket {
    pub(crate) fn bind(listen: SocketAddr) -> io::Result<Socket> {
        let udp = UdpSocket::bind(listen)?;
        // IP never cuts a datagram (R40): a path that carries less than 1,200 bytes loses it.
        match listen.is_ipv6() {
            true => set_ipv6_mtu_discover(&udp, Ipv6PathMtuDiscovery::PROBE)?,
            false => set_ip_mtu_discover(&udp, Ipv4PathMtuDiscovery::PROBE)?,
        }
        // As much as is allowed; less works, too.
        let _ = setsockopt(&udp, sockopt::RcvBuf, &BUFFER_LEN);
        let _ = setsockopt(&udp, sockopt::SndBuf, &BUFFER_LEN);
        let inbox = Inbox { came: None, buffer: buffer() };
        Ok(Socket {
            waker: waker(udp.local_addr()?).ok(),
            udp,
            busy: AtomicBool::new(false),
            blocked: AtomicU64::new(0),
            inbox: Mutex::new(inbox),
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

    /// The next datagram, or as much of it as fits in; `None` when there is none.
    pub(crate) fn receive(&self, buffer: &mut Buffer) -> Option<(usize, SocketAddr)> {
        let mut inbox = self.inbox.lock().expect("no thread panics here");
        if let Some(came) = inbox.came.take() {
            mem::swap(buffer, &mut inbox.buffer);
            return Some(came);
        }
        drop(inbox);
        loop {
            match self.read(buffer, RecvFlags::DONTWAIT) {
                Ok(Some(came)) => return Some(came),
                Ok(None) => {}
                // What the kernel says of earlier datagrams proves nothing (R3).
                Err(error) if reports(&error) => {}
                Err(_) => return None,
            }
        }
    }

    /// `None` if it only woke a thread.
    fn read(&self, buffer: &mut Buffer, how: RecvFlags) -> io::Result<Option<(usize, SocketAddr)>> {
        let (_, len, from) = recvfrom(&self.udp, &mut buffer[..], how)?;
        let from = from.and_then(|from| SocketAddr::try_from(from).ok());
        let from = from.ok_or(ErrorKind::InvalidData)?;
        let wakes = len == 0
            && self.waker.as_ref().is_some_and(|waker| waker.local_addr().ok() == Some(from));
        Ok((!wakes).then_some((len, from)))
    }

    pub(crate) fn send(&self, to: SocketAddr, datagram: &[u8]) -> Result<(), Unsent> {
        loop {
            match sendto(&self.udp, datagram, SendFlags::DONTWAIT, &to).map_err(io::Error::from) {
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
        let inbox = &mut *inbox;
        match self.read(&mut inbox.buffer, RecvFlags::empty()) {
            Ok(came) => inbox.came = came,
            Err(_) => self.busy.store(false, Relaxed),
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

pub(crate) fn buffer() -> Buffer {
    Box::new([0; DATAGRAM_LARGEST + 1])
}

/// How large datagrams leave this machine for there, in bytes, and whether it is certain that they
/// arrive: within this machine.
pub(crate) fn path_to(to: SocketAddr) -> (usize, bool) {
    if to.ip().is_loopback() {
        return (LOOPBACK_DATAGRAM, true);
    }
    let any = if to.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let any: SocketAddr = any;
    let mtu = UdpSocket::bind(any).and_then(|socket| {
        socket.connect(to)?;
        Ok(if to.is_ipv4() { ip_mtu(&socket)? } else { ipv6_mtu(&socket)? })
    });
    let headers = if to.is_ipv4() { 28 } else { 48 };
    let datagram = mtu.map_or(DATAGRAM_MAX, |mtu| (mtu as usize).saturating_sub(headers));
    (datagram.clamp(DATAGRAM_MAX, DATAGRAM_LARGEST), false)
}

/// Two of them are in the receiver's buffer, and two on their way there.
const LOOPBACK_DATAGRAM: usize = 32 << 10;

fn reports(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionRefused, HostUnreachable, Interrupted, NetworkUnreachable};
    matches!(error.kind(), Interrupted | ConnectionRefused | HostUnreachable | NetworkUnreachable)
}

/// Asks the kernel by which address this machine would go out. Nothing is sent: a UDP socket that
/// connects only looks the way up, here to an address set aside for documentation.
fn outside(v6: bool) -> IpAddr {
    let (any, far): (IpAddr, IpAddr) = if v6 {
        let far = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        (Ipv6Addr::UNSPECIFIED.into(), far.into())
    } else {
        let far = Ipv4Addr::new(192, 0, 2, 1);
        (Ipv4Addr::UNSPECIFIED.into(), far.into())
    };
    let address = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((far, 9))?;
        socket.local_addr()
    });
    address.map_or(home(v6), |address| address.ip())
}

/// This machine, as it calls itself.
fn home(v6: bool) -> IpAddr {
    if v6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() }
}

/// A socket, and what is wanted of it; its end is always heard.
pub(crate) type Wanted<'a> = (BorrowedFd<'a>, PollFlags);

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

    /// Sleeps until it rings, something comes to the socket, if one is given, or so long. Whether
    /// something came.
    pub(crate) fn sleep(&self, socket: Option<Wanted>, so_long: Option<Time>) -> bool {
        let so_long = so_long.map(TimeSpec::from_duration);
        let bell = PollFd::new(self.0.as_fd(), PollFlags::POLLIN);
        let ready = |fd: &PollFd| fd.revents().is_some_and(|came| !came.is_empty());
        let (rang, came) = match socket {
            Some((socket, wanted)) => {
                let mut both = [bell, PollFd::new(socket, wanted)];
                // An error is a signal that came meanwhile: as good as nothing.
                match ppoll(&mut both, so_long, None) {
                    Ok(_) => (ready(&both[0]), ready(&both[1])),
                    Err(_) => (false, false),
                }
            }
            None => (ppoll(&mut [bell], so_long, None).is_ok_and(|ready| ready > 0), false),
        };
        if rang {
            let _ = self.0.read();
        }
        came
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
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
        assert_eq!(ip_mtu_discover(&socket.udp), Ok(Ipv4PathMtuDiscovery::PROBE));
        // Where the machine has IPv6.
        if let Ok(socket) = Socket::bind("[::1]:0".parse().unwrap()) {
            assert_eq!(ipv6_mtu_discover(&socket.udp), Ok(Ipv6PathMtuDiscovery::PROBE));
        }
    }

    /// Blocks in the receive only while datagrams come one after the other, and never too coarsely.
    #[test]
    fn a_receive_blocks_for_whole_powers_of_two() {
        let ms = Duration::from_millis;
        let blocked =
            [None, Some(ms(5000)), Some(ms(128)), Some(ms(127)), Some(ms(31)), Some(ms(16))];
        assert_eq!(blocked.map(blocked_for), [128, 128, 128, 64, 16, 16].map(|it| Some(ms(it))));
        assert_eq!([ms(15), ms(1), ms(0)].map(|it| blocked_for(Some(it))), [None; 3]);
    }

    /// A thread in a receive is woken before it wakes by itself, and what woke it is no datagram to
    /// anybody. (On a machine that stands still for so long it may not be, so there are more tries.)
    #[test]
    fn a_blocked_thread_is_woken() {
        let woken = (0..20).any(|_| {
            let (socket, bell) = busy("127.0.0.1:0");
            std::thread::scope(|scope| {
                scope.spawn(|| socket.sleep(&bell, None));
                while !is_blocked(&socket) && socket.busy.load(Relaxed) {
                    std::thread::yield_now();
                }
                socket.wake(&bell);
            });
            assert_eq!(socket.receive(&mut buffer()), None);
            socket.busy.load(Relaxed)
        });
        assert!(woken);
    }

    /// Nothing comes, and the one that would wake it would be lost: the next sleep is on the bell.
    #[test]
    fn a_blocked_thread_wakes_by_itself() {
        let (socket, bell) = busy("127.0.0.1:0");
        socket.sleep(&bell, None);
        assert!(!socket.busy.load(Relaxed));
        bell.ring();
        socket.sleep(&bell, None);
    }

    /// What came to the thread that slept is read first, the rest after it; an empty datagram of a
    /// stranger is one, too.
    #[test]
    fn what_came_in_sleep_is_read_in_order() {
        let (socket, bell) = busy("0.0.0.0:0");
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = (Ipv4Addr::LOCALHOST, socket.udp.local_addr().unwrap().port());
        for datagram in ["", "first", "second"] {
            stranger.send_to(datagram.as_bytes(), to).unwrap();
        }
        let mut buffer = buffer();
        for expected in ["", "first"] {
            socket.sleep(&bell, None);
            let (len, from) = socket.receive(&mut buffer).unwrap();
            assert_eq!(
                (&buffer[..len], from),
                (expected.as_bytes(), stranger.local_addr().unwrap())
            );
        }
        assert_eq!(socket.receive(&mut buffer).unwrap().0, "second".len());
        assert_eq!(socket.receive(&mut buffer), None);
    }

    fn busy(listen: &str) -> (Socket, Bell) {
        let socket = Socket::bind(listen.parse().unwrap()).unwrap();
        socket.busy.store(true, Relaxed);
        (socket, Bell::new().unwrap())
    }

    /// It holds the inbox while it is in the receive.
    fn is_blocked(socket: &Socket) -> bool {
        socket.inbox.try_lock().is_err()
    }
}
