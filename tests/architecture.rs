//! What the house plan promises of the crates: who may know whom, and what is on nowhere. Read from `cargo metadata`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails loudly")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

fn metadata() -> Metadata {
    MetadataCommand::new().manifest_path(root().join("Cargo.toml")).exec().unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every crate that a member reaches by normal dependencies, by name.
fn reaches(metadata: &Metadata, member: &str) -> BTreeSet<String> {
    let names: HashMap<&PackageId, &str> =
        metadata.packages.iter().map(|one| (&one.id, one.name.as_str())).collect();
    let nodes: HashMap<&PackageId, _> =
        metadata.resolve.as_ref().unwrap().nodes.iter().map(|node| (&node.id, node)).collect();
    let start = metadata.workspace_packages().into_iter().find(|one| one.name.as_str() == member).unwrap();
    let (mut seen, mut open) = (BTreeSet::new(), vec![&start.id]);
    while let Some(id) = open.pop() {
        for dependency in &nodes[id].deps {
            let normal = dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
            if normal && seen.insert(names[&dependency.pkg].to_owned()) {
                open.push(&dependency.pkg);
            }
        }
    }
    seen
}

/// The direct normal dependencies of each member.
fn direct(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    let members = metadata.workspace_packages().into_iter();
    members
        .map(|package| {
            let normal = package.dependencies.iter().filter(|one| one.kind == DependencyKind::Normal);
            (package.name.to_string(), normal.map(|one| one.name.clone()).collect())
        })
        .collect()
}

#[test]
fn the_contract_reaches_no_runtime_no_http_client_and_no_configuration_library() {
    let reached = reaches(&metadata(), "modelswitch-provider");
    for banned in ["tokio", "reqwest", "async-openai", "tower", "figment", "hyper"] {
        assert!(!reached.contains(banned), "{banned}");
    }
}

#[test]
fn arrows_only_point_down() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("modelswitch-provider", &[][..]),
        ("modelswitch-sim", &["modelswitch-provider"]),
        ("modelswitch-layers", &["modelswitch-provider"]),
        ("modelswitch-openai", &["modelswitch-provider"]),
        ("modelswitch-deepseek", &["modelswitch-provider", "modelswitch-openai", "modelswitch-layers"]),
        (
            "modelswitch-registry",
            &["modelswitch-provider", "modelswitch-openai", "modelswitch-layers", "modelswitch-deepseek"],
        ),
    ]);
    for (member, dependencies) in direct(&metadata()) {
        let Some(allowed) = allowed.get(member.as_str()) else { continue };
        for dependency in dependencies.iter().filter(|one| one.starts_with("modelswitch")) {
            assert!(allowed.contains(&dependency.as_str()), "{member} knows {dependency}");
        }
    }
}

#[test]
fn only_the_adapters_and_the_facade_name_async_openai() {
    for (member, dependencies) in direct(&metadata()) {
        let may = [
            "modelswitch-openai",
            "modelswitch-deepseek",
            "modelswitch",
            "modelswitch-examples",
            "modelswitch-tests",
            "modelswitch-cli",
            "modelswitch-bench",
        ];
        assert!(!dependencies.contains("async-openai") || may.contains(&member.as_str()), "{member}");
    }
}

#[test]
fn the_layers_know_the_contract_alone() {
    let dependencies = direct(&metadata()).remove("modelswitch-layers").unwrap();
    for banned in ["reqwest", "async-openai", "figment", "hyper"] {
        assert!(!dependencies.contains(banned), "{banned}");
    }
}

#[test]
fn byot_and_full_are_on_nowhere_and_no_library_chooses_a_tls_backend() {
    let metadata = metadata();
    let id = &metadata.packages.iter().find(|one| one.name.as_str() == "async-openai").unwrap().id;
    let nodes = &metadata.resolve.as_ref().unwrap().nodes;
    let features: Vec<_> =
        nodes.iter().find(|node| node.id == *id).unwrap().features.iter().map(ToString::to_string).collect();
    for banned in ["byot", "full", "rustls", "native-tls"] {
        assert!(!features.iter().any(|feature| feature == banned), "async-openai/{banned}");
    }
    for package in metadata.workspace_packages() {
        let library = [
            "modelswitch-provider",
            "modelswitch-openai",
            "modelswitch-deepseek",
            "modelswitch-layers",
            "modelswitch-registry",
        ];
        if !library.contains(&package.name.as_str()) {
            continue;
        }
        assert!(
            !package.features.contains_key("default") || package.features["default"].is_empty(),
            "{}",
            package.name
        );
        for dependency in &package.dependencies {
            assert!(
                !dependency.features.iter().any(|feature| feature.contains("tls")),
                "{} asks {} for TLS",
                package.name,
                dependency.name
            );
        }
    }
}

#[test]
fn one_copy_of_async_openai_and_of_reqwest() {
    let metadata = metadata();
    for name in ["async-openai", "reqwest", "http", "hyper", "secrecy"] {
        let copies = metadata.packages.iter().filter(|one| one.name.as_str() == name).count();
        assert_eq!(copies, 1, "{name}");
    }
}

/// What the whole tree may be licensed under; a new licence is a decision.
#[test]
fn every_crate_is_under_a_licence_that_an_app_can_ship() {
    let allowed = [
        "MIT",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "Zlib",
        "Unicode-3.0",
        "0BSD",
        "MPL-2.0",
        "CC0-1.0",
        "Unlicense",
        "BSL-1.0",
        "CDLA-Permissive-2.0",
        "OpenSSL",
        "MIT-0",
        "Apache-2.0 WITH LLVM-exception",
    ];
    for package in metadata().packages {
        let licence = package.license.clone().unwrap_or_default();
        let one_fits = licence.replace('/', " OR ").split(" OR ").any(|choice| {
            choice
                .split(" AND ")
                .all(|one| allowed.contains(&one.trim_matches(|c: char| c == '(' || c == ')' || c == ' ')))
        });
        assert!(one_fits, "{} is under {licence:?}", package.name);
    }
}

#[test]
fn crates_that_were_given_up_are_not_used() {
    let metadata = metadata();
    for banned in ["openssl", "openssl-sys", "serde_yaml", "atty", "async-std", "lazy_static", "structopt"] {
        let used = metadata.packages.iter().any(|one| one.name.as_str() == banned);
        // The resolver lists what an optional feature would bring; only the tree of the members counts.
        let reached = used
            && metadata.workspace_members.iter().any(|id| {
                let name = metadata
                    .packages
                    .iter()
                    .find(|one| one.id == *id)
                    .map(|one| one.name.to_string())
                    .unwrap_or_default();
                // tracing-subscriber, with which the program shows its log, still has it inside.
                let is_excused = banned == "lazy_static" && name == "modelswitch-cli";
                !is_excused && reaches(&metadata, &name).contains(banned)
            });
        assert!(!reached, "{banned}");
    }
}

#[test]
fn only_load_rs_names_figment_and_nothing_is_global() {
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        let code: String =
            text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if file.components().any(|part| part.as_os_str() == "src") && name != "load.rs" {
            assert!(!code.contains("figment::"), "{}", file.display());
        }
        // Whoever listens to a log listens for a whole program: tests have one listener for all their threads.
        let is_test = file.components().any(|part| part.as_os_str() == "tests");
        for global in ["static mut", "lazy_static!", "thread_local!", "#[ctor", "inventory::"] {
            let is_allowed = file.ends_with("architecture.rs") || (is_test && global == "thread_local!");
            assert!(!code.contains(global) || is_allowed, "{global} in {}", file.display());
        }
    }
}

/// The layers spawn nothing and the adapter neither: nothing outlives its call.
#[test]
fn no_task_is_spawned_below_the_registry() {
    for file in sources() {
        let shown = file.to_string_lossy().into_owned();
        let library = [
            "modelswitch-provider/src",
            "modelswitch-openai/src",
            "modelswitch-layers/src",
            "modelswitch-deepseek/src",
        ];
        if library.iter().any(|part| shown.contains(part)) && !shown.contains("tests") {
            let text = fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            assert!(!code.contains("tokio::spawn") && !code.contains("spawn_blocking"), "{shown}");
        }
    }
}

#[test]
fn the_top_level_holds_what_it_should_and_no_more() {
    let allowed = [
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "crates",
        "examples",
        "tests",
        ".ci",
        ".git",
        ".gitignore",
        "clippy.toml",
        "rustfmt.toml",
        "target",
    ];
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(allowed.contains(&name.as_str()), "{name}");
    }
}

fn sources() -> Vec<PathBuf> {
    let (mut found, mut open) =
        (Vec::new(), vec![root().join("crates"), root().join("examples"), root().join("tests")]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}
