//! A client: makes one call after the other and says how long each took, or sends many requests and
//! gathers their replies later.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{self, ExitCode};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use unavez::attached::Kind;
use unavez::{IpcClient, MsgId, RawMsg};

use super::long_reply;
use super::proofs::process::die_with_parent;
use super::proofs::{LONG, Result, attach, parse_channel, request, told};

/// The client's role.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    socket: PathBuf,
    #[arg(value_parser = parse_channel)]
    channel: Kind,
    server: String,
}

/// As long as anything may be stopped.
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    die_with_parent()?;
    let site = attach(&args.socket, args.channel)?;
    let client = IpcClient::open(&site, &args.server)?;
    let random = Pcg64Mcg::seed_from_u64(process::id().into());
    let mut caller = Caller { client, random, number: 0, sent: HashMap::new() };
    println!("ready");
    for line in told() {
        let (what, count) = line.split_once(' ').ok_or("it is told how much of what")?;
        let count: u32 = count.parse()?;
        println!(
            "{}",
            match what {
                "time" => caller.time(count),
                "send" => caller.send(count)?,
                _ => caller.gather(count)?,
            }
        );
    }
    Ok(ExitCode::SUCCESS)
}

struct Caller {
    client: IpcClient,
    random: Pcg64Mcg,
    number: u64,
    /// What was sent, and its right reply.
    sent: HashMap<MsgId, String>,
}

impl Caller {
    /// Nanoseconds, of each call that had its reply.
    fn time(&mut self, calls: u32) -> String {
        let mut times = String::new();
        for _ in 0..calls {
            let (request, reply) = self.next();
            let began = Instant::now();
            let outcome = self.client.call(request);
            let took = began.elapsed().as_nanos();
            match outcome {
                Ok(message) if *message.body() == reply => times += &format!("{took} "),
                other => eprintln!("no reply to a call: {other:?}"),
            }
        }
        times
    }

    fn send(&mut self, requests: u32) -> Result<String> {
        for _ in 0..requests {
            let (request, reply) = self.next();
            self.sent.insert(self.client.send_request(request)?, reply);
        }
        Ok("sent".into())
    }

    /// How many have their replies.
    fn gather(&mut self, replies: u32) -> Result<String> {
        let mut right = 0;
        for _ in 0..replies {
            // Whatever has not come by then was lost.
            let Some((id, outcome)) = self.client.receive_reply_timeout(LONG / 2)? else { break };
            let wanted = self.sent.remove(&id).ok_or("a call ended that was not made")?;
            match outcome {
                Ok(message) if *message.body() == wanted => right += 1,
                other => eprintln!("no reply to a call: {other:?}"),
            }
        }
        Ok(right.to_string())
    }

    fn next(&mut self) -> (RawMsg, String) {
        self.number += 1;
        let secret = self.random.random();
        let message = RawMsg::from(request(self.number, secret)).timeout(PATIENCE);
        (message, long_reply(self.number, secret))
    }
}
