//! The epoch on stable storage.

use std::fs;
use std::path::Path;

use step4_epochs::{Epoch, Life};
use tempfile::tempdir;

fn begin(directory: &Path) -> Result<Epoch, String> {
    Life::begin(directory).map(|life| life.epoch).map_err(|error| error.to_string())
}

#[test]
fn each_life_has_its_own() {
    let directory = tempdir().unwrap();
    let epochs: Vec<Epoch> = (0..5).map(|_| begin(directory.path()).unwrap()).collect();
    assert_eq!(epochs.iter().map(|epoch| epoch.counter).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(epochs.windows(2).any(|pair| pair[0].random != pair[1].random), "{epochs:?}");
}

#[test]
fn the_counter_is_stored_before_it_is_used() {
    let directory = tempdir().unwrap();
    let life = Life::begin(directory.path()).unwrap();
    let stored = fs::read_to_string(directory.path().join("epoch")).unwrap();
    assert_eq!(stored, format!("{}\n", life.epoch.counter));
}

#[test]
fn two_sites_cannot_share_a_directory() {
    let directory = tempdir().unwrap();
    let first = Life::begin(directory.path()).unwrap();
    assert_eq!(begin(directory.path()), Err("another site uses this state directory".into()));
    drop(first);
    assert_eq!(begin(directory.path()).unwrap().counter, 2);
}

#[test]
fn lost_storage_begins_a_strangers_life() {
    let directory = tempdir().unwrap();
    let first = begin(directory.path()).unwrap();
    fs::remove_file(directory.path().join("epoch")).unwrap();
    let second = begin(directory.path()).unwrap();
    assert_eq!(second.counter, first.counter);
    assert_ne!(second, first);
}

#[test]
fn a_damaged_file_is_an_error_and_no_old_epoch() {
    let directory = tempdir().unwrap();
    let wrong = ["", "7", "7\n7\n", "-1\n", "seven\n", "4294967296\n", "\0\0\0\0"];
    for text in wrong.map(str::as_bytes).into_iter().chain([&b"\xff\n"[..]]) {
        fs::write(directory.path().join("epoch"), text).unwrap();
        let error = begin(directory.path()).unwrap_err();
        assert!(error.contains("damaged"), "{text:?}: {error}");
    }
    fs::write(directory.path().join("epoch"), format!("{}\n", u32::MAX)).unwrap();
    assert_eq!(begin(directory.path()), Err("all epochs are used up".into()));
}

#[test]
fn a_crash_while_storing_leaves_the_old_counter_or_the_new() {
    // What a crash between writing and renaming leaves behind.
    let directory = tempdir().unwrap();
    begin(directory.path()).unwrap();
    fs::write(directory.path().join("epoch.new"), "1").unwrap();
    assert_eq!(begin(directory.path()).unwrap().counter, 2);
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error() {
    let directory = tempdir().unwrap();
    fs::write(directory.path().join("file"), "").unwrap();
    assert!(begin(&directory.path().join("file")).is_err());
}

#[test]
fn what_is_shown_parses() {
    let epoch = Epoch { counter: 3, random: 0xc0ffee };
    assert_eq!(epoch.to_string(), "3-00c0ffee");
    assert_eq!("3-00c0ffee".parse(), Ok(epoch));
    for wrong in ["", "3", "3-", "-00c0ffee", "3-coffee", "3-0-0"] {
        assert!(wrong.parse::<Epoch>().is_err(), "{wrong}");
    }
}
