//! A server and a client as two processes on a bad link; the server is killed on the way.

mod audit;
pub(crate) mod client;
mod relay;
mod report;

use std::io::{BufRead, BufReader, Write, stdout};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tempfile::TempDir;
use unavez::protocol::{Config, Counters, Note, SiteReply, SiteRequest};
use unavez::{Options, Site};

use self::audit::Audit;
use self::relay::Relay;
use self::report::Report;
use crate::args::{FaultArgs, SiteUrl};
use crate::net::Stop;
use crate::{Result, bank, net};

/// Shows that nothing runs twice, whatever happens.
///
/// A server and a client run as two processes on a link that loses, doubles and reorders datagrams.
/// The client debits an account again and again, several calls at a time. The server is killed
/// (kill -9) and started again on the way. Its ledger, one line for each time that a debit ran, is
/// then held against what the client was told of each call.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 the promise held, 1 it was broken, 2 usage, 130 or 143 interrupted by Ctrl-C or kill.

Examples:
  unavez demo
  unavez demo --loss 30% --kills 5
  unavez demo --calls 3 --loss 0 --duplicate 0 --reorder 0 --kills 0 --drop 1,3")]
pub(crate) struct Args {
    /// How many calls
    #[arg(long, value_name = "NUMBER", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    calls: u64,
    /// Kill the server so often
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u32).range(..=1000))]
    kills: u32,
    /// How many calls at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    at_once: u16,
    /// Print one JSON object in the end
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    faults: FaultArgs<10>,
}

/// How long a call of the demo may take.
const PATIENCE: &str = "8s";
/// After how long without a call that ends, or a word from a process, something is wrong.
const HANGS_AFTER: Duration = Duration::from_secs(20);

pub(crate) fn run(args: &Args) -> Result {
    let report = Demo::start(args)?.finish(args)?;
    match args.json {
        true => writeln!(stdout(), "{}", report.json())?,
        false => write!(stdout(), "{report}")?,
    }
    Ok(ExitCode::from(u8::from(!report.audit.held())))
}

/// The processes and what is between them.
struct Demo {
    /// Ledger and state of the server; removed in the end.
    dir: TempDir,
    server: Server,
    relay: Relay,
    client: Process,
    bar: ProgressBar,
}

impl Demo {
    fn start(args: &Args) -> Result<Demo> {
        let dir = tempfile::tempdir()?;
        let server = Server::start(dir.path())?;
        let link = args.faults.link().unwrap_or_default();
        let relay = Relay::start(server.address, link)?;
        let url = format!("unavez://{}/bank", relay.address());
        let (calls, at_once) =
            (format!("--calls={}", args.calls), format!("--at-once={}", args.at_once));
        let patience = format!("--timeout={PATIENCE}");
        let client = Process::start(&["demo-client", &url, &calls, &at_once, &patience])?;
        // It shows itself on a terminal only.
        let bar = ProgressBar::new(args.calls);
        bar.set_style(ProgressStyle::with_template(
            "{bar:40} {pos}/{len} calls  {elapsed}  {msg}",
        )?);
        Ok(Demo { dir, server, relay, client, bar })
    }

    /// Follows the client to its end, and kills the server on the way.
    fn finish(mut self, args: &Args) -> Result<Report> {
        let stop = net::on_stop()?;
        let began = Instant::now();
        let (mut ends, mut kills, mut counted) = (Vec::new(), 0, Value::Null);
        while let Some(line) = self.next_line(&stop)? {
            match line.strip_prefix("counters ") {
                Some(counters) => counted = serde_json::from_str(counters)?,
                None => ends.extend(audit::parse_end(&line)),
            }
            self.bar.set_position(ends.len() as u64);
            let due = args.calls * u64::from(kills + 1) / u64::from(args.kills + 1);
            if kills < args.kills && ends.len() as u64 >= due {
                let down = self.server.kill_and_restart()?.as_millis();
                kills += 1;
                self.bar.set_message(format!("killed {kills}×, last down for {down} ms"));
            }
        }
        let took = began.elapsed();
        self.bar.abandon();
        self.server.read_counters();
        let link = self.relay.passed();
        // Dead, it runs nothing any more that the ledger does not say.
        drop(self.server.process);
        let runs = runs(&self.dir.path().join(LEDGER))?;
        let count = |note: Note| counted[format!("{note:?}")].as_u64().unwrap_or(0);
        Ok(Report {
            audit: Audit::new(args.calls, &ends, &runs),
            kills,
            took,
            link,
            sent_again: count(Note::Retransmitted),
            begun_anew: count(Note::Resent),
            suppressed: self.server.suppressed,
        })
    }

    /// The next word of the client, until it ends or hangs: what has no end by then is broken.
    fn next_line(&mut self, stop: &Stop) -> Result<Option<String>> {
        crossbeam_channel::select! {
            recv(self.client.lines) -> line => match line {
                Ok(line) => Ok(Some(line)),
                Err(_) if self.client.child.wait()?.success() => Ok(None),
                Err(_) => Err("the client process failed".into()),
            },
            recv(stop.told) -> signal => Err(signal?.into()),
            default(HANGS_AFTER) => Ok(None),
        }
    }
}

const LEDGER: &str = "ledger";

/// The numbers of the calls that ran, as often as they ran.
fn runs(ledger: &Path) -> Result<Vec<u64>> {
    let memos = bank::memos(ledger)?;
    Ok(memos.iter().map(|memo| memo.parse()).collect::<std::result::Result<_, _>>()?)
}

/// The bank's process, and all that its next one needs.
struct Server {
    dir: PathBuf,
    address: SocketAddr,
    process: Process,
    /// Asks it for its counters, past the bad link.
    site: Site,
    /// Duplicates that were not run, in all its lives as far as they were asked.
    suppressed: u64,
}

impl Server {
    fn start(dir: &Path) -> Result<Server> {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (process, address) = Server::spawn(dir, any)?;
        let site =
            net::client_site(address, Options { config: Config::lan(), ..Options::default() })?;
        Ok(Server { dir: dir.into(), address, process, site, suppressed: 0 })
    }

    fn spawn(dir: &Path, listen: SocketAddr) -> Result<(Process, SocketAddr)> {
        let listen = format!("--listen={listen}");
        let state = format!("--state={}", dir.join("state").display());
        let ledger = format!("--ledger={}", dir.join(LEDGER).display());
        let words = ["serve", "--lan", "--until-stdin-ends", &listen, &state, "bank", &ledger];
        let process = Process::start(&words)?;
        let line =
            process.lines.recv_timeout(HANGS_AFTER).map_err(|_| "the server does not start")?;
        let url: SiteUrl = line.parse().map_err(|_| format!("the server says {line:?}"))?;
        Ok((process, url.look_up()?.0))
    }

    /// Kills it, and starts it again on the same address; gives how long it was down.
    fn kill_and_restart(&mut self) -> Result<Duration> {
        self.read_counters();
        let began = Instant::now();
        self.process.child.kill()?;
        self.process.child.wait()?;
        (self.process, self.address) = Server::spawn(&self.dir, self.address)?;
        Ok(began.elapsed())
    }

    /// Adds what this life has counted.
    fn read_counters(&mut self) {
        let patience = Duration::from_secs(2);
        let answer = net::ask(&self.site, self.address, &SiteRequest::Counters, patience);
        if let Ok(SiteReply::Counters { counters, .. }) = answer {
            self.suppressed += suppressed(&counters);
        }
    }
}

/// How often a request came that was not run, because it had run, was running, or belonged elsewhere.
fn suppressed(counters: &Counters) -> u64 {
    use Note::{DuplicateAnswered, DuplicateForgotten, DuplicateInService};
    [DuplicateInService, DuplicateAnswered, DuplicateForgotten]
        .map(|note| counters.get(note))
        .iter()
        .sum()
}

/// A process of this program whose lines arrive in a channel, and which does not outlive this value.
struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    fn start(words: &[&str]) -> Result<Process> {
        let mut command = Command::new(std::env::current_exe()?);
        // Ctrl-C is for the process that they belong to.
        command.args(words).process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let output = child.stdout.take().expect("it is piped");
        let (line, lines) = crossbeam_channel::unbounded();
        std::thread::spawn(move || {
            let mut all = BufReader::new(output).lines().map_while(std::result::Result::ok);
            all.try_for_each(|text| line.send(text))
        });
        Ok(Process { child, lines })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
