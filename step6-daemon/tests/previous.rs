//! What this step leaves as it was: the protocol.

use std::fs;
use std::path::Path;

#[test]
fn the_protocol_is_that_of_step_5_byte_for_byte() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["client", "config", "epoch", "server", "site", "timers", "wire"] {
        let file = format!("src/{file}.rs");
        let before = fs::read(here.join("../step5-heartbeat").join(&file)).unwrap();
        assert!(before == fs::read(here.join(&file)).unwrap(), "{file} differs");
    }
}
