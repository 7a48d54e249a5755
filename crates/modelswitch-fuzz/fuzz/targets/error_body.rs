//! The target `error_body` for cargo-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| modelswitch_fuzz::error_body(bytes));
