//! A bank that answers over UDP: `cargo run --example step1-server -- --help`.

use std::error::Error;
use std::io::{Write, stdout};
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use lab::cli::parse_address;
use lab::{Bank, LinkArgs, Lossy};
use step1_udp::{Deliver, Udp};

/// A bank account that answers "debit N" and "balance" over UDP, until it is interrupted.
#[derive(Debug, Parser)]
struct Args {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address, default_value = "127.0.0.1:7373")]
    listen: SocketAddr,
    #[command(flatten)]
    link: LinkArgs,
}

fn main() -> ExitCode {
    lab::cli::run(serve)
}

fn serve(args: Args) -> Result<ExitCode, Box<dyn Error>> {
    let mut udp = Udp::bind(args.listen).map_err(|error| format!("{}: {error}", args.listen))?;
    let mut lossy = Lossy::new(udp.socket(), args.link, 0)?;
    udp.send_by(Box::new(move |datagram, to| lossy.send_to(datagram, to)));
    writeln!(stdout(), "listening on {}", udp.socket().local_addr()?)?;

    let mut bank = Bank::default();
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
