//! What the tools have in common: a site that asks, what another site says of itself, the daemon of this
//! host, and the end.

use std::error::Error;
use std::ffi::c_int;
use std::fmt::{self, Display, Formatter};
use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitCode, exit};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use unavez::attached;
use unavez::observe::Observer;
use unavez::protocol::{IpcPort, SiteReply, SiteRequest};
use unavez::{AttachError, IpcClient, Options, RawMsg, Site};

use crate::Result;

/// A site that only asks, by the same kind of address as the other one has.
pub(crate) fn client_site(to: SocketAddr, options: Options) -> Result<Site> {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    Ok(Site::with(Options { listen: any.parse()?, ..options })?)
}

/// Asks a site about itself (R10); an error is said in a few words.
pub(crate) fn ask(
    site: &Site,
    at: SocketAddr,
    request: &SiteRequest,
    patience: Duration,
) -> std::result::Result<SiteReply, String> {
    let client = IpcClient::new(site, IpcPort::site_at(at));
    let reply = client.call(question(request, patience)).map_err(|error| why(&error))?;
    Ok(SiteReply::decode(reply.body()).unwrap_or(SiteReply::Malformed))
}

/// What a site is asked about itself.
pub(crate) fn question(request: &SiteRequest, patience: Duration) -> RawMsg {
    RawMsg::new(request.encode()).idempotent().timeout(patience)
}

/// Why there is no answer. No service was asked, so nobody cares whether it ran.
pub(crate) fn why(error: &dyn Display) -> String {
    error.to_string().split(';').next().unwrap_or_default().to_string()
}

/// Which daemon of this host.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DaemonArgs {
    /// Where its processes are attached [default: $UNAVEZ_SOCKET; else in $XDG_RUNTIME_DIR/unavez,
    /// /run/unavez or /tmp/unavez-UID, where there is one]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl DaemonArgs {
    /// Looks at it; an error says what to do.
    pub(crate) fn observe(&self) -> std::result::Result<Observer, String> {
        Observer::open(self.socket.as_deref()).map_err(|error| advise(&error, "--socket"))
    }
}

/// Where a tool does its work.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct AttachArgs {
    /// At the daemon of this host, instead of at a site of its own; if need be, say by which socket:
    /// --attach=PATH
    #[arg(
        long, value_name = "PATH", num_args = 0..=1, require_equals = true,
        conflicts_with_all = ["trace", "loss", "duplicate", "reorder", "drop", "seed"]
    )]
    attach: Option<Option<PathBuf>>,
}

impl AttachArgs {
    /// Whether the site is the daemon's, with all that others do there.
    pub(crate) fn is_set(&self) -> bool {
        self.attach.is_some()
    }

    /// The daemon's site, if it is wanted; an error says what to do.
    pub(crate) fn site(&self) -> Option<std::result::Result<Site, String>> {
        let socket = self.attach.clone()?;
        let options = attached::Options { socket, ..attached::Options::default() };
        Some(Site::attach_with(options).map_err(|error| advise(&error, "--attach=PATH")))
    }
}

/// What to do if there is no daemon.
fn advise(error: &AttachError, flag: &str) -> String {
    match error {
        AttachError::NoDaemon { error: why, .. }
            if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) =>
        {
            format!("{error}; start `unavezd`, or say where with {flag} or $UNAVEZ_SOCKET")
        }
        error => error.to_string(),
    }
}

/// Says why there is nothing to print, and exits with 1.
pub(crate) fn fail(why: impl Display) -> Result {
    eprintln!("{why}");
    Ok(ExitCode::FAILURE)
}

/// Tells a tool to stop.
pub(crate) struct Stop {
    pub(crate) tell: Sender<Signalled>,
    /// A message when it is told.
    pub(crate) told: Receiver<Signalled>,
}

/// By which signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signalled(pub(crate) c_int);

impl Error for Signalled {}

impl Display for Signalled {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl Signalled {
    /// What a shell says of a program that such a signal has ended: 130, or 143.
    pub(crate) fn exit_code(self) -> u8 {
        128 + self.0 as u8
    }
}

/// From now on this process is told to stop by Ctrl-C, or `kill`, or the end of its terminal, unless it was
/// started to ignore that, as by `nohup`. The second time it stops at once, and when nobody is there to be
/// told.
pub(crate) fn on_stop() -> Result<Stop> {
    let (tell, told) = crossbeam_channel::bounded(1);
    let signalled = tell.clone();
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    if !is_ignored(SIGHUP)? {
        signals.add_signal(SIGHUP)?;
    }
    thread::spawn(move || {
        let mut stops = false;
        for signal in signals.forever().map(Signalled) {
            let nobody = signalled.try_send(signal).is_err_and(|it| it.is_disconnected());
            if stops || nobody {
                exit(signal.exit_code().into());
            }
            stops = true;
        }
    });
    Ok(Stop { tell, told })
}

/// proc(5) has a bit for each signal that is ignored.
fn is_ignored(signal: c_int) -> Result<bool> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = u64::from_str_radix(line.unwrap_or("0").trim(), 16)?;
    Ok(ignored & (1 << (signal - 1)) != 0)
}
