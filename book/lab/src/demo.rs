//! The command line of the steps' `demo` examples: the bank between two real processes over a lossy link.

use std::error::Error;
use std::io::{BufRead, BufReader, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use tempfile::TempDir;

use crate::bank::OPENING;
use crate::cli::{self, parse_duration};
use crate::examples::examples;
use crate::lossy::Share;

/// Starts a bank and its client as two processes, lets the client debit 10 again and again over a
/// link that loses and doubles datagrams, and judges what came of it.
///
/// Exit code 1 says that a promise was broken: a debit ran twice, or a call has no end.
#[derive(Debug, Parser)]
pub struct Args {
    /// How many debits
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub calls: u32,
    /// Lose this share of the datagrams: 0.3 or 30%
    #[arg(long, value_name = "SHARE", default_value = "30%")]
    pub loss: Share,
    /// Send this share of the datagrams twice: 0.2 or 20%
    #[arg(long, value_name = "SHARE", default_value = "20%")]
    pub duplicate: Share,
    /// Kill the bank so often, and start it again on the same address with the same account
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1000))]
    pub crashes: u32,
    /// How long the bank takes for each request: 500ms, 3s
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "0ms")]
    pub service: Duration,
    /// The same seed, the same losses; step 1 gets some calls through with this one
    #[arg(long, default_value_t = 2)]
    pub seed: u64,
}

impl Args {
    /// What the flags are by default: 30 % lost, 20 % doubled.
    pub fn lossy(calls: u32) -> Args {
        Args {
            calls,
            loss: Share(0.3),
            duplicate: Share(0.2),
            crashes: 0,
            service: Duration::ZERO,
            seed: 1,
        }
    }
}

/// How long a client may show no progress until it is said to hang: more than a call may take.
const HANGS_AFTER: Duration = Duration::from_secs(8);

/// A step, and what its server can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What its examples' names begin with: `step3`.
    pub name: &'static str,
    /// It keeps epoch and account in a directory, so it may be killed.
    pub survives: bool,
    /// It can be told how long its service takes.
    pub slows: bool,
}

/// Runs the command line with this step's `server` and `client` examples.
pub fn main(step: Step) -> ExitCode {
    cli::run(|args: Args| {
        let outcome = Outcome::of(step, &args)?;
        writeln!(stdout(), "{outcome}")?;
        Ok(cli::verdict(outcome.held()))
    })
}

/// What two processes did.
#[derive(Debug)]
pub struct Outcome {
    /// Debits asked for.
    pub calls: u64,
    /// Calls that ended with a reply.
    pub replies: u64,
    /// Calls that ended without one: the debit ran, or not.
    pub unknown: u64,
    /// Whether a call has no end.
    pub hangs: bool,
    /// Whether the client found the balance that it must find.
    pub checked: bool,
    /// Debits that the bank ran.
    pub executed: u64,
    /// What the account holds in the end.
    pub balance: i64,
}

impl Outcome {
    /// Starts the two processes, and ends them.
    ///
    /// # Errors
    /// The examples do not build or start, or more is asked than the step can do.
    pub fn of(step: Step, args: &Args) -> Result<Outcome, Box<dyn Error>> {
        if args.crashes > 0 && !step.survives {
            return Err("--crashes is for the steps that keep an account: from step 4".into());
        }
        if args.service > Duration::ZERO && !step.slows {
            return Err("--service is for the steps that can wait: from step 5".into());
        }
        let mut bank = Bank::start(step, args)?;
        let [client] = examples([&format!("{}-client", step.name)])?;
        let asks = [format!("--server={}", bank.port), format!("--calls={}", args.calls)];
        let mut client = Process::start(&client, &[&link(args)[..], &asks].concat())?;

        let mut outcome = Outcome {
            calls: args.calls.into(),
            replies: 0,
            unknown: 0,
            hangs: false,
            checked: false,
            executed: 0,
            balance: OPENING,
        };
        outcome.watch(&mut client, &mut bank, args)?;
        if !outcome.hangs {
            let status = client.child.wait()?;
            if status.code() == Some(2) {
                return Err("the client could not ask for the balance: too much is lost".into());
            }
            outcome.checked = status.success();
        }
        for line in bank.end()? {
            outcome.audit(&line);
        }
        Ok(outcome)
    }

    /// Follows the client to its end, and kills the bank on the way.
    fn watch(
        &mut self,
        client: &mut Process,
        bank: &mut Bank,
        args: &Args,
    ) -> Result<(), Box<dyn Error>> {
        let bar = ProgressBar::new(self.calls);
        bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} calls  {msg}")?);
        let mut crashes = 0;
        loop {
            match client.lines.recv_timeout(HANGS_AFTER) {
                Ok(line) => self.count(&line, &bar),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    self.hangs = true;
                    break;
                }
            }
            let due = self.calls * (crashes + 1) / (u64::from(args.crashes) + 1);
            if crashes < args.crashes.into() && self.replies + self.unknown >= due {
                bank.restart()?;
                crashes += 1;
            }
        }
        bar.abandon();
        Ok(())
    }

    /// Reads a line of the client: `call 7: balance 930`, or `call 7: error: …`.
    fn count(&mut self, line: &str, bar: &ProgressBar) {
        let Some((call, end)) = line.split_once(": ") else { return };
        if !call.starts_with("call ") {
            return;
        }
        match end.starts_with("balance ") {
            true => self.replies += 1,
            false => self.unknown += 1,
        }
        bar.set_message(end.to_string());
        bar.inc(1);
    }

    /// Reads a line of the server: `executed 7 debits, balance 930 …`.
    fn audit(&mut self, line: &str) {
        if let ["executed", debits, "debits,", "balance", balance, ..] =
            line.split_whitespace().collect::<Vec<_>>()[..]
        {
            self.executed = debits.parse().unwrap_or(self.executed);
            self.balance = balance.parse().unwrap_or(self.balance);
        }
    }

    /// Each reply stands for one execution, and each unknown end for one or none.
    pub fn held(&self) -> bool {
        let executions = self.replies..=self.replies + self.unknown;
        self.checked
            && !self.hangs
            && self.replies + self.unknown == self.calls
            && executions.contains(&self.executed)
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        writeln!(f, "     calls  {}", self.calls)?;
        writeln!(f, "   replies  {}", self.replies)?;
        writeln!(f, "   unknown  {}", self.unknown)?;
        writeln!(f, "  executed  {}", self.executed)?;
        writeln!(f, "   balance  {} (from {OPENING})", self.balance)?;
        let ended = self.replies + self.unknown;
        if self.hangs {
            return write!(f, "verdict: broken, call {} has no end", ended + 1);
        }
        match self.held() {
            true => write!(f, "verdict: held, every reply stands for one debit"),
            false if !self.checked && self.executed == self.replies => {
                write!(f, "verdict: broken, the client could not check the balance")
            }
            false => {
                write!(f, "verdict: broken, {} debits for {} replies", self.executed, self.replies)
            }
        }
    }
}

fn link(args: &Args) -> [String; 3] {
    [
        format!("--loss={}", args.loss),
        format!("--duplicate={}", args.duplicate),
        format!("--seed={}", args.seed),
    ]
}

/// The bank's process, and all that its next one needs.
struct Bank {
    program: PathBuf,
    args: Vec<String>,
    process: Process,
    /// Where it listens, as it says itself.
    port: String,
    /// Where its state is; removed in the end.
    _state: Option<TempDir>,
}

impl Bank {
    fn start(step: Step, args: &Args) -> Result<Bank, Box<dyn Error>> {
        let [program] = examples([&format!("{}-server", step.name)])?;
        let mut all = link(args).to_vec();
        if step.slows {
            all.push(format!("--service={}ms", args.service.as_millis()));
        }
        let state = step.survives.then(tempfile::tempdir).transpose()?;
        all.extend(state.iter().map(|state| format!("--state={}", state.path().display())));
        let any_port = "--listen=127.0.0.1:0".into();
        let process = Process::start(&program, &[&all[..], &[any_port]].concat())?;
        let port = listening(&process)?;
        let address = port.split('/').next().unwrap_or(&port);
        all.push(format!("--listen={address}"));
        Ok(Bank { program, args: all, process, port, _state: state })
    }

    /// Kills it, and starts it again on the same address.
    fn restart(&mut self) -> Result<(), Box<dyn Error>> {
        self.process.child.kill()?;
        self.process.child.wait()?;
        self.process = Process::start(&self.program, &self.args)?;
        listening(&self.process)?;
        Ok(())
    }

    /// Kills it, and gives all that it still said.
    fn end(&mut self) -> Result<Vec<String>, Box<dyn Error>> {
        self.process.child.kill()?;
        // The pipe ends with the process.
        Ok(self.process.lines.iter().collect())
    }
}

fn listening(server: &Process) -> Result<String, Box<dyn Error>> {
    let line = server.lines.recv_timeout(HANGS_AFTER)?;
    Ok(line.strip_prefix("listening on ").ok_or("the server says no address")?.to_string())
}

/// A process whose lines arrive in a channel, and which does not outlive this value.
struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    fn start(program: &Path, args: &[String]) -> Result<Process, Box<dyn Error>> {
        let mut child = Command::new(program)
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let lines = read_lines(child.stdout.take().expect("it is piped"));
        Ok(Process { child, lines })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_lines(output: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let lines = BufReader::new(output).lines();
        lines.map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    receiver
}
