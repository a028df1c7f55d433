//! A client: each of its threads makes one call after the other.

use std::fmt;
use std::path::PathBuf;
use std::process::{self, ExitCode};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use unavez::attached::Kind;
use unavez::{Conclusion, IpcClient};

use super::proofs::process::die_with_parent;
use super::proofs::{Result, attach, parse_channel, reply, request, told};

/// The client's role.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    socket: PathBuf,
    #[arg(value_parser = parse_channel)]
    channel: Kind,
    threads: u64,
    /// Its first call's number
    from: u64,
    /// The number after its last call's
    to: u64,
    /// The servers' ports; each call's number says which one it is for
    servers: Vec<String>,
}

/// How calls ended, in numbers of calls.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) replied: u64,
    pub(crate) wrong: u64,
    pub(crate) not_executed: u64,
    pub(crate) unknown: u64,
}

impl Told {
    pub(crate) fn add(&mut self, other: &Told) {
        self.replied += other.replied;
        self.wrong += other.wrong;
        self.not_executed += other.not_executed;
        self.unknown += other.unknown;
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Told { replied, wrong, not_executed, unknown } = self;
        write!(f, "{replied} {wrong} {not_executed} {unknown}")
    }
}

impl FromStr for Told {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Told, String> {
        let numbers: Vec<u64> = text.split(' ').filter_map(|it| it.parse().ok()).collect();
        let [replied, wrong, not_executed, unknown] = numbers[..] else {
            return Err(format!("a client says {text:?}"));
        };
        Ok(Told { replied, wrong, not_executed, unknown })
    }
}

/// After so many calls a thread says so.
const SAID_EVERY: u64 = 256;

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    die_with_parent()?;
    let site = attach(&args.socket, args.channel)?;
    let servers = args.servers.iter().map(|port| IpcClient::open(&site, port));
    let servers: Vec<IpcClient> = servers.collect::<std::result::Result<_, _>>()?;
    println!("ready");
    let mut told = told();
    told.next();
    let next = AtomicU64::new(args.from);
    let all = thread::scope(|scope| {
        let threads = (0..args.threads).map(|thread| {
            // No other thread of any process draws the same secrets.
            let random = Pcg64Mcg::seed_from_u64(u64::from(process::id()) << 32 | thread);
            let (servers, next) = (&servers, &next);
            scope.spawn(move || calls(servers, next, args.to, random))
        });
        let threads: Vec<_> = threads.collect();
        let mut all = Told::default();
        for thread in threads {
            all.add(&thread.join().expect("no thread panics"));
        }
        all
    });
    println!("{all}");
    told.for_each(drop);
    Ok(ExitCode::SUCCESS)
}

fn calls(servers: &[IpcClient], next: &AtomicU64, to: u64, mut random: Pcg64Mcg) -> Told {
    let (mut told, mut done) = (Told::default(), 0);
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= to {
            println!("done {done}");
            return told;
        }
        let server = &servers[(number % servers.len() as u64) as usize];
        let secret = random.random();
        match server.call(request(number, secret)) {
            Ok(message) if *message.body() == reply(number, secret) => told.replied += 1,
            Ok(_) => told.wrong += 1,
            Err(error) => {
                eprintln!("call {number}: {error}");
                match error.conclude() {
                    Conclusion::NotExecuted => told.not_executed += 1,
                    Conclusion::Executed | Conclusion::Unknown => told.unknown += 1,
                }
            }
        }
        done += 1;
        if done == SAID_EVERY {
            println!("done {done}");
            done = 0;
        }
    }
}
