//! What the proofs with real processes share.

pub(crate) mod host;
pub(crate) mod left;
pub(crate) mod process;

use std::error::Error;
use std::io::{BufRead, stdin};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use unavez::Site;
use unavez::attached::{self, Kind};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How long anything may take on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(30);
/// How long is waited before something is looked at again.
pub(crate) const SOON: Duration = Duration::from_millis(2);

/// Reads a channel from a flag.
pub(crate) fn parse_channel(text: &str) -> std::result::Result<Kind, String> {
    match text {
        "shm" => Ok(Kind::Shm),
        "sysv" => Ok(Kind::Sysv),
        _ => Err("a channel is shm or sysv".into()),
    }
}

/// Attaches this process; its daemon may be about to start.
pub(crate) fn attach(socket: &Path, channel: Kind) -> Result<Site> {
    let options = attached::Options { socket: Some(socket.into()), channel };
    keep_trying(|| Ok(Site::attach_with(options.clone())?))
}

/// Until it is done, but not without end.
pub(crate) fn keep_trying<T>(mut once: impl FnMut() -> Result<T>) -> Result<T> {
    let until = Instant::now() + LONG;
    loop {
        match once() {
            Err(_) if Instant::now() < until => thread::sleep(SOON),
            result => return result,
        }
    }
}

/// Each line that this process is told, until nobody tells it anything any more.
pub(crate) fn told() -> impl Iterator<Item = String> {
    stdin().lock().lines().map_while(std::result::Result::ok)
}

/// A request that no other caller makes.
pub(crate) fn request(number: u64, secret: u64) -> String {
    format!("{number} {secret}")
}

pub(crate) fn parse_request(body: &[u8]) -> Option<(u64, u64)> {
    let (number, secret) = std::str::from_utf8(body).ok()?.split_once(' ')?;
    Some((number.parse().ok()?, secret.parse().ok()?))
}

/// The reply to that request, and to no other.
pub(crate) fn reply(number: u64, secret: u64) -> String {
    format!("{number} {}", secret.rotate_left(17).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number)
}
