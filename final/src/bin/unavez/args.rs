//! What the command lines of all tools share: what values look like.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use unavez::ipc::{ServiceUrl, Target, TargetError};
use unavez::link::Link;

/// A site, and perhaps a service of it.
#[derive(Debug, Clone)]
pub(crate) struct SiteUrl {
    text: String,
    at: ServiceUrl,
    named: bool,
}

impl FromStr for SiteUrl {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<SiteUrl, TargetError> {
        let text = text.strip_suffix('/').unwrap_or(text);
        match text.parse() {
            Ok(at) => Ok(SiteUrl { text: text.into(), at, named: true }),
            Err(TargetError::NoName) => {
                let at = format!("{text}/-").parse()?;
                Ok(SiteUrl { text: text.into(), at, named: false })
            }
            Err(error) => Err(error),
        }
    }
}

impl SiteUrl {
    /// Where to send to, and the name of the service.
    pub(crate) fn look_up(&self) -> Result<(SocketAddr, Option<String>), TargetError> {
        let (at, name) = look_up(&self.at)?;
        Ok((at, self.named.then_some(name)))
    }
}

impl std::fmt::Display for SiteUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        self.text.fmt(f)
    }
}

/// Where to send to, IPv4 if there is a choice, and the name of the service.
pub(crate) fn look_up(url: &ServiceUrl) -> Result<(SocketAddr, String), TargetError> {
    match url.resolve(true).or_else(|_| url.resolve(false))? {
        Target::Name { at, name } => Ok((at, name)),
        Target::Port(port) => Ok((port.address, String::new())),
    }
}

/// The name of a service.
pub(crate) fn parse_name(text: &str) -> Result<String, &'static str> {
    let max = unavez::protocol::Config::default().name_max;
    let printable = !text.chars().any(|char| char.is_control() || char.is_whitespace());
    match printable && (1..=max).contains(&text.len()) {
        true => Ok(text.into()),
        false => Err("a name has 1 to 255 bytes, without blanks and control characters"),
    }
}

/// Where to listen.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "an address is IP:PORT, like 127.0.0.1:7373 or [::1]:7373")
}

/// A time with its unit.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    const ALLOWED: &str = "a time has a unit: 500us, 200ms, 5s, 2m or 1h";
    let unit_at = text.find(|char: char| !char.is_ascii_digit() && char != '.').ok_or(ALLOWED)?;
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(ALLOWED),
    };
    let number: f64 = number.parse().map_err(|_| ALLOWED)?;
    // A request carries 49 days of patience at most.
    Some(number * seconds)
        .filter(|seconds| (0.0..4e6).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or("the longest time is 1000h")
}

/// A time that is not zero.
pub(crate) fn parse_period(text: &str) -> Result<Duration, &'static str> {
    let period = parse_duration(text)?;
    if period < Duration::from_millis(1) { Err("the shortest is 1ms") } else { Ok(period) }
}

/// How often to look again. Who writes `--watch URL` has given no time.
pub(crate) fn parse_watch(text: &str) -> Result<Duration, &'static str> {
    match text.contains("://") {
        true => Err("a time stands there, or nothing: write the URL first, `stat URL --watch`"),
        false => parse_period(text),
    }
}

/// A share, from 0 to 1.
pub(crate) fn parse_share(text: &str) -> Result<f64, &'static str> {
    let (number, whole) = match text.strip_suffix('%') {
        Some(number) => (number, 100.0),
        None => (text, 1.0),
    };
    let share = number.parse().map(|number: f64| number / whole);
    share
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or("a share is from 0 to 1, or from 0% to 100%")
}

fn parse_number(text: &str) -> Result<u64, &'static str> {
    text.parse().ok().filter(|number| *number > 0).ok_or("datagrams are counted from 1: 1,3")
}

/// Flags that make a link worse: by default, so many percent of each share, 0 or 10.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Faults")]
pub(crate) struct FaultArgs<const PERCENT: u8 = 0> {
    /// Lose this share of the datagrams sent: 10% or 0.1
    #[arg(long, value_name = "SHARE", default_value = percent(PERCENT), value_parser = parse_share)]
    loss: f64,
    /// Send this share of the datagrams twice
    #[arg(long, value_name = "SHARE", default_value = percent(PERCENT), value_parser = parse_share)]
    duplicate: f64,
    /// Hold this share of the datagrams back until up to three others have passed
    #[arg(long, value_name = "SHARE", default_value = percent(PERCENT), value_parser = parse_share)]
    reorder: f64,
    /// Lose exactly these datagrams, counted from 1: 1,3
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', value_parser = parse_number)]
    drop: Vec<u64>,
    /// The same seed, the same faults
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

impl<const PERCENT: u8> FaultArgs<PERCENT> {
    /// What they ask for, if it is anything.
    pub(crate) fn link(&self) -> Option<Link> {
        let Self { loss, duplicate, reorder, ref drop, seed } = *self;
        let link = Link { loss, double: duplicate, reorder, drop: drop.clone(), seed };
        (link != Link { seed, ..Link::default() }).then_some(link)
    }
}

const fn percent(number: u8) -> &'static str {
    if number == 0 { "0%" } else { "10%" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_may_name_a_service() {
        // With a name and without one; a number needs no look-up.
        let look_up = |text: &str| text.parse::<SiteUrl>().unwrap().look_up().unwrap();
        let address = "127.0.0.1:7373".parse().unwrap();
        assert_eq!(look_up("unavez://127.0.0.1:7373/echo"), (address, Some("echo".into())));
        assert_eq!(look_up("unavez://127.0.0.1:7373"), (address, None));
        assert_eq!(look_up("unavez://127.0.0.1:7373/"), (address, None));
        assert_eq!(look_up("unavez://[::1]:1/a/b").0, "[::1]:1".parse().unwrap());
        for text in ["http://127.0.0.1:7373", "127.0.0.1:7373", "unavez://127.0.0.1", "unavez://:1"]
        {
            assert!(text.parse::<SiteUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn times_have_a_unit() {
        // What people write, and what they mistype.
        assert_eq!(parse_duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(parse_duration("0.5s"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("250us"), Ok(Duration::from_micros(250)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        for text in ["5", "s", "", "-1s", "5 s", "1e9s", "9999h", "..s", "5d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert!(parse_period("0s").is_err() && parse_period("10us").is_err());
    }

    #[test]
    fn shares_are_from_nothing_to_all() {
        // As a fraction or in percent.
        assert_eq!(parse_share("10%"), Ok(0.1));
        assert_eq!(parse_share("1"), Ok(1.0));
        for text in ["101%", "-1%", "1.1", "ten", "", "NaN", "inf"] {
            assert!(parse_share(text).is_err(), "{text}");
        }
    }
}
