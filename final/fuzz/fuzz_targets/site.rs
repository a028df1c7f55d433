//! One site, and whatever may happen to it.
#![no_main]

#[path = "../../tests/fuzz/site.rs"]
mod site;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drop(site::site(bytes)));
