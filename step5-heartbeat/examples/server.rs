//! A bank that answers over UDP: `cargo run --example step5-server -- --help`.

use std::collections::VecDeque;
use std::error::Error;
use std::io::{Write, stdout};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use lab::cli::{parse_address, parse_duration};
use lab::{Bank, LinkArgs, Lossy};
use step5_heartbeat::udp::now;
use step5_heartbeat::{CallId, Config, Deliver, Life, Port, Time, Udp};

/// A bank account that answers "debit N" and "balance" over UDP, until it is interrupted.
#[derive(Debug, Parser)]
struct Args {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address, default_value = "127.0.0.1:7373")]
    listen: SocketAddr,
    /// Where the site keeps its epoch and the bank its account
    #[arg(long, value_name = "DIRECTORY", default_value = "target/step5-server")]
    state: PathBuf,
    /// How long each request is in service: 500ms, 3s
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "0ms")]
    service: Duration,
    #[command(flatten)]
    link: LinkArgs,
}

fn main() -> ExitCode {
    lab::cli::run(serve)
}

fn serve(args: Args) -> Result<ExitCode, Box<dyn Error>> {
    let life =
        Life::begin(&args.state).map_err(|error| format!("{}: {error}", args.state.display()))?;
    let mut udp = Udp::bind(args.listen, Config::default(), life.epoch)
        .map_err(|error| format!("{}: {error}", args.listen))?;
    let mut lossy = Lossy::new(udp.socket(), args.link, 0)?;
    udp.send_by(Box::new(move |datagram, to| lossy.send_to(datagram, to)));
    let port = Port { address: udp.socket().local_addr()?, epoch: life.epoch };
    writeln!(stdout(), "listening on {port}")?;

    let mut bank = Bank::open(&args.state.join("ledger"))?;
    let mut in_service: VecDeque<(Time, CallId, Vec<u8>)> = VecDeque::new();
    loop {
        let done = in_service.front().map(|(at, ..)| *at);
        match udp.receive_until(done)? {
            Some(Deliver::Request { call, body }) => {
                in_service.push_back((now() + args.service, call, body));
            }
            Some(_) => {}
            None => {
                let Some((_, call, body)) = in_service.pop_front() else { continue };
                let reply = bank.serve(&body);
                let noted: Vec<String> =
                    udp.noted().iter().map(|(note, times)| format!(" ({note}: {times})")).collect();
                let (debits, balance) = (bank.debits(), bank.balance());
                writeln!(
                    stdout(),
                    "executed {debits} debits, balance {balance}{}",
                    noted.concat()
                )?;
                udp.send_reply(call, reply)?;
            }
        }
    }
}
