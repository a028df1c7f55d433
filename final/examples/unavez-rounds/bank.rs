//! The bank: notes each call before it answers it, so that it is known after a kill what ran.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use unavez::IpcServer;
use unavez::attached::Kind;

use super::proofs::process::die_with_parent;
use super::proofs::{Result, attach, keep_trying, parse_channel, parse_request, reply, told};

/// The bank's role.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    socket: PathBuf,
    #[arg(value_parser = parse_channel)]
    channel: Kind,
    journal: PathBuf,
    threads: usize,
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    die_with_parent()?;
    let site = attach(&args.socket, args.channel)?;
    // The daemon may be killed meanwhile, or not know yet that the bank before was.
    let server = keep_trying(|| Ok(IpcServer::new(&site)?))?;
    keep_trying(|| Ok(server.register("bank")?))?;
    let journal = OpenOptions::new().append(true).create(true).open(&args.journal)?;
    println!("ready");
    thread::scope(|scope| {
        for _ in 0..args.threads {
            scope.spawn(|| serve(&server, &journal));
        }
        told().for_each(drop);
        site.stop();
    });
    Ok(ExitCode::SUCCESS)
}

fn serve(server: &IpcServer, mut journal: &File) {
    while let Ok((request, id)) = server.receive_request() {
        let Some((number, secret)) = parse_request(request.body()) else { continue };
        journal.write_all(format!("{number}\n").as_bytes()).expect("the journal can be written");
        thread::sleep(service(secret));
        // Whether or not anybody hears it.
        let _ = server.send_reply(reply(number, secret), id);
    }
}

/// Most are short; some take longer than a client waits until it asks whether it is served (§3.3).
fn service(secret: u64) -> Duration {
    match secret % 64 {
        0 => Duration::from_millis(150),
        1..8 => Duration::from_millis(10),
        _ => Duration::ZERO,
    }
}
