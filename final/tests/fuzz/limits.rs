//! The limits of the site that is tried.

use std::time::Duration;

use unavez::protocol::{BODY_MAX, Config};

/// Small, so that every limit is reached.
pub(crate) fn limits() -> Config {
    Config {
        packet_lifetime: Duration::from_secs(1),
        rto_initial: Duration::from_millis(200),
        rto_min: Duration::from_millis(20),
        rto_max: Duration::from_secs(1),
        backoff_max: Duration::from_secs(1),
        retransmits_max: 3,
        resends_max: 2,
        accept_max: Duration::from_secs(5),
        patience_default: Duration::from_secs(3),
        heartbeat_every: Duration::from_millis(500),
        heartbeats_missed_max: 2,
        working_after_max: Duration::from_millis(100),
        patience_kept_max: Duration::from_secs(10),
        drain_time: Duration::from_millis(100),
        window: 64,
        window_max: 256,
        windows_sum_max: 6 * 64,
        clients_max: 4,
        clients_per_address_max: 3,
        port_life: Duration::from_secs(4),
        port_life_max: Duration::from_secs(20),
        records_max: 12,
        bytes_max: 6 * BODY_MAX,
        ordered_wait_max: 2,
        token_max: Duration::from_secs(5),
        busy_after: Duration::from_millis(100),
        calls_max: 6,
        ports_max: 2,
        server_ports_max: 3,
        name_max: 4,
        message_max: 20_000,
        building_max: 50_000,
        building_per_address_max: 30_000,
        credit_max: 140_000,
        ..Config::default()
    }
}
