//! `cargo bench -p modelswitch-bench`, and after `--`: `--quick`, `--no-peers`, `--only WORD` of a table's title.

use std::path::Path;
use std::process::Command;

use modelswitch_bench::Failure;
use modelswitch_bench::run::{Options, Programs, run};

fn main() -> Result<(), Failure> {
    // Cargo adds `--bench` of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|one| one != "--bench").collect();
    let has = |flag: &str| arguments.iter().any(|one| one == flag);
    let only = arguments.iter().position(|one| one == "--only").and_then(|place| arguments.get(place + 1));
    let ours = Programs::ours(
        env!("CARGO_BIN_EXE_modelswitch-bench-client"),
        env!("CARGO_BIN_EXE_modelswitch-bench-counting"),
    );
    let peers = if has("--quick") || has("--no-peers") { None } else { peers(Path::new(&ours.plain)) };
    let programs = std::iter::once(ours).chain(peers).collect();
    run(&Options { quick: has("--quick"), only: only.cloned(), programs }, &mut std::io::stdout())
}

/// Builds the peers, beside the programs of this workspace; `None` where they don't build.
fn peers(ours: &Path) -> Option<Programs> {
    let target = ours.parent()?.parent()?.join("peers");
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/Cargo.toml");
    let built = Command::new("cargo")
        .args(["build", "--release", "--locked", "--manifest-path", manifest, "--target-dir"])
        .arg(&target)
        .status();
    let program = |name: &str| target.join("release").join(name);
    built.is_ok_and(|status| status.success()).then(|| Programs {
        plain: program("peers"),
        counting: program("peers-counting"),
        ways: ["genai 0.7", "rig 0.44"].map(str::to_owned).to_vec(),
    })
}
