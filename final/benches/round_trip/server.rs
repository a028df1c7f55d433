//! The other processes: the server of all that is measured, and the daemons.
//!
//! Invariant: each ends with the process that started it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{self, Child, ChildStdout, Command, Stdio};
use std::{env, io, thread};

use tempfile::TempDir;
use unavez::attached;
use unavez::{IpcPort, IpcServer, Options, Site, SiteError, daemon};

use super::{HERE, KINDS, LEN, Result, pin};

/// The other host's process; it ends with this value.
pub(super) struct Server {
    _process: Running,
    pub(super) udp: SocketAddr,
    pub(super) tcp: SocketAddr,
    pub(super) tcp_each: SocketAddr,
    pub(super) port: IpcPort,
    /// Of each channel.
    pub(super) attached: [IpcPort; 2],
}

/// A host's daemon; it ends with this value.
pub(super) struct Daemon {
    _process: Running,
    place: TempDir,
}

struct Running(Child);

impl Server {
    pub(super) fn start(cpu: usize, daemon: PathBuf) -> Result<Server> {
        let (process, out) = Running::start("serve", cpu, &daemon)?;
        let lines = out.lines().take(6).collect::<io::Result<Vec<String>>>()?;
        let [udp, tcp, tcp_each, port, shm, sysv] = &lines[..] else {
            return Err("the server did not start".into());
        };
        Ok(Server {
            _process: process,
            udp: udp.parse()?,
            tcp: tcp.parse()?,
            tcp_each: tcp_each.parse()?,
            port: port.parse()?,
            attached: [shm.parse()?, sysv.parse()?],
        })
    }
}

impl Daemon {
    pub(super) fn start(cpu: usize) -> Result<Daemon> {
        let place = tempfile::tempdir()?;
        let (process, mut out) = Running::start("daemon", cpu, place.path())?;
        out.read_line(&mut String::new())?;
        Ok(Daemon { _process: process, place })
    }

    pub(super) fn socket(&self) -> PathBuf {
        socket(self.place.path())
    }
}

impl Running {
    fn start(role: &str, cpu: usize, place: &Path) -> Result<(Running, BufReader<ChildStdout>)> {
        let mut command = Command::new(env::current_exe()?);
        command.args([role, &cpu.to_string()]).arg(place);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let out = process.stdout.take().ok_or("it is piped")?;
        Ok((Running(process), BufReader::new(out)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn socket(place: &Path) -> PathBuf {
    place.join("unavezd.sock")
}

pub(super) fn run_daemon(cpu: usize, place: &Path) -> Result<()> {
    pin(cpu)?;
    let options = daemon::Options {
        listen: HERE,
        socket: Some(socket(place)),
        ..daemon::Options::new(place.join("state"))
    };
    let _daemon = daemon::Daemon::start(options)?;
    println!("here");
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// All echoes, until the process that started this one is gone.
pub(super) fn serve(cpu: usize, daemon: &Path) -> Result<()> {
    pin(cpu)?;
    let udp = UdpSocket::bind(HERE)?;
    let (tcp, tcp_each) = (TcpListener::bind(HERE)?, TcpListener::bind(HERE)?);
    println!("{}\n{}\n{}", udp.local_addr()?, tcp.local_addr()?, tcp_each.local_addr()?);
    thread::spawn(move || -> io::Result<()> {
        let mut buffer = [0; LEN];
        loop {
            let (length, from) = udp.recv_from(&mut buffer)?;
            udp.send_to(&buffer[..length], from)?;
        }
    });
    thread::spawn(move || -> io::Result<()> {
        let (mut stream, _) = tcp.accept()?;
        stream.set_nodelay(true)?;
        loop {
            answer(&mut stream)?;
        }
    });
    thread::spawn(move || -> io::Result<()> {
        loop {
            answer(&mut tcp_each.accept()?.0)?;
        }
    });
    let embedded = Site::with(Options { listen: HERE, ..Options::default() })?;
    let attach =
        |channel| Site::attach_with(attached::Options { socket: Some(daemon.to_owned()), channel });
    for site in [embedded, attach(KINDS[0])?, attach(KINDS[1])?] {
        let server = IpcServer::new(&site)?;
        println!("{}", server.port());
        thread::spawn(move || -> std::result::Result<(), SiteError> {
            loop {
                let (request, id) = server.receive_request()?;
                let _ = server.send_reply(request, id);
            }
        });
    }
    io::stdin().read_to_end(&mut Vec::new())?;
    process::exit(0)
}

fn answer(stream: &mut TcpStream) -> io::Result<()> {
    let mut buffer = [0; LEN];
    stream.read_exact(&mut buffer)?;
    stream.write_all(&buffer)
}
