//! Kills at random moments, round after round: `cargo run --example step6-rounds -- --help`.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::time::Duration;
use std::{env, fs, thread};

use clap::Parser;
use indicatif::ProgressBar;
use lab::examples::examples;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use step6_daemon::ipc::Outcome;
use step6_daemon::ipc::noted::clean;
use step6_daemon::{Attachment, IpcClient, IpcPort, RawMsg};

/// Runs a bank and its client over two daemons on a lossy link, kills -9 the bank, its daemon, the client's
/// daemon or the client in each round, and judges what came of it. Build `ipcd` first.
///
/// Exit code 1 says that a debit ran twice, or not as its caller was told, or a call has no end.
#[derive(Debug, Parser)]
struct Args {
    /// How many rounds
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// The same seed, the same kills and losses
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The client of one round: which debit is its first, whom it asks, and through whom
    #[arg(long, hide = true, num_args = 3)]
    client: Option<Vec<String>>,
}

/// How many debits a client asks for in a round, each of another amount.
const DEBITS: u32 = 8;
/// No call takes so long: ten seconds of unanswered heartbeats, and some.
const HANGS_AFTER: &str = "20";

fn main() -> ExitCode {
    lab::cli::run(|args: Args| match &args.client {
        Some(client) => ask(client),
        None => judge(&args),
    })
}

/// One client: says of every debit what may be concluded.
fn ask(client: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    let first: u32 = client[0].parse()?;
    let server: IpcPort = client[1].parse()?;
    let bank = IpcClient::new(&Attachment::new(Path::new(&client[2]))?, server);
    for amount in first..first + DEBITS {
        let request = RawMsg::from(format!("debit {amount}"));
        let end = bank.send_request(request).and_then(|id| bank.receive_reply(id));
        println!("{amount} {:?}", end.map_or_else(|error| error.outcome(), |_| Outcome::HasRun));
    }
    Ok(ExitCode::SUCCESS)
}

/// A process that is killed when it is dropped.
struct Process {
    child: Child,
    /// Kept open: whoever prints into a closed pipe dies of it.
    _output: BufReader<ChildStdout>,
}

impl Process {
    fn start(command: &mut Command) -> Result<(Process, String), Box<dyn Error>> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut first = String::new();
        output.read_line(&mut first)?;
        let word = first.split_whitespace().last().unwrap_or_default().into();
        Ok((Process { child, _output: output }, word))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn daemon(state: &Path, listen: &str, seed: u64) -> Result<(Process, String), Box<dyn Error>> {
    let mut ipcd: PathBuf = env::current_exe()?;
    ipcd.pop();
    ipcd.set_file_name("ipcd");
    let mut command = Command::new(ipcd);
    command.args(["--listen", listen, "--loss", "0.1", "--duplicate", "0.1"]);
    command.args(["--seed", &seed.to_string()]).arg("--state").arg(state);
    let (process, port) = Process::start(&mut command)?;
    let address = port.split('/').next().filter(|address| !address.is_empty());
    Ok((process, address.ok_or("ipcd does not start; build it first")?.into()))
}

fn bank(state: &Path) -> Result<(Process, String), Box<dyn Error>> {
    let [server] = examples(["step6-server"])?;
    let mut command = Command::new(server);
    // That its daemon is gone is no news here.
    command.args(["--service", "5ms", "--state"]).arg(state).stderr(Stdio::null());
    Process::start(command.arg("--ledger").arg(state.join("ledger")))
}

fn judge(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let (near, far) = (folder.path().join("near"), folder.path().join("far"));
    let mut random = Pcg64Mcg::seed_from_u64(args.seed);
    let mut told = BTreeMap::new();
    let bar = ProgressBar::new(args.rounds.into());
    let (_, mut near_at) = daemon(&near, "127.0.0.1:0", 0)?;
    let (_, mut far_at) = daemon(&far, "127.0.0.1:0", 0)?;
    for round in 0..args.rounds {
        // Whatever the round before has left is dead by now.
        let near_daemon;
        let far_daemon;
        (near_daemon, near_at) = daemon(&near, &near_at, random.random())?;
        (far_daemon, far_at) = daemon(&far, &far_at, random.random())?;
        let (server, port) = bank(&far)?;
        let first = (1 + round * DEBITS).to_string();
        let mut client = Command::new("timeout");
        client.arg(HANGS_AFTER).arg(env::current_exe()?).args(["--client", &first, &port]);
        let mut client = client.arg(&near).stdout(Stdio::piped()).spawn()?;
        thread::sleep(Duration::from_millis(random.random_range(0..120)));
        let victims = [server, far_daemon, near_daemon];
        let victim = random.random_range(0..4);
        if victim == 3 {
            // `timeout` has made a group for itself and the client.
            let _ = killpg(Pid::from_raw(client.id() as i32), Signal::SIGKILL);
        }
        let others: Vec<Process> = victims
            .into_iter()
            .enumerate()
            .filter(|(at, _)| *at != victim)
            .map(|it| it.1)
            .collect();
        // The server's daemon lives again at once, as an operator would have it.
        let again = if victim == 1 { Some(daemon(&far, &far_at, round.into())?) } else { None };
        let mut text = String::new();
        client.stdout.take().ok_or("no output")?.read_to_string(&mut text)?;
        // A client that found no daemon to attach to has asked nothing.
        if client.wait()?.code() == Some(124) {
            println!("a call of round {round} has no end");
            drop((others, again));
            clean(&near)?;
            clean(&far)?;
            return Ok(lab::cli::verdict(false));
        }
        for line in text.lines() {
            let (amount, outcome) = line.split_once(' ').ok_or("a client says nothing")?;
            told.insert(amount.to_owned(), outcome.to_owned());
        }
        let debits = 1 + round * DEBITS..1 + (round + 1) * DEBITS;
        if victim == 3 {
            // Nobody was left to be told of the others.
            for amount in debits {
                told.entry(amount.to_string()).or_insert("NotTold".into());
            }
        } else if !text.is_empty() && text.lines().count() != debits.len() {
            return Err(format!("the client of round {round} ended early: {text}").into());
        }
        drop((others, again));
        bar.inc(1);
    }
    bar.finish_and_clear();
    // What the last kills have left, and nobody starts again to remove.
    clean(&near)?;
    clean(&far)?;
    Ok(lab::cli::verdict(verdict(&told, &fs::read_to_string(far.join("ledger"))?)))
}

/// Whether the ledger holds what the callers were told.
fn verdict(told: &BTreeMap<String, String>, ledger: &str) -> bool {
    let count = |outcome: &str| told.values().filter(|told| *told == outcome).count();
    let mut ran: BTreeMap<&str, u32> = BTreeMap::new();
    for amount in ledger.lines() {
        *ran.entry(amount).or_default() += 1;
    }
    let twice = ran.values().filter(|times| **times > 1).count();
    let times = |amount: &String| ran.get(amount.as_str()).copied().unwrap_or(0);
    let wrong = told.iter().filter(|(amount, outcome)| match outcome.as_str() {
        "HasRun" => times(amount) != 1,
        "NeverRan" => times(amount) != 0,
        _ => false,
    });
    let wrong = wrong.count();
    let strange = ran.keys().filter(|amount| !told.contains_key(**amount)).count();
    let unknown_ran = told.iter().filter(|(id, it)| *it == "Unknown" && times(id) == 1).count();
    println!(
        "{} calls ended: {} ran, {} never ran, {} unknown, of which {unknown_ran} ran; \
         {} ended with their caller; \
         ran twice {twice}, not as told {wrong}, not accounted for {strange}",
        told.len(),
        count("HasRun"),
        count("NeverRan"),
        count("Unknown"),
        count("NotTold"),
    );
    twice + wrong + strange == 0
}
