//! What the machine can do: datagrams with nothing in them but the body, as many a system call as there
//! are, and no care for those that get lost.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{
    MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg, setsockopt, sockopt,
};

use super::{HERE, LEN, Result};

/// So many a system call at most.
const MANY: usize = 64;
/// More than all that are outstanding take, if the kernel grants it.
const BUFFER_LEN: usize = 4 << 20;

type Address = Option<SockaddrStorage>;

/// A socket, and what the kernel is told of many datagrams at once.
struct Many {
    udp: UdpSocket,
    incoming: MultiHeaders<SockaddrStorage>,
    outgoing: MultiHeaders<SockaddrStorage>,
    buffers: [[u8; LEN]; MANY],
    from: Vec<Address>,
}

pub(super) struct Client(Many);
pub(super) struct Server(UdpSocket);

impl Client {
    pub(super) fn connect(server: SocketAddr) -> Result<Client> {
        let udp = bind()?;
        udp.connect(server)?;
        udp.set_read_timeout(Some(Duration::from_secs(2)))?;
        Ok(Client(Many::new(udp)))
    }

    /// So many there and back, of which so many are on their way at once.
    pub(super) fn exchange(&mut self, count: usize, outstanding: usize) -> Result<()> {
        let (mut sent, mut came) = (0, 0);
        while came < count {
            while sent < count && sent - came < outstanding {
                let next = (count - sent).min(outstanding - (sent - came)).min(MANY);
                self.0.from.clear();
                self.0.from.resize(next, None);
                sent += self.0.send()?;
            }
            came += self.0.receive().map_err(|error| format!("a datagram was lost: {error}"))?;
        }
        Ok(())
    }
}

impl Server {
    pub(super) fn bind() -> Result<Server> {
        Ok(Server(bind()?))
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Sends back what comes, for ever.
    pub(super) fn run(self) -> io::Result<()> {
        let mut many = Many::new(self.0);
        loop {
            many.receive()?;
            many.send()?;
        }
    }
}

fn bind() -> Result<UdpSocket> {
    let udp = UdpSocket::bind(HERE)?;
    let _ = setsockopt(&udp, sockopt::RcvBuf, &BUFFER_LEN);
    Ok(udp)
}

impl Many {
    fn new(udp: UdpSocket) -> Many {
        let headers = || MultiHeaders::preallocate(MANY, None);
        let buffers = [[7; LEN]; MANY];
        Many { udp, incoming: headers(), outgoing: headers(), buffers, from: Vec::new() }
    }

    /// Waits for one, and takes as many as there are; says how many.
    fn receive(&mut self) -> io::Result<usize> {
        let mut buffers = self.buffers.each_mut().map(|it| [IoSliceMut::new(it)]);
        let flags = MsgFlags::MSG_WAITFORONE;
        let fd = self.udp.as_raw_fd();
        let came = recvmmsg(fd, &mut self.incoming, buffers.iter_mut(), flags, None)?;
        self.from.clear();
        self.from.extend(came.map(|it| it.address));
        Ok(self.from.len())
    }

    /// To each of those that `from` names, or the one that it is connected to.
    fn send(&mut self) -> io::Result<usize> {
        let buffers = self.buffers.each_ref().map(|it| [IoSlice::new(it)]);
        let count = self.from.len();
        let fd = self.udp.as_raw_fd();
        let (to, flags) = (&self.from, MsgFlags::empty());
        let sent = sendmmsg(fd, &mut self.outgoing, &buffers[..count], to, [], flags)?;
        Ok(sent.count())
    }
}
