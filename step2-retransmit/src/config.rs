//! Every duration and count, with its reason, and nothing but.

use std::time::Duration;

/// What a site is tuned by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// How long a client waits for the reply before it sends the request again. Well above a round
    /// trip on a local network, and short enough to watch. The paper keeps it constant, and so do
    /// the steps.
    pub retransmit_after: Duration,
    /// How often a client sends a request again before it gives up. Where half of all attempts
    /// fail, ten of them fail once in a thousand calls.
    pub retransmits_max: u32,
    /// How many requests the service has in its hands at most: memory stays bounded whoever sends.
    pub serving_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            retransmit_after: Duration::from_millis(200),
            retransmits_max: 9,
            serving_max: 1024,
        }
    }
}
