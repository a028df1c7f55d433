//! A server with two ports: at one it answers at once, at the other when it is told to.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;

use unavez::attached::Kind;
use unavez::{IpcServer, MsgId};

use super::long_reply;
use super::proofs::process::die_with_parent;
use super::proofs::{Result, attach, parse_channel, parse_request, told};

/// The server's role.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    socket: PathBuf,
    #[arg(value_parser = parse_channel)]
    channel: Kind,
}

/// Requests that wait, and their numbers and secrets.
type Held = Mutex<Vec<(MsgId, u64, u64)>>;

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    die_with_parent()?;
    let site = attach(&args.socket, args.channel)?;
    let (answers, holds) = (IpcServer::new(&site)?, IpcServer::new(&site)?);
    let held = Held::default();
    println!("{} {}", answers.port(), holds.port());
    thread::scope(|scope| {
        scope.spawn(|| {
            while let Ok((request, id)) = answers.receive_request() {
                let (number, secret) = parse_request(request.body()).unwrap_or_default();
                let _ = answers.send_reply(long_reply(number, secret), id);
            }
        });
        scope.spawn(|| {
            while let Ok((request, id)) = holds.receive_request() {
                let (number, secret) = parse_request(request.body()).unwrap_or_default();
                held.lock().expect("no thread panics").push((id, number, secret));
            }
        });
        for line in told() {
            let mut held = held.lock().expect("no thread panics");
            println!("{}", held.len());
            if line == "release" {
                for (id, number, secret) in held.drain(..) {
                    let _ = holds.send_reply(long_reply(number, secret), id);
                }
            }
        }
        site.stop();
    });
    Ok(ExitCode::SUCCESS)
}
