//! Many TCP connections at a time, each for one request, by one thread.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, socket};

use crate::Result;
use crate::bench::orders::{FRAME, Message};

/// One request on its way.
struct Call {
    stream: TcpStream,
    /// How much of the reply is still to come; nothing was sent before it is known.
    left: Option<usize>,
}

/// So many requests, of which so many are open at any time.
pub(super) fn connections(
    at: SocketAddr,
    message: &Message,
    calls: usize,
    open: usize,
) -> Result<()> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let mut slots: Vec<Option<Call>> = Vec::new();
    let mut begun = 0;
    while begun < calls.min(open) {
        slots.push(Some(begin(&epoll, at, begun)?));
        begun += 1;
    }
    let (mut done, mut buffer) = (0, vec![0; 64 << 10]);
    let mut events = vec![EpollEvent::empty(); open];
    while done < calls {
        let count = match epoll.wait(&mut events, EpollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            count => count?,
        };
        for event in &events[..count] {
            let number = event.data() as usize;
            let Some(call) = &mut slots[number] else { continue };
            if !advance(&epoll, call, number, message, &mut buffer)? {
                continue;
            }
            done += 1;
            slots[number] = None;
            if begun < calls {
                slots[number] = Some(begin(&epoll, at, number)?);
                begun += 1;
            }
        }
    }
    Ok(())
}

fn begin(epoll: &Epoll, at: SocketAddr, number: usize) -> Result<Call> {
    let family = if at.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket: OwnedFd = socket(family, SockType::Stream, flags, None)?;
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(at)) {
        Ok(()) | Err(Errno::EINPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLOUT, number as u64))?;
    Ok(Call { stream: socket.into(), left: None })
}

/// Whether it is done.
fn advance(
    epoll: &Epoll,
    call: &mut Call,
    number: usize,
    message: &Message,
    buffer: &mut [u8],
) -> Result<bool> {
    let Some(left) = &mut call.left else {
        // What is asked many at a time is small: the socket takes it whole.
        let frame = message.framed();
        if call.stream.write(frame)? < frame.len() {
            return Err("the message is too long for many connections at a time".into());
        }
        call.left = Some(FRAME + message.reply_len());
        let mut wanted = EpollEvent::new(EpollFlags::EPOLLIN, number as u64);
        epoll.modify(&call.stream, &mut wanted)?;
        return Ok(false);
    };
    match call.stream.read(buffer) {
        Ok(0) => Err("the server has closed a connection".into()),
        Ok(len) => {
            *left = left.saturating_sub(len);
            Ok(*left == 0)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error.into()),
    }
}
