//! The target `answer` for cargo-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| modelswitch_fuzz::answer(bytes));
