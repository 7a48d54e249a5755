//! The target `thought` for cargo-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| modelswitch_fuzz::thought(bytes));
