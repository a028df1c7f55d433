//! Which networks it is measured on, as results name them.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::link::Hop;

/// A network between the two hosts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Network {
    pub(super) kind: NetworkKind,
    /// Bits in a second, if they are limited.
    pub(super) rate: Option<u64>,
    /// How long a bit is on its way from one host to the other, in µs, if that is known.
    pub(super) delay: Option<f64>,
    /// The share of packets that get lost on the way, in each direction.
    pub(super) loss: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum NetworkKind {
    /// Both hosts are this one.
    Loopback,
    /// Two hosts and a wire.
    Lan,
    /// Two LANs with routers between them.
    Man,
}

impl Network {
    pub(super) const LOOPBACK: Network =
        Network { kind: NetworkKind::Loopback, rate: None, delay: None, loss: 0.0 };

    pub(super) fn lan(rate: Option<u64>) -> Network {
        Network { kind: NetworkKind::Lan, rate, delay: None, loss: 0.0 }
    }

    /// As fast as its slowest hop, and as long as all of them.
    pub(super) fn man(hops: &[Hop]) -> Network {
        let delay: Duration = hops.iter().map(|hop| hop.delay).sum();
        let arrives: f64 = hops.iter().map(|hop| 1.0 - hop.loss).product();
        Network {
            kind: NetworkKind::Man,
            rate: hops.iter().map(|hop| hop.rate).min(),
            delay: Some(delay.as_secs_f64() * 1e6),
            loss: 1.0 - arrives,
        }
    }

    pub(super) fn with_loss(self, loss: f64) -> Network {
        Network { loss, ..self }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self.kind {
            NetworkKind::Loopback => "loopback",
            NetworkKind::Lan => "LAN",
            NetworkKind::Man => "MAN",
        })?;
        match self.rate {
            Some(rate) => write!(f, " of {}", bits(rate as f64))?,
            None if self.kind == NetworkKind::Loopback => {}
            None => f.write_str(" without a limit")?,
        }
        if let Some(delay) = self.delay {
            write!(f, " and {} ms there and back", (delay * 2.0).round() / 1e3)?;
        }
        if self.loss > 0.0 {
            write!(f, ", {} % lost", (self.loss * 1e4).round() / 100.0)?;
        }
        Ok(())
    }
}

/// Bits in a second.
pub(super) fn bits(rate: f64) -> String {
    match rate {
        _ if rate >= 1e9 => format!("{} Gb/s", rate / 1e9),
        _ if rate >= 1e6 => format!("{} Mb/s", rate / 1e6),
        _ => format!("{} kb/s", rate / 1e3),
    }
}

/// A rate, or none: as `--rates` takes it.
pub(super) fn parse_rate(text: &str) -> Result<Rate, &'static str> {
    const ALLOWED: &str = "a rate is from 100k to 100G bits in a second, like 10M; or `none`";
    if text == "none" {
        return Ok(Rate(None));
    }
    let at = text.len().checked_sub(1).filter(|at| text.is_char_boundary(*at)).ok_or(ALLOWED)?;
    let unit = match &text[at..] {
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        _ => return Err(ALLOWED),
    };
    let rate = text[..at].parse().map(|number: f64| number * unit).map_err(|_| ALLOWED)?;
    if (1e5..=1e11).contains(&rate) { Ok(Rate(Some(rate as u64))) } else { Err(ALLOWED) }
}

/// A rate in bits in a second, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate(pub(super) Option<u64>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_a_unit() {
        // What people write, and what they mistype.
        assert_eq!(parse_rate("10M"), Ok(Rate(Some(10_000_000))));
        assert_eq!(parse_rate("2.5G"), Ok(Rate(Some(2_500_000_000))));
        assert_eq!(parse_rate("none"), Ok(Rate(None)));
        for text in ["", "10", "10m", "0M", "1T", "M", "-1M", "10µ", "NaNM"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn networks_have_names() {
        // With and without a limit, with and without loss.
        let shown = [
            Network::LOOPBACK,
            Network::lan(Some(10_000_000)),
            Network::lan(Some(10_000_000)).with_loss(0.01),
            Network::lan(None),
            Network::man(&[
                Hop { rate: 10_000_000, delay: Duration::from_micros(100), loss: 0.0 },
                Hop { rate: 2_000_000, delay: Duration::from_millis(2), loss: 0.01 },
            ]),
        ]
        .map(|network| network.to_string());
        assert_eq!(
            shown,
            [
                "loopback",
                "LAN of 10 Mb/s",
                "LAN of 10 Mb/s, 1 % lost",
                "LAN without a limit",
                "MAN of 2 Mb/s and 4.2 ms there and back, 1 % lost",
            ]
        );
    }
}
