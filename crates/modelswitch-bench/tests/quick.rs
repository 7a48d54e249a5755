//! The whole run in its quick form: that it still works, whatever it says.

use modelswitch_bench::run::{Options, Programs, run};
use modelswitch_bench::ways::WAYS;

#[test]
fn the_quick_run_prints_a_row_for_each_way_in_each_table() {
    let ours = Programs::ours(
        env!("CARGO_BIN_EXE_modelswitch-bench-client"),
        env!("CARGO_BIN_EXE_modelswitch-bench-counting"),
    );
    let mut out = Vec::new();
    run(&Options { quick: true, only: None, programs: vec![ours] }, &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    for (name, _) in WAYS {
        assert_eq!(out.matches(&format!("| {name} |")).count(), 5, "{name} in {out}");
    }
}
