//! A bank that serves through the daemon: `cargo run --example step6-server -- --help`.

use std::error::Error;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Parser;
use lab::Bank;
use lab::cli::parse_duration;
use step6_daemon::{Attachment, IpcServer, RawMsg};

/// A bank account that answers "debit N" and "balance", until it is interrupted.
#[derive(Debug, Parser)]
struct Args {
    /// The state directory of this host's daemon
    #[arg(long, value_name = "DIRECTORY", default_value = "target/ipcd")]
    state: PathBuf,
    /// Where the bank keeps its account
    #[arg(long, value_name = "FILE", default_value = "target/step6-ledger")]
    ledger: PathBuf,
    /// How long each request is in service: 500ms, 3s
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "0ms")]
    service: Duration,
}

fn main() -> ExitCode {
    lab::cli::run(serve)
}

fn serve(args: Args) -> Result<ExitCode, Box<dyn Error>> {
    let mut bank = Bank::open(&args.ledger)?;
    let server = IpcServer::new(&Attachment::new(&args.state)?)?;
    writeln!(stdout(), "serving at {}", server.port())?;
    loop {
        let (request, id) = server.receive_request()?;
        thread::sleep(args.service);
        let reply = bank.serve(&request.body);
        writeln!(stdout(), "executed {} debits, balance {}", bank.debits(), bank.balance())?;
        server.send_reply(id, RawMsg::from(reply))?;
    }
}
