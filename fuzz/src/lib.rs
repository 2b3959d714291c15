//! Bodies of the fuzz targets: plain functions from bytes to nothing, which panic when they find
//! something.
//!
//! A target in `fuzz_targets/` calls one of them; ordinary tests call the same ones over the corpus,
//! so that what was found once is replayed by everybody who has no fuzzer at hand.
