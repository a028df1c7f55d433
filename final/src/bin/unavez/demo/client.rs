//! The demo's client: a process that calls the bank again and again, and says how each call ended.

use std::io::{self, Write, stdout};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use unavez::ipc::{ServiceUrl, Target};
use unavez::protocol::Config;
use unavez::{CallError, Conclusion, IpcClient, Options, RawMsg};

use super::audit::End;
use crate::args::{self, parse_period};
use crate::{Result, net, stat};

/// Debits 1 again and again, several calls at a time, and prints how each ended.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The bank
    url: ServiceUrl,
    /// How many
    #[arg(long)]
    calls: u64,
    /// How many at a time
    #[arg(long)]
    at_once: u16,
    /// How long each may take
    #[arg(long, value_parser = parse_period)]
    timeout: Duration,
}

pub(crate) fn run(args: Args) -> Result {
    let (at, name) = args::look_up(&args.url)?;
    let site = net::client_site(at, Options { config: Config::lan(), ..Options::default() })?;
    let client = IpcClient::new(&site, Target::Name { at, name });
    let next = AtomicU64::new(1);
    let work = || -> io::Result<()> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number > args.calls {
                return Ok(());
            }
            let request = RawMsg::from(format!("debit 1 {number}")).timeout(args.timeout);
            writeln!(stdout(), "{number} {}", end(number, client.call(request)))?;
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..args.at_once).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("no worker panics"))
    })?;
    writeln!(stdout(), "counters {}", stat::counters_json(&site.counters()?))?;
    Ok(ExitCode::SUCCESS)
}

/// How a call ended; a reply that is not to this call is told apart.
fn end(number: u64, outcome: std::result::Result<RawMsg, CallError>) -> End {
    let reply = match outcome {
        Ok(reply) => reply.into_body(),
        Err(error) if error.conclude() == Conclusion::NotExecuted => return End::NotExecuted,
        Err(_) => return End::Unknown,
    };
    let mut words = std::str::from_utf8(&reply).unwrap_or_default().split(' ');
    match reply.starts_with(b"balance ") && words.next_back() == Some(&number.to_string()) {
        true => End::Replied,
        false => End::WrongReply,
    }
}

#[cfg(test)]
mod tests {
    use unavez::protocol::{NotExecuted, Unknown};

    use super::*;

    #[test]
    fn reply_to_another_call_is_seen() {
        // The bank gives back the number of the call.
        assert_eq!(end(7, Ok("balance 990 7".into())), End::Replied);
        assert_eq!(end(7, Ok("balance 990 17".into())), End::WrongReply);
        assert_eq!(end(7, Ok("error: the ledger 7".into())), End::WrongReply);
        assert_eq!(end(7, Err(NotExecuted::NeverSent.into())), End::NotExecuted);
        assert_eq!(end(7, Err(Unknown::TimedOut.into())), End::Unknown);
    }
}
