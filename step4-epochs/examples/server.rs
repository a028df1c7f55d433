//! A bank that answers over UDP: `cargo run --example step4-server -- --help`.

use std::error::Error;
use std::io::{Write, stdout};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use lab::cli::parse_address;
use lab::{Bank, LinkArgs, Lossy};
use step4_epochs::{Config, Deliver, Life, Port, Udp};

/// A bank account that answers "debit N" and "balance" over UDP, until it is interrupted.
#[derive(Debug, Parser)]
struct Args {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address, default_value = "127.0.0.1:7373")]
    listen: SocketAddr,
    /// Where the site keeps its epoch and the bank its account
    #[arg(long, value_name = "DIRECTORY", default_value = "target/step4-server")]
    state: PathBuf,
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
    loop {
        if let Deliver::Request { call, body } = udp.receive()? {
            let reply = bank.serve(&body);
            let noted: Vec<String> =
                udp.noted().iter().map(|(note, times)| format!(" ({note}: {times})")).collect();
            let (debits, balance) = (bank.debits(), bank.balance());
            writeln!(stdout(), "executed {debits} debits, balance {balance}{}", noted.concat())?;
            udp.send_reply(call, reply)?;
        }
    }
}
