//! The proofs with real processes, in a short form: the examples `unavez-rounds`, `unavez-crowd` and
//! `unavez-stopped`.

use std::process::Command;

use lab::examples::examples;

/// What it prints, if its verdict is that the promise held.
fn held(name: &str, flags: &str) -> String {
    let [program] = examples([name]).unwrap();
    let done = Command::new(program).args(flags.split(' ')).output().unwrap();
    let said = String::from_utf8(done.stdout).unwrap();
    let complained = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(0), "{said}{complained}");
    assert!(said.contains("verdict: held"), "{said}");
    said
}

/// Processes of all kinds are killed, and the others go on: nothing runs twice, each call ends as it
/// was told, nothing is left (R1, R2, R3, R28).
#[test]
fn rounds_of_kills() {
    let said = held("unavez-rounds", "--rounds 12 --seed 7 --channel both");
    assert!(said.contains("SIGKILL to the bank's daemon"), "{said}");
}

/// Sixteen threads of four processes, over one daemon and over two: to each its own.
#[test]
fn crowds_get_their_own_replies() {
    for flags in ["--hosts 1 --channel shm", "--hosts 2 --channel sysv"] {
        held("unavez-crowd", &format!("--servers 2 --clients 2 --threads 16 --calls 3000 {flags}"));
    }
}

/// Others are stopped: those that work go on, and whoever goes on gets all that waited.
#[test]
fn who_is_stopped_keeps_nobody_from_work() {
    for channel in ["shm", "sysv"] {
        held("unavez-stopped", &format!("--batches 2 --calls 100 --channel {channel}"));
    }
}
