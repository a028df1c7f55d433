//! How long a round trip to a site takes (R11), by RFC 6298.

use std::time::Duration;

use super::config::Config;

/// What was measured of one site; nothing at first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RoundTrip {
    measured: Option<(Duration, Duration)>,
}

impl RoundTrip {
    /// Takes one more sample: the delay of an answer less the time that the server had the copy (R12).
    pub(crate) fn sample(&mut self, sample: Duration) {
        self.measured = Some(match self.measured {
            None => (sample, sample / 2),
            Some((smoothed, variation)) => {
                let off = smoothed.abs_diff(sample);
                ((smoothed * 7 + sample) / 8, (variation * 3 + off) / 4)
            }
        });
    }

    /// The smoothed round trip and its variation.
    pub(crate) fn measured(&self) -> Option<(Duration, Duration)> {
        self.measured
    }

    /// How long to wait for an answer before the request is sent again.
    pub(crate) fn timeout(&self, config: &Config) -> Duration {
        self.measured.map_or(config.rto_initial, |(smoothed, variation)| {
            (smoothed + variation * 4).clamp(config.rto_min, config.rto_max)
        })
    }
}
