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

/// It ends with this value.
pub(super) struct Server {
    process: Child,
    asks: ChildStdin,
    says: BufReader<ChildStdout>,
    pub(super) bare: SocketAddr,
    pub(super) port: IpcPort,
}

impl Server {
    pub(super) fn start(cpu: usize) -> Result<Server> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["serve", &cpu.to_string()]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let asks = process.stdin.take().ok_or("it is piped")?;
        let mut says = BufReader::new(process.stdout.take().ok_or("it is piped")?);
        let (bare, port) = (line(&mut says)?.parse()?, line(&mut says)?.parse()?);
        Ok(Server { process, asks, says, bare, port })
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
    let site = Site::with(Options { listen: HERE, ..Options::default() })?;
    let server = IpcServer::new(&site)?;
    println!("{}", server.port());
    thread::spawn(move || -> std::result::Result<(), SiteError> {
        loop {
            let (request, id) = server.receive_request()?;
            let _ = server.send_reply(request, id);
        }
    });
    for _ in io::stdin().lock().lines() {
        println!("{}", used()?.as_micros());
    }
    process::exit(0)
}
