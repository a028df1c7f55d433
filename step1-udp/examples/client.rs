//! A client of the bank: `cargo run --example step1-client -- --help`.

use std::error::Error;
use std::io::{Write, stdout};
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use lab::cli::parse_address;
use lab::{LinkArgs, Lossy};
use step1_udp::{Deliver, Udp};

/// Debits 10 again and again, then asks for the balance and checks it.
///
/// Exit code 1 says that the balance is not what it must be, 2 that it could not be asked for.
/// Nobody else may use the account meanwhile.
#[derive(Debug, Parser)]
struct Args {
    /// Where the bank listens
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address, default_value = "127.0.0.1:7373")]
    server: SocketAddr,
    /// How many debits
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    calls: u32,
    #[command(flatten)]
    link: LinkArgs,
}

fn main() -> ExitCode {
    lab::cli::run(ask)
}

fn ask(args: Args) -> Result<ExitCode, Box<dyn Error>> {
    let any = if args.server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let mut udp = Udp::bind(any.parse()?)?;
    let mut lossy = Lossy::new(udp.socket(), args.link, 1)?;
    udp.send_by(Box::new(move |datagram, to| lossy.send_to(datagram, to)));

    writeln!(stdout(), "asking {}", args.server)?;
    let before = balance(call(&mut udp, args.server, "balance")?)?;
    for number in 1..=args.calls {
        let reply = call(&mut udp, args.server, "debit 10")?;
        writeln!(stdout(), "call {number}: {reply}")?;
    }
    let after = balance(call(&mut udp, args.server, "balance")?)?;

    let expected = before - 10 * i64::from(args.calls);
    writeln!(stdout(), "balance {after}, and it must be {expected}")?;
    Ok(lab::cli::verdict(after == expected))
}

/// One call, to its end: if a datagram is lost, there is none.
fn call(udp: &mut Udp, server: SocketAddr, request: &str) -> Result<String, Box<dyn Error>> {
    udp.send_request(server, request.into())?;
    loop {
        if let Deliver::Reply { body, .. } = udp.receive()? {
            return Ok(String::from_utf8(body)?);
        }
    }
}

fn balance(reply: String) -> Result<i64, Box<dyn Error>> {
    let amount = reply.strip_prefix("balance ").ok_or_else(|| format!("the bank says: {reply}"))?;
    Ok(amount.parse()?)
}
