//! A client of the bank: several threads, each with calls in flight of its own manner.
//!
//! Invariant: a call's beginning is noted before it is asked for, and its end once.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use unavez::attached::Kind;
use unavez::{CallError, Conclusion, IpcClient, MsgId, RawMsg};

use super::proofs::process::die_with_parent;
use super::proofs::{Result, attach, parse_channel, reply, request, told};

/// The client's role.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    socket: PathBuf,
    #[arg(value_parser = parse_channel)]
    channel: Kind,
    /// The bank
    url: String,
    /// Its first call's number
    first: u64,
    /// Where it notes them
    ends: PathBuf,
    threads: u64,
}

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long one that is in a hurry may.
const HURRY: Duration = Duration::from_millis(30);
/// How many calls a thread has in flight at most.
const IN_FLIGHT: usize = 6;

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    die_with_parent()?;
    let site = attach(&args.socket, args.channel)?;
    let ends = OpenOptions::new().append(true).create(true).open(&args.ends)?;
    let (next, stop) = (AtomicU64::new(args.first), AtomicBool::new(false));
    println!("ready");
    thread::scope(|scope| -> Result<()> {
        for thread in 0..args.threads {
            let client = IpcClient::open(&site, &args.url)?;
            let random = Pcg64Mcg::seed_from_u64(args.first + thread);
            let mut caller = Caller { client, ends: &ends, next: &next, stop: &stop, random };
            scope.spawn(move || match thread % 4 {
                0 => caller.one_by_one(),
                1 => caller.many_at_once(),
                2 => caller.in_a_hurry(),
                _ => caller.calls_off(),
            });
        }
        told().for_each(drop);
        stop.store(true, Ordering::Relaxed);
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

struct Caller<'a> {
    client: IpcClient,
    ends: &'a File,
    next: &'a AtomicU64,
    stop: &'a AtomicBool,
    random: Pcg64Mcg,
}

/// A call that has begun.
struct Call {
    number: u64,
    secret: u64,
    patience: Duration,
    began: Instant,
}

impl Caller<'_> {
    fn one_by_one(&mut self) {
        while self.goes_on() {
            let call = self.begin(PATIENCE);
            let outcome = self.client.call(call.message());
            self.end(&call, outcome);
        }
    }

    /// Some of them in order.
    fn many_at_once(&mut self) {
        let mut open: Vec<(MsgId, Call)> = Vec::new();
        while self.goes_on() || !open.is_empty() {
            if self.goes_on() && open.len() < IN_FLIGHT {
                let call = self.begin(PATIENCE);
                let message = call.message();
                let message =
                    if call.number.is_multiple_of(3) { message.ordered() } else { message };
                match self.client.send_request(message) {
                    Ok(id) => open.push((id, call)),
                    Err(error) => self.end(&call, Err(CallError::NotSent(error))),
                }
                continue;
            }
            let Ok((id, outcome)) = self.client.receive_reply() else { return };
            let at = open.iter().position(|(one, _)| *one == id);
            let (_, call) = open.swap_remove(at.expect("it was asked for, and has not ended"));
            self.end(&call, outcome);
        }
    }

    /// Wants to know for certain, after a short time.
    fn in_a_hurry(&mut self) {
        while self.goes_on() {
            let call = self.begin(HURRY);
            let outcome = self.client.call(call.message().certain());
            self.end(&call, outcome);
        }
    }

    fn calls_off(&mut self) {
        while self.goes_on() {
            let call = self.begin(PATIENCE);
            let outcome = match self.client.send_request(call.message()) {
                Err(error) => Err(CallError::NotSent(error)),
                Ok(id) => {
                    let soon = Duration::from_micros(self.random.random_range(0..3000));
                    self.client.receive_reply_of_timeout(id, soon).unwrap_or_else(|| {
                        let _ = self.client.cancel(id);
                        self.client.receive_reply_of(id)
                    })
                }
            };
            self.end(&call, outcome);
        }
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn begin(&mut self, patience: Duration) -> Call {
        // The machine is others', too.
        thread::sleep(Duration::from_micros(self.random.random_range(0..2000)));
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.note(&format!("{number} begins\n"));
        Call { number, secret: self.random.random(), patience, began: Instant::now() }
    }

    fn end(&self, call: &Call, outcome: std::result::Result<RawMsg, CallError>) {
        let Call { number, secret, patience, began } = call;
        let late = began.elapsed().saturating_sub(*patience).as_millis();
        let how = match outcome {
            Ok(message) if *message.body() == reply(*number, *secret) => "replied".into(),
            Ok(_) => "wrong reply".into(),
            Err(error) => {
                // Whoever is refused at once does not ask again at once.
                thread::sleep(Duration::from_millis(1));
                match error.conclude() {
                    Conclusion::NotExecuted => format!("not executed: {error}"),
                    Conclusion::Executed | Conclusion::Unknown => format!("unknown: {error}"),
                }
            }
        };
        self.note(&format!("{number} ends {late} {how}\n"));
    }

    fn note(&self, line: &str) {
        let mut ends = self.ends;
        ends.write_all(line.as_bytes()).expect("ends can be written");
    }
}

impl Call {
    fn message(&self) -> RawMsg {
        RawMsg::from(request(self.number, self.secret)).timeout(self.patience)
    }
}
