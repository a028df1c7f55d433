//! Bare sockets: an echo over UDP, in three ways, and over TCP.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;
use std::{io, thread};

use crossbeam_channel::{Receiver, Sender, unbounded};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::steps::HERE;
use super::{Host, LEN, Once, Result};

type Datagram = (Vec<u8>, SocketAddr);

/// The floor: each side blocks in the socket.
pub(crate) mod udp {
    use super::*;

    pub(crate) fn serve(_host: &Host) -> Result<String> {
        let socket = UdpSocket::bind(HERE)?;
        let at = socket.local_addr()?;
        thread::spawn(move || -> io::Result<()> {
            let mut buffer = [0; LEN];
            loop {
                let (length, from) = socket.recv_from(&mut buffer)?;
                socket.send_to(&buffer[..length], from)?;
            }
        });
        Ok(at.to_string())
    }

    pub(crate) fn connect(at: &str, _host: &Host) -> Result<Once> {
        let socket = UdpSocket::bind(HERE)?;
        let at: SocketAddr = at.parse()?;
        Ok(Box::new(move || {
            socket.send_to(&[7; LEN], at)?;
            check(socket.recv_from(&mut [0; LEN])?.0)
        }))
    }
}

/// Each side waits as the driver of steps 2 to 5 does: it reads what there is, and then sleeps until a
/// datagram comes, or a moment.
pub(crate) mod deadline {
    use super::*;

    const LATER: Duration = Duration::from_millis(200);

    pub(crate) fn serve(_host: &Host) -> Result<String> {
        let socket = bind()?;
        let at = socket.local_addr()?;
        thread::spawn(move || -> io::Result<()> {
            let mut buffer = [0; LEN];
            loop {
                let (length, from) = receive(&socket, &mut buffer)?;
                socket.send_to(&buffer[..length], from)?;
            }
        });
        Ok(at.to_string())
    }

    pub(crate) fn connect(at: &str, _host: &Host) -> Result<Once> {
        let socket = bind()?;
        let at: SocketAddr = at.parse()?;
        Ok(Box::new(move || {
            socket.send_to(&[7; LEN], at)?;
            check(receive(&socket, &mut [0; LEN])?.0)
        }))
    }

    fn bind() -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind(HERE)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let mut received = None;
        loop {
            match socket.recv_from(buffer) {
                Ok(datagram) => received = Some(datagram),
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                Err(_) => match received {
                    Some(datagram) => return Ok(datagram),
                    None => {
                        let mut sockets = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
                        ppoll(&mut sockets, Some(TimeSpec::from_duration(LATER)), None)?;
                    }
                },
            }
        }
    }
}

/// Each side has a thread that receives and one that sends, as the paper's daemon.
pub(crate) mod threads {
    use super::*;

    pub(crate) fn serve(_host: &Host) -> Result<String> {
        let socket = UdpSocket::bind(HERE)?;
        let at = socket.local_addr()?;
        let (received, fifo) = begin(socket)?;
        thread::spawn(move || received.iter().try_for_each(|datagram| fifo.send(datagram)));
        Ok(at.to_string())
    }

    pub(crate) fn connect(at: &str, _host: &Host) -> Result<Once> {
        let (received, fifo) = begin(UdpSocket::bind(HERE)?)?;
        let at: SocketAddr = at.parse()?;
        Ok(Box::new(move || {
            fifo.send((vec![7; LEN], at))?;
            check(received.recv()?.0.len())
        }))
    }

    fn begin(socket: UdpSocket) -> io::Result<(Receiver<Datagram>, Sender<Datagram>)> {
        let sender = socket.try_clone()?;
        let (arrived, received) = unbounded();
        let (fifo, leaves) = unbounded::<Datagram>();
        thread::spawn(move || -> Result<()> {
            let mut buffer = [0; LEN];
            loop {
                let (length, from) = socket.recv_from(&mut buffer)?;
                arrived.send((buffer[..length].to_vec(), from))?;
            }
        });
        thread::spawn(move || {
            leaves.iter().try_for_each(|(datagram, to)| sender.send_to(&datagram, to).map(drop))
        });
        Ok((received, fifo))
    }
}

/// Over a connection that is kept.
pub(crate) mod tcp {
    use super::*;

    pub(crate) fn serve(_host: &Host) -> Result<String> {
        let listener = TcpListener::bind(HERE)?;
        let at = listener.local_addr()?;
        thread::spawn(move || -> io::Result<()> {
            let (mut stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            loop {
                answer(&mut stream)?;
            }
        });
        Ok(at.to_string())
    }

    pub(crate) fn connect(at: &str, _host: &Host) -> Result<Once> {
        let mut stream = TcpStream::connect(at)?;
        stream.set_nodelay(true)?;
        Ok(Box::new(move || exchange(&mut stream)))
    }
}

/// Over a connection for each request.
pub(crate) mod tcp_each {
    use super::*;

    pub(crate) fn serve(_host: &Host) -> Result<String> {
        let listener = TcpListener::bind(HERE)?;
        let at = listener.local_addr()?;
        thread::spawn(move || -> io::Result<()> {
            loop {
                answer(&mut listener.accept()?.0)?;
            }
        });
        Ok(at.to_string())
    }

    pub(crate) fn connect(at: &str, _host: &Host) -> Result<Once> {
        let at: SocketAddr = at.parse()?;
        Ok(Box::new(move || exchange(&mut TcpStream::connect(at)?)))
    }
}

fn answer(stream: &mut TcpStream) -> io::Result<()> {
    let mut buffer = [0; LEN];
    stream.read_exact(&mut buffer)?;
    stream.write_all(&buffer)
}

fn exchange(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(&[7; LEN])?;
    Ok(stream.read_exact(&mut [0; LEN])?)
}

fn check(length: usize) -> Result<()> {
    if length == LEN { Ok(()) } else { Err(format!("{length} bytes came back").into()) }
}
