//! The fuzzer's corpora, replayed by ordinary tests: what was found once is tried by everybody who has
//! no fuzzer at hand. Included by `tests/fuzz_corpus.rs` of the crates that hold the bodies.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of a target's inputs.
fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target)
}

/// Feeds every input to the body; how many there were.
pub(crate) fn replay(target: &str, body: fn(&[u8])) -> usize {
    let mut inputs: Vec<PathBuf> =
        fs::read_dir(corpus(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    for input in &inputs {
        let bytes = fs::read(input).unwrap();
        // A body that fails says why, but not on which input.
        println!("{}", input.display());
        body(&bytes);
    }
    inputs.len()
}

/// An input that today's code made: the corpus must hold it as it is (`UPDATE=1` writes it anew), and
/// the body must like it.
pub(crate) fn hold(target: &str, name: &str, bytes: &[u8], body: fn(&[u8])) {
    let path = corpus(target).join(name);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(corpus(target)).unwrap();
        fs::write(&path, bytes).unwrap();
    }
    assert!(fs::read(&path).unwrap() == bytes, "{name} is not what is written today");
    body(bytes);
}
