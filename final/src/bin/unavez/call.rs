//! One call, from a shell.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write, stdout};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use crossbeam_channel::Receiver;
use serde_json::{Value, json};
use unavez::ipc::{ServiceUrl, Target};
use unavez::protocol::{Config, NotExecuted, Note};
use unavez::{CallError, Conclusion, IpcClient, MsgId, Options, RawMsg};

use crate::Result;
use crate::args::{FaultArgs, look_up, parse_period};
use crate::common::sizes::{bytes, message_size};
use crate::net::{self, AttachArgs, Signalled, Stop};
use crate::serve::unmark;

/// Calls a service once and prints its reply.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0  replied: the service ran exactly once (with --idempotent: at least once)
  1  replied, by a command that failed (see `unavez serve`)
  2  usage: nothing was sent
  3  not executed: it is proved that the service did not run, and never will for this call
  4  unknown: the service ran once or not at all
  5  executed: the service ran, and its reply is too long, or cannot be written here
  129, 130, 143  called off by the end of its terminal, by Ctrl-C, or by kill; a line says what is known of it

Ctrl-C and kill call the call off (with --certain, it is waited for what became of it); the second
Ctrl-C ends at once. A reply that has come by then counts.

Examples:
  unavez call unavez://127.0.0.1:7373/echo hello
  echo hello | unavez call unavez://127.0.0.1:7373/upper
  unavez call unavez://127.0.0.1:7373/bank 'debit 10' --timeout 2s --certain --json")]
pub(crate) struct Args {
    /// unavez://HOST:PORT/NAME
    url: ServiceUrl,
    /// The request [default: what the standard input holds]
    body: Option<OsString>,
    /// Take the request from a file
    #[arg(long, conflicts_with = "body")]
    file: Option<PathBuf>,
    /// The longest request and the longest reply, up to 1 GiB [default: 64 MiB; a daemon has its own]
    #[arg(long, conflicts_with = "attach", value_name = "SIZE", value_parser = message_size)]
    message_max: Option<ByteSize>,
    /// How long to wait for the reply, and for anybody to answer there
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_period)]
    timeout: Duration,
    /// The service may run more than once: it does no harm, and the server need not remember
    #[arg(long)]
    idempotent: bool,
    /// Not before the ordered call before it; for one call alone it changes nothing
    #[arg(long)]
    ordered: bool,
    /// If the time is over, or at Ctrl-C, wait a second more to know whether the service ran
    #[arg(long)]
    certain: bool,
    /// Print one JSON object: how the call ended, and the reply
    #[arg(long)]
    json: bool,
    /// Print each packet, and what happens without one, on the standard error
    #[arg(long)]
    trace: bool,
    #[command(flatten)]
    attach: AttachArgs,
    #[command(flatten)]
    faults: FaultArgs,
}

/// Then a person wants to know what is going on.
const LONG: Duration = Duration::from_secs(1);

/// How a call ended.
type Outcome = std::result::Result<RawMsg, CallError>;

pub(crate) fn run(args: &Args) -> Result {
    let (at, name) = look_up(&args.url)?;
    let config = Config::default();
    let config = config.with_message_max(args.message_max.map_or(config.message_max, bytes));
    let options =
        Options { config, trace: args.trace, link: args.faults.link(), ..Options::default() };
    let site = match args.attach.site() {
        Some(Ok(site)) => site,
        Some(Err(error)) => {
            // It is no mistake of the command line, and it is proved that nothing runs.
            eprintln!("error: {error}");
            return Ok(ExitCode::from(3));
        }
        None => net::client_site(at, options)?,
    };
    let body = args.body(site.config().message_max)?;
    let request = args.flag(RawMsg::new(body).timeout(args.timeout));
    let began = Instant::now();
    let client = IpcClient::new(&site, Target::Name { at, name });
    let answered = || args.attach.is_set() || site.round_trips().is_ok_and(|all| !all.is_empty());
    let hint = || match answered() {
        // Of a daemon's call one cannot tell.
        true => format!("no reply yet; waiting up to {:?} (--timeout)", args.timeout),
        false => {
            format!("nobody answers at {at} yet; waiting up to {:?} (--timeout)", args.timeout)
        }
    };
    let (outcome, signal) = ask(&client, request, &hint)?;
    let took = began.elapsed();
    let written = match args.json {
        true => {
            let mut report = report(&outcome, at);
            report["time_ms"] = json!(took.as_secs_f64() * 1e3);
            if !args.attach.is_set() {
                report["sent_again"] = json!(site.counters()?.get(Note::Retransmitted));
            }
            writeln!(stdout(), "{report}")
        }
        false => print(&outcome, at),
    };
    let code =
        signal.filter(|_| outcome.is_err()).map_or(exit_code(&outcome), Signalled::exit_code);
    Ok(ExitCode::from(match (code, written) {
        (code, Ok(())) => code,
        // Whoever read it had enough of it.
        (code, Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => code,
        (code, Err(error)) => {
            eprintln!("error: how the call ended cannot be written: {error}");
            // It ran, and whoever asks again asks twice.
            if outcome.is_ok() { EXECUTED } else { code }
        }
    }))
}

/// Calls, and calls it off when it is told to stop: then by which signal.
fn ask(
    client: &IpcClient,
    request: RawMsg,
    hint: &(dyn Fn() -> String + Sync),
) -> Result<(Outcome, Option<Signalled>)> {
    let stop = net::on_stop()?;
    let id = match client.send_request(request) {
        Ok(id) => id,
        Err(error) => return Ok((Err(CallError::NotSent(error)), None)),
    };
    let (ended, end) = crossbeam_channel::bounded::<()>(0);
    Ok(thread::scope(|scope| {
        let watch = scope.spawn(|| watch(client, id, &stop, &end, hint));
        let outcome = client.receive_reply_of(id);
        drop(ended);
        (outcome, watch.join().expect("it does not panic"))
    }))
}

/// Until the call has ended. Whoever sits at a terminal is told when it takes long.
fn watch(
    client: &IpcClient,
    id: MsgId,
    stop: &Stop,
    end: &Receiver<()>,
    hint: &dyn Fn() -> String,
) -> Option<Signalled> {
    let long = match io::stderr().is_terminal() {
        true => crossbeam_channel::after(LONG),
        false => crossbeam_channel::never(),
    };
    loop {
        crossbeam_channel::select! {
            recv(stop.told) -> signal => {
                let _ = client.cancel(id);
                return signal.ok();
            }
            recv(end) -> _ => return None,
            recv(long) -> _ => eprintln!("{}; Ctrl-C calls it off", hint()),
        }
    }
}

impl Args {
    fn flag(&self, mut request: RawMsg) -> RawMsg {
        if self.idempotent {
            request = request.idempotent();
        }
        if self.ordered {
            request = request.ordered();
        }
        if self.certain {
            request = request.certain();
        }
        request
    }

    /// The request, if it has no more bytes than this.
    fn body(&self, most: usize) -> Result<Vec<u8>> {
        // One byte more shows that it is too long.
        let read = |from: &mut dyn Read| {
            let mut body = Vec::new();
            from.take(most as u64 + 1).read_to_end(&mut body).map(|_| body)
        };
        let body = match (&self.body, &self.file) {
            (Some(body), _) => body.clone().into_vec(),
            (None, Some(path)) => File::open(path)
                .and_then(|mut file| read(&mut file))
                .map_err(|error| format!("{}: {error}", path.display()))?,
            (None, None) => {
                if io::stdin().is_terminal() {
                    eprintln!("the request is read from here; it ends with Ctrl-D");
                }
                read(&mut io::stdin())?
            }
        };
        match body.len() <= most {
            true => Ok(body),
            false => {
                Err(format!("the request is longer than {most} bytes; see --message-max").into())
            }
        }
    }
}

/// It ran, and there is no reply.
const EXECUTED: u8 = 5;

/// What the shell is told.
fn exit_code(outcome: &Outcome) -> u8 {
    match outcome {
        Ok(reply) => u8::from(unmark(reply.body()).0.is_some()),
        Err(CallError::NotSent(_)) => 2,
        Err(error) => match error.conclude() {
            Conclusion::NotExecuted => 3,
            Conclusion::Unknown => 4,
            Conclusion::Executed => EXECUTED,
        },
    }
}

/// How a call without a reply ended, in words.
fn name(error: &CallError) -> &'static str {
    match error.conclude() {
        Conclusion::NotExecuted => "not executed",
        Conclusion::Executed => "executed",
        Conclusion::Unknown => "unknown",
    }
}

/// Why a call to this address has no reply.
fn why(error: &CallError, at: SocketAddr) -> String {
    match error {
        CallError::NotExecuted(NotExecuted::Unresolved) => {
            format!("nobody answers at {at}; --timeout says how long to wait")
        }
        error => error.to_string(),
    }
}

/// What a person is told: the reply as it is, the rest in a line.
fn print(outcome: &Outcome, at: SocketAddr) -> io::Result<()> {
    let reply = match outcome {
        Ok(reply) => reply.body(),
        Err(error) => {
            eprintln!("{}: {}", name(error), why(error, at));
            return Ok(());
        }
    };
    let (failed, output) = unmark(reply);
    let mut out = stdout();
    out.write_all(output)?;
    if out.is_terminal() && !output.ends_with(b"\n") {
        writeln!(out)?;
    }
    out.flush()?;
    if let Some(how) = failed {
        eprintln!("replied: the command failed: {how}");
    }
    Ok(())
}

/// What a program is told. A reply that is no text is in hexadecimal digits.
fn report(outcome: &Outcome, at: SocketAddr) -> Value {
    let reply = match outcome {
        Ok(reply) => reply.body(),
        Err(error) => return json!({ "outcome": name(error), "reason": why(error, at) }),
    };
    let (failed, output) = unmark(reply);
    let mut report = json!({ "outcome": "replied" });
    match std::str::from_utf8(output) {
        Ok(text) => report["body"] = json!(text),
        Err(_) => {
            let digits = output.iter().map(|byte| format!("{byte:02x}"));
            report["body_hex"] = json!(digits.collect::<String>());
        }
    }
    if let Some(how) = failed {
        report["command_failed"] = json!(how);
    }
    report
}

#[cfg(test)]
mod tests {
    use unavez::SiteError;
    use unavez::protocol::Unknown;

    use super::*;

    #[test]
    fn exit_codes_tell_the_ends_apart() {
        // And a reply from a command that failed. A reply that is too long is no reply.
        assert_eq!(exit_code(&Ok("hello".into())), 0);
        assert_eq!(exit_code(&Ok("\0unavez exit 1\nhello".into())), 1);
        assert_eq!(exit_code(&Err(CallError::NotSent(SiteError::Stopped.into()))), 2);
        assert_eq!(exit_code(&Err(NotExecuted::NoSuchName.into())), 3);
        assert_eq!(exit_code(&Err(Unknown::TimedOut.into())), 4);
        assert_eq!(exit_code(&Err(Unknown::ReplyTooBig.into())), 5);
    }

    #[test]
    fn reports_hold_any_reply() {
        // Text, bytes that are none, a command's failure, and no reply.
        let at = SocketAddr::from(([127, 0, 0, 1], 7373));
        let body = |body: &'static [u8]| report(&Ok(RawMsg::from(body)), at);
        assert_eq!(body(b"a\"b")["body"], "a\"b");
        assert_eq!(body(b"\xff\0")["body_hex"], "ff00");
        assert_eq!(body(b"\0unavez exit 7\nx")["command_failed"], "exit 7");
        assert_eq!(body(b"\0unavez exit 7\nx")["body"], "x");
        assert_eq!(report(&Err(Unknown::ServerDied.into()), at)["outcome"], "unknown");
    }
}
