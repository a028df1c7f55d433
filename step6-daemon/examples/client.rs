//! A client of the bank, through the daemon: `cargo run --example step6-client -- --help`.

use std::error::Error;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use lab::cli::parse_duration;
use step6_daemon::ipc::Outcome;
use step6_daemon::{Attachment, IpcClient, IpcError, IpcPort, RawMsg};

/// Debits 10 again and again, then asks for the balance and checks it.
///
/// Exit code 1 says that the balance is not what it must be. Nobody else may use the account.
#[derive(Debug, Parser)]
struct Args {
    /// The state directory of this host's daemon
    #[arg(long, value_name = "DIRECTORY", default_value = "target/ipcd")]
    state: PathBuf,
    /// The port that the bank prints
    #[arg(long, value_name = "IP:PORT/EPOCH/NUMBER")]
    server: IpcPort,
    /// How many debits
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    calls: u32,
    /// How long to wait for each reply: 500ms, 3s
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    timeout: Option<Duration>,
}

fn main() -> ExitCode {
    lab::cli::run(ask)
}

fn ask(args: Args) -> Result<ExitCode, Box<dyn Error>> {
    let bank = IpcClient::new(&Attachment::new(&args.state)?, args.server);
    let ask = |request: &str| {
        let request = RawMsg { timeout: args.timeout, ..RawMsg::from(request) };
        let reply = bank.receive_reply(bank.send_request(request)?)?;
        Ok::<_, IpcError>(String::from_utf8_lossy(&reply.body).into_owned())
    };
    let before = balance(&ask("balance")?)?;
    let (mut ran, mut unknown) = (0, 0);
    for number in 1..=args.calls {
        match ask("debit 10") {
            Ok(reply) => {
                ran += 1;
                writeln!(stdout(), "call {number}: {reply}")?;
            }
            Err(error) => {
                match error.outcome() {
                    Outcome::NeverRan => {}
                    Outcome::HasRun => ran += 1,
                    Outcome::Unknown => unknown += 1,
                }
                writeln!(stdout(), "call {number}: error: {error}")?;
            }
        }
    }
    let after = balance(&ask("balance")?)?;

    // A debit whose end is unknown ran once or not at all.
    let most = before - 10 * ran;
    let least = most - 10 * unknown;
    let must = if unknown == 0 { format!("{least}") } else { format!("from {least} to {most}") };
    writeln!(stdout(), "balance {after}, and it must be {must}")?;
    Ok(lab::cli::verdict((least..=most).contains(&after)))
}

fn balance(reply: &str) -> Result<i64, Box<dyn Error>> {
    let amount = reply.strip_prefix("balance ").ok_or_else(|| format!("the bank says: {reply}"))?;
    Ok(amount.parse()?)
}
