//! A server: counts how often each call runs.

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread;

use unavez::IpcServer;
use unavez::attached::Kind;

use super::proofs::process::die_with_parent;
use super::proofs::{Result, attach, parse_channel, parse_request, reply, told};

/// The server's role.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    socket: PathBuf,
    #[arg(value_parser = parse_channel)]
    channel: Kind,
    threads: u64,
    /// Which server it is
    number: u64,
    /// Of how many: it is asked for every such call
    servers: u64,
    /// For how many calls at most
    calls: usize,
}

/// What ran, in numbers of calls.
#[derive(Debug, Default)]
pub(crate) struct Ran {
    pub(crate) once: u64,
    pub(crate) more: u64,
    /// Those that another server was asked for.
    pub(crate) strange: u64,
}

impl Ran {
    pub(crate) fn add(&mut self, other: Ran) {
        self.once += other.once;
        self.more += other.more;
        self.strange += other.strange;
    }
}

impl FromStr for Ran {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Ran, String> {
        let numbers: Vec<u64> = text.split(' ').filter_map(|it| it.parse().ok()).collect();
        let [once, more, strange] = numbers[..] else { return Err(format!("it ran {text:?}")) };
        Ok(Ran { once, more, strange })
    }
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    die_with_parent()?;
    let site = attach(&args.socket, args.channel)?;
    let server = IpcServer::new(&site)?;
    let times: Vec<AtomicU8> = (0..args.calls).map(|_| AtomicU8::new(0)).collect();
    let strange = AtomicU64::new(0);
    println!("{}", server.port());
    thread::scope(|scope| {
        for _ in 0..args.threads {
            scope.spawn(|| {
                while let Ok((request, id)) = server.receive_request() {
                    let (number, secret) = parse_request(request.body()).unwrap_or((u64::MAX, 0));
                    let place = usize::try_from(number / args.servers).ok();
                    let own = number % args.servers == args.number;
                    match place.and_then(|at| times.get(at)).filter(|_| own) {
                        // More than that often is as bad.
                        Some(times) if times.load(Ordering::Relaxed) < 100 => {
                            times.fetch_add(1, Ordering::Relaxed);
                        }
                        Some(_) => {}
                        None => drop(strange.fetch_add(1, Ordering::Relaxed)),
                    }
                    let _ = server.send_reply(reply(number, secret), id);
                }
            });
        }
        for _count in told() {
            let count = |wanted: fn(u8) -> bool| {
                times.iter().filter(|it| wanted(it.load(Ordering::Relaxed))).count()
            };
            let strange = strange.load(Ordering::Relaxed);
            println!("{} {} {strange}", count(|it| it == 1), count(|it| it > 1));
        }
        site.stop();
    });
    Ok(ExitCode::SUCCESS)
}
