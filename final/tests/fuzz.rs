//! The functions of `final/fuzz`, run over the kept corpus and over seeded random bytes. How to fuzz
//! for longer stands there.

#[path = "fuzz/decode.rs"]
mod decode;
#[path = "fuzz/site.rs"]
mod site;

use std::fs;
use std::panic::RefUnwindSafe;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use unavez::protocol::Note;

/// What the fuzzer found worth keeping, in bytes, for each target.
const CORPUS_MAX: u64 = 200_000;

#[test]
fn kept_inputs_decode_or_do_not() {
    over_corpus("decode", decode::decode);
}

#[test]
fn kept_inputs_break_no_promise() {
    over_corpus("site", |bytes| drop(site::site(bytes)));
}

#[test]
fn random_bytes_decode_or_do_not() {
    over_random_bytes(20_000, decode::decode);
}

#[test]
fn random_events_break_no_promise() {
    // At most once (R1), an end for every call (R2), limits kept (R26), no amplification (R36).
    // All that is counted did happen, or these claims would say little.
    let counts = Mutex::new(vec![0; Note::ALL.len()]);
    over_random_bytes(5_000, |bytes| {
        let counted = site::site(bytes);
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter_mut().zip(counted.iter()).for_each(|(sum, (_, count))| *sum += count);
    });
    let counts = counts.into_inner().unwrap();
    let never: Vec<_> = Note::ALL.iter().zip(counts).filter(|(_, count)| *count == 0).collect();
    assert!(never.is_empty(), "never happened: {never:?}");
}

fn over_corpus(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut bytes = 0;
    for file in fs::read_dir(folder).expect("the corpus is kept in the repository") {
        let input = fs::read(file.unwrap().path()).unwrap();
        bytes += input.len() as u64;
        run(&input);
    }
    assert!(bytes > 0 && bytes < CORPUS_MAX, "{target}: {bytes} bytes");
}

fn over_random_bytes(runs: u64, run: impl Fn(&[u8]) + RefUnwindSafe) {
    for seed in 0..runs {
        let mut random = StdRng::seed_from_u64(seed);
        let mut input = vec![0; random.random_range(0..1000)];
        random.fill_bytes(&mut input);
        if std::panic::catch_unwind(|| run(&input)).is_err() {
            panic!("seed {seed}");
        }
    }
}
