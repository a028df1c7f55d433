//! The tools: a service, a call, a ping and the counters of a site, from a shell; what goes on in the
//! daemon of this host; and the demo.

mod args;
mod bank;
#[cfg(feature = "bench")]
mod bench;
mod call;
#[path = "../common/mod.rs"]
mod common;
mod demo;
mod net;
mod pages;
mod ping;
mod prometheus;
mod ps;
mod serve;
mod stat;
mod trace;

use std::error::Error;
use std::io;
use std::process::ExitCode;

use clap::Parser;
use common::command_line;

/// Exactly-once request and reply over UDP.
///
/// Every call ends, once, in one of three ways: replied (the service ran exactly once), not executed
/// (it is proved that it did not run and never will), or unknown (it ran once or not at all).
#[derive(Debug, Parser)]
#[command(name = "unavez", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  unavez demo                                     a server and a client, and all that can go wrong
  unavez serve echo                               a service, in one terminal
  unavez call unavez://127.0.0.1:7373/echo hello  a call, in another
  unavez serve --name upper -- tr a-z A-Z         any command as a service
  unavez ping unavez://127.0.0.1:7373             how far away is it?
  unavez stat unavez://127.0.0.1:7373             what has happened there?
  unavez ps                                       who is attached to the daemon of this host?
  unavez trace                                    what do they call?
  unavez bench --quick                            how fast is it, beside TCP and QUIC?

Exit codes: 0 done or replied, 2 the command line or this machine is at fault; others are said in
the help of each command.";

#[derive(Debug, clap::Subcommand)]
enum Command {
    Serve(serve::Args),
    Call(call::Args),
    Ping(ping::Args),
    Stat(stat::Args),
    Ps(ps::Args),
    Trace(trace::Args),
    Demo(demo::Args),
    #[cfg(feature = "bench")]
    Bench(bench::Args),
    #[cfg(feature = "bench")]
    #[command(hide = true)]
    BenchRole(bench::role::Args),
    #[command(hide = true)]
    DemoClient(demo::client::Args),
    Completions(pages::CompletionsArgs),
    Man(pages::ManArgs),
}

/// The result of a tool: an error is said in one line, and exits with 2.
type Result<T = ExitCode> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let cli = match command_line::parse::<Cli>() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let done = match cli.command {
        Command::Serve(args) => serve::run(args),
        Command::Call(args) => call::run(&args),
        Command::Ping(args) => ping::run(args),
        Command::Stat(args) => stat::run(args),
        Command::Ps(args) => ps::run(&args),
        Command::Trace(args) => trace::run(&args),
        #[cfg(feature = "bench")]
        Command::Bench(args) => bench::run(&args),
        #[cfg(feature = "bench")]
        Command::BenchRole(_) => bench::role::run(),
        Command::Demo(args) => demo::run(&args),
        Command::DemoClient(args) => demo::client::run(args),
        Command::Completions(args) => pages::completions::<Cli>(&args),
        Command::Man(args) => pages::man::<Cli>(&args),
    };
    done.unwrap_or_else(|error| {
        // Whoever read the output has enough of it: `unavez stat … | head`.
        if error.downcast_ref().map(io::Error::kind) == Some(io::ErrorKind::BrokenPipe) {
            return ExitCode::SUCCESS;
        }
        if let Some(signal) = error.downcast_ref::<net::Signalled>() {
            eprintln!("{signal}");
            return ExitCode::from(signal.exit_code());
        }
        eprintln!("error: {error}");
        ExitCode::from(2)
    })
}
