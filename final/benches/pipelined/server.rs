//! The other process: the server of all that is measured.
//!
//! Invariant: it ends with the process that started it.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{self, Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;
use std::{env, io, thread};

use unavez::{IpcPort, IpcServer, Options, Site, SiteError};

use super::{HERE, Result, bare, pin, used};

/// So many requests are taken together.
const MANY: usize = 512;

/// It ends with this value.
pub(super) struct Server {
    process: Child,
    asks: ChildStdin,
    says: BufReader<ChildStdout>,
    pub(super) bare: SocketAddr,
    /// Where each request is answered by itself, and where many are.
    pub(super) ports: [IpcPort; 2],
}

impl Server {
    pub(super) fn start(cpu: usize) -> Result<Server> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["serve", &cpu.to_string()]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let asks = process.stdin.take().ok_or("it is piped")?;
        let mut says = BufReader::new(process.stdout.take().ok_or("it is piped")?);
        let bare = line(&mut says)?.parse()?;
        let ports = [line(&mut says)?.parse()?, line(&mut says)?.parse()?];
        Ok(Server { process, asks, says, bare, ports })
    }

    /// What it has used of its core.
    pub(super) fn used(&mut self) -> Result<Duration> {
        writeln!(self.asks)?;
        Ok(Duration::from_micros(line(&mut self.says)?.parse()?))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn line(from: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    Ok(line.trim_end().into())
}

/// Both echoes, until the process that started this one is gone; says what it has used when asked.
pub(super) fn serve(cpu: usize) -> Result<()> {
    pin(cpu)?;
    let echo = bare::Server::bind()?;
    println!("{}", echo.address()?);
    thread::spawn(move || echo.run().map_err(|error| eprintln!("the bare echo: {error}")));
    // A site each, so that no thread receives for the other.
    let server = || -> Result<IpcServer> {
        Ok(IpcServer::new(&Site::with(Options { listen: HERE, ..Options::default() })?)?)
    };
    let (singly, many) = (server()?, server()?);
    println!("{}\n{}", singly.port(), many.port());
    thread::spawn(move || -> std::result::Result<(), SiteError> {
        loop {
            let (request, id) = singly.receive_request()?;
            let _ = singly.send_reply(request, id);
        }
    });
    thread::spawn(move || -> std::result::Result<(), SiteError> {
        loop {
            many.send_replies(many.receive_requests(MANY)?);
        }
    });
    for _ in io::stdin().lock().lines() {
        println!("{}", used()?.as_micros());
    }
    process::exit(0)
}
