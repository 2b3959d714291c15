//! What the core may be linked with: cargo's own word on the dependency tree.
//!
//! The house rules (`house.rs`) read our sources; this test reads what stands behind them. It asks
//! `cargo tree`, because only that resolves features for one package alone: `cargo metadata` shows
//! the union over the workspace, where io-real's tokio would hide a mistake of the core.
//!
//! # Invariants
//!
//! * No runtime, transport, storage engine or threading crate is reachable from the core.
//! * What can read a clock or the system's randomness is reachable through openraft alone, which
//!   asks its runtime for both (the stepped one); the core itself never names it.
//! * Every licence is on the list that `deny.toml` also has.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::process::Command;

/// Crates that bring threads, sockets, files, an async runtime or C++ with them.
const BANNED: &[&str] = &[
    "async-io",
    "async-std",
    "axum",
    "crossbeam-channel",
    "futures-executor",
    "h2",
    "hyper",
    "madsim",
    "mio",
    "native-tls",
    "openssl",
    "polling",
    "rayon",
    "ring",
    "rocksdb",
    "rustix",
    "rustls",
    "signal-hook-registry",
    "smol",
    "socket2",
    "tempfile",
    "tokio",
    "tonic",
    "turmoil",
];

/// Impure crates that others bring, with the only crates that may ask for them.
///
/// openraft formats wall times in its metrics (chrono) and bounds its runtime trait by rand's
/// generator; the clock and the generator it *uses* are those of our stepped runtime. stacker maps
/// memory for the walk of a deep expression: the same walk with and without it.
const TOLERATED: &[(&str, &[&str])] = &[
    ("chrono", &["chrono-tz", "display-more", "openraft", "openraft-macros"]),
    ("getrandom", &["rand"]),
    ("iana-time-zone", &["chrono"]),
    ("libc", &["getrandom", "iana-time-zone", "stacker"]),
    ("rand", &["openraft", "openraft-rt"]),
    ("stacker", &["recursive", "shardforge-core"]),
];

/// Licences that need no more than a notice. The same list as in `deny.toml`.
const LICENCES: &[&str] = &[
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates whose licence was looked at one by one. The same list as in `deny.toml`.
const LICENCE_EXCEPTIONS: &[(&str, &str)] = &[("x509-certificate", "MPL-2.0")];

#[test]
fn the_core_links_nothing_impure() {
    let tree = tree(&["-p", "shardforge-core", "-e", "normal", "--no-dedupe"]);
    let parents = parents_by_crate(&tree);
    assert!(parents.contains_key("openraft"), "the tree was not read: {parents:?}");

    for banned in BANNED {
        let by = parents.get(*banned);
        assert!(by.is_none(), "the core must not reach {banned}, but {by:?} asks for it");
    }
    for (tolerated, allowed) in TOLERATED {
        for by in parents.get(*tolerated).into_iter().flatten() {
            assert!(
                allowed.contains(&by.as_str()),
                "{tolerated} is tolerated below {allowed:?} only, but {by} asks for it"
            );
        }
    }
}

#[test]
fn the_core_forbids_unsafe_code() {
    let source = include_str!("../src/lib.rs");
    assert!(source.lines().any(|line| line == "#![forbid(unsafe_code)]"));
}

#[test]
fn every_licence_is_on_the_list() {
    let tree = tree(&["--workspace", "-e", "normal,build,dev"]);
    let mut crates = BTreeSet::new();
    for line in &tree {
        crates.insert((line.name.as_str(), line.licence.as_str()));
    }
    assert!(100 < crates.len(), "the tree was not read: {} crates", crates.len());

    for (name, licence) in crates {
        let excepted = LICENCE_EXCEPTIONS.contains(&(name, licence));
        assert!(excepted || is_allowed(licence), "{name}: licence {licence:?} is not on the list");
    }
}

#[test]
fn the_licence_list_is_that_of_cargo_deny() {
    let deny = include_str!("../../deny.toml");
    let list = deny.split("\nallow = [\n").nth(1).and_then(|rest| rest.split("\n]").next());
    let list: Vec<&str> = list
        .expect("deny.toml has no list of licences")
        .lines()
        .map(|line| line.trim().trim_end_matches(',').trim_matches('"'))
        .collect();
    assert_eq!(list, LICENCES);
    for (name, licence) in LICENCE_EXCEPTIONS {
        let exception = format!("{{ allow = [\"{licence}\"], crate = \"{name}\" }}");
        assert!(deny.contains(&exception), "deny.toml lacks {exception}");
    }
}

#[test]
fn licence_expressions_are_understood() {
    for good in ["MIT", "MIT/Apache-2.0", "GPL-3.0 OR MIT", "(MIT OR GPL-3.0) AND Unicode-3.0"] {
        assert!(is_allowed(good), "{good}");
    }
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0", "MPL-2.0"] {
        assert!(!is_allowed(bad), "{bad}");
    }
}

/// One line of `cargo tree`.
struct Line {
    depth: usize,
    name: String,
    licence: String,
}

fn tree(arguments: &[&str]) -> Vec<Line> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--prefix", "depth", "--format", "|{p}|{l}|"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree failed: {errors}");
    let text = String::from_utf8(output.stdout).expect("cargo prints UTF-8");
    text.lines().filter_map(parse_line).collect()
}

/// `2|serde v1.0.229|MIT OR Apache-2.0|`. Cargo also prints headings: `[build-dependencies]`.
fn parse_line(line: &str) -> Option<Line> {
    let mut fields = line.split('|');
    let depth = fields.next()?.parse().ok()?;
    let name = fields.next()?.split(' ').next()?.to_owned();
    let licence = fields.next()?.to_owned();
    Some(Line { depth, name, licence })
}

/// Which crates ask for each crate.
fn parents_by_crate(tree: &[Line]) -> BTreeMap<String, BTreeSet<String>> {
    let mut parents: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut path: Vec<&str> = Vec::new();
    for line in tree {
        path.truncate(line.depth);
        if let Some(parent) = path.last() {
            parents.entry(line.name.clone()).or_default().insert((*parent).to_owned());
        }
        path.push(&line.name);
    }
    parents
}

/// An SPDX expression is allowed if some choice of its alternatives needs only listed licences.
///
/// Enough of SPDX for crates.io: `AND` over `OR` groups, with at most one level of brackets.
fn is_allowed(expression: &str) -> bool {
    expression.split(" AND ").all(|group| {
        let group = group.trim().trim_matches(['(', ')']).replace('/', " OR ");
        group.split(" OR ").any(|licence| LICENCES.contains(&licence.trim()))
    })
}
