//! The fixed seeds of the repository: every oracle is content, and the same seed gives the same trace.
//!
//! Seeds that once failed are in `seeds.txt`; they run here too.

use sim_tests::scenario::{self, Depth, Report, Run};

const ONCE_FAILED: &str = include_str!("../../seeds.txt");

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

fn run(seed: u64) -> Report {
    let folder = std::env::var("SIM_TRACE").ok();
    let run = Run { record: folder.is_some(), ..Run::of(seed, Depth::Everything) };
    let result = scenario::run(&run);
    if let Some(folder) = folder {
        let lines = match &result {
            Ok(report) => &report.lines,
            Err(finding) => &finding.lines,
        };
        let path = format!("{folder}/standard_seeds-{seed}.trace");
        std::fs::write(&path, lines.join("\n")).expect("SIM_TRACE is a folder");
    }
    result.unwrap_or_else(|finding| {
        panic!(
            "seed {seed} at {}, faults {:?}: {}\nreplay: SIM_SEED={seed} cargo test -p sim-tests \
             --test world standard_seeds",
            finding.at, finding.classes, finding.violation
        )
    })
}

/// Runs seeds on `SIM_JOBS` threads.
fn run_all(seeds: &[u64]) -> Vec<Report> {
    let jobs = number("SIM_JOBS", 2).clamp(1, 64);
    let workers: Vec<_> = (0..jobs)
        .map(|job| {
            let mine = seeds.iter().copied().enumerate().filter(|(n, _)| *n as u64 % jobs == job);
            let mine: Vec<u64> = mine.map(|(_, seed)| seed).collect();
            std::thread::spawn(move || mine.into_iter().map(run).collect::<Vec<Report>>())
        })
        .collect();
    let mut reports = Vec::new();
    for worker in workers {
        match worker.join() {
            Ok(more) => reports.extend(more),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    reports
}

/// `SIM_SEED` replays one; `SIM_SEEDS` and `SIM_BASE` widen; `SIM_JOBS` threads share them.
#[test]
fn standard_seeds() {
    let (base, count) = match std::env::var("SIM_SEED") {
        Ok(seed) => (seed.parse().expect("SIM_SEED is a number"), 1),
        Err(_) => (number("SIM_BASE", 0), number("SIM_SEEDS", 4)),
    };
    let seeds: Vec<u64> = (base..base + count).collect();
    let began = std::time::Instant::now();
    let reports = run_all(&seeds);
    let committed: usize = reports.iter().map(|report| report.committed).sum();
    let faults: u64 = reports.iter().map(|report| report.faults).sum();
    let simulated: f64 = reports.iter().map(|report| report.simulated_s).sum();
    let mut errors = std::collections::BTreeMap::new();
    for (state, count) in reports.iter().flat_map(|report| &report.errors) {
        *errors.entry(state).or_insert(0u64) += count;
    }
    let inputs: u64 = reports.iter().map(|report| report.inputs).sum();
    let (n, took) = (reports.len(), began.elapsed().as_secs_f64());
    println!(
        "{n} seeds: {committed} transactions acknowledged, {faults} faults, {simulated:.0} simulated s \
         in {took:.0} s, errors {errors:?}\n\
         {:.0} transactions and {:.0} inputs a simulated second, {:.1} times real time",
        committed as f64 / simulated,
        inputs as f64 / simulated,
        simulated / took
    );
    assert!(500 * n <= committed, "the workload was starved, so this proves little");
    assert!(3 * n as u64 <= faults, "hardly anything broke, so this proves little");
    assert!(20.0 * n as f64 <= simulated, "the seeds are too short");
}

#[test]
fn seeds_that_once_failed_pass() {
    let line = |line: &str| {
        let seed = line.split_whitespace().next().expect("a line is not empty");
        seed.parse::<u64>().expect("a line begins with its seed")
    };
    let lines = ONCE_FAILED.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    run_all(&lines.map(line).collect::<Vec<u64>>());
}

#[test]
fn same_seed_same_trace() {
    let (first, second) = (run(3), run(3));
    assert_eq!(first.trace, second.trace);
    assert!(1_000 < first.trace.1, "the trace is empty");
}
