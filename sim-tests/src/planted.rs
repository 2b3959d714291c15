//! Planted bugs: which there are, how long the oracles take to find each, and the tables of it.
//!
//! A bug is found when an oracle that counts ([`Oracle::counts`]) ends a seed. Over three disjoint
//! ranges of seeds the median must be within the budget. The same seeds without a bug must be clean,
//! or the finding proves nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Mutex;

use shardforge_io_sim::FaultClass;

use crate::finding::Oracle;
use crate::scenario::{self, Depth, Finding, Report, Run};

/// A bug that the core carries under the feature `planted`.
#[derive(Clone, Copy, Debug)]
pub struct Bug {
    /// `7` for B07.
    pub number: u16,
    /// What is wrong.
    pub what: &'static str,
    /// Whether the simulator must find it.
    pub required: bool,
}

const fn must(number: u16, what: &'static str) -> Bug {
    Bug { number, what, required: true }
}

const fn may(number: u16, what: &'static str) -> Bug {
    Bug { number, what, required: false }
}

/// All bugs that the core carries; those that must be found first.
pub const BUGS: [Bug; 22] = [
    must(1, "acknowledged before the sync"),
    must(2, "vote granted before it is durable"),
    must(5, "a broken batch below the durable mark is taken for a torn tail"),
    must(7, "commit index without a quorum"),
    must(10, "one conflicting entry too many is kept"),
    must(12, "applied before it is committed"),
    must(13, "applied index in another batch than the data"),
    must(16, "a new leader serves before its no-op"),
    must(38, "a one-phase retry forgets the timestamps it tried"),
    must(42, "no vote gate after a restart"),
    must(44, "openraft's leader restore left on"),
    may(4, "a failed sync is forgotten"),
    may(11, "purged one entry past the applied one"),
    may(15, "a read after a pause does not look at the lease again"),
    may(21, "scanned ranges are not validated"),
    may(22, "some write-write conflicts are ignored"),
    may(23, "some read-write conflicts are ignored"),
    may(24, "reads under the last leader are forgotten"),
    may(31, "a definite error for what may be committed"),
    may(37, "a reader skips a proposal in flight"),
    may(43, "the schema fence is skipped"),
    may(51, "the lease lasts longer than the voters promise"),
];

/// How a campaign is run.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The first seed; two more ranges begin far above it.
    pub base: u64,
    /// Seeds tried for one bug in one range.
    pub seeds: u64,
    /// Threads.
    pub jobs: usize,
    /// Whether a found seed is run again with the finder muted, until nobody speaks.
    pub deep: bool,
    /// Whether the clean tree is run over `seeds` seeds, besides those that were needed.
    pub clean: bool,
    /// Where the traces of all runs go, if anywhere.
    pub traces: Option<PathBuf>,
}

/// Distance between the ranges of seeds.
const RANGE: u64 = 100_000;
/// Ranges.
pub const RANGES: u64 = 3;
/// A long run over clean seeds says after so many that it goes on.
const TELL_EVERY: usize = 100;
/// The median of seeds needed must be at most this.
pub const MEDIAN_MAX: u64 = 50;

/// What became of one bug in one range of seeds.
#[derive(Clone, Debug)]
pub struct Hunt {
    /// The bug.
    pub bug: u16,
    /// The first seed.
    pub base: u64,
    /// Seeds tried, the finding one included.
    pub tried: u64,
    /// The finding.
    pub found: Option<Box<Finding>>,
    /// All oracles that spoke on the finding seed.
    pub oracles: BTreeSet<Oracle>,
    /// Seeds that ended in a panic of the core, which does not count.
    pub panics: u64,
}

/// What a campaign found.
#[derive(Debug, Default)]
pub struct Results {
    /// By bug, one a range.
    pub hunts: BTreeMap<u16, Vec<Hunt>>,
    /// Clean seeds that an oracle flagged.
    pub unclean: Vec<(u64, Box<Finding>)>,
    /// Clean seeds.
    pub clean: Vec<Report>,
}

/// Runs one seed, and leaves its trace where the campaign wants it.
fn traced(run: &Run, campaign: &Campaign) -> Result<Report, Box<Finding>> {
    let Some(folder) = &campaign.traces else { return scenario::run(run) };
    let result = scenario::run(&Run { record: true, ..run.clone() });
    let lines = match &result {
        Ok(report) => &report.lines,
        Err(finding) => &finding.lines,
    };
    let what = run.bug.map_or("clean".to_owned(), |bug| format!("B{bug:02}"));
    // A trace is for people: a run without one proves as much.
    let _ = std::fs::write(folder.join(format!("{what}-{}.trace", run.seed)), lines.join("\n"));
    result
}

/// Hunts one bug in one range.
fn hunt(bug: u16, base: u64, campaign: &Campaign) -> Hunt {
    let mut hunt = Hunt { bug, base, tried: 0, found: None, oracles: BTreeSet::new(), panics: 0 };
    for seed in base..base + campaign.seeds {
        hunt.tried += 1;
        let run = Run { bug: Some(bug), ..Run::of(seed, Depth::Everything) };
        match traced(&run, campaign) {
            Ok(_) => {}
            Err(finding) if finding.violation.oracle.counts() => {
                hunt.oracles.insert(finding.violation.oracle);
                if campaign.deep {
                    hunt.oracles.extend(others(&run, finding.violation.oracle));
                }
                hunt.found = Some(finding);
                break;
            }
            Err(_) => hunt.panics += 1,
        }
    }
    hunt
}

/// Who else speaks on a seed once the finder is muted.
fn others(run: &Run, finder: Oracle) -> BTreeSet<Oracle> {
    let mut muted = BTreeSet::from([finder]);
    loop {
        match scenario::run(&Run { muted: muted.clone(), ..run.clone() }) {
            Err(finding) if finding.violation.oracle.counts() => {
                muted.insert(finding.violation.oracle);
            }
            Ok(_) | Err(_) => return muted,
        }
    }
}

/// Shares jobs among threads; `done` is told of each result as it comes.
fn share<J: Send, R: Send>(
    jobs: Vec<J>,
    threads: usize,
    work: impl Fn(J) -> R + Sync,
    done: impl FnMut(R) + Send,
) {
    let (jobs, done) = (Mutex::new(jobs.into_iter()), Mutex::new(done));
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let next = jobs.lock().ok().and_then(|mut jobs| jobs.next());
                    let Some(job) = next else { return };
                    let result = work(job);
                    if let Ok(mut done) = done.lock() {
                        done(result);
                    }
                }
            });
        }
    });
}

/// Hunts all `bugs`, then runs the clean tree over every seed that was needed.
pub fn run(bugs: &[u16], campaign: &Campaign, mut told: impl FnMut(&str) + Send) -> Results {
    let mut results = Results::default();
    let bases = (0..RANGES).map(|range| campaign.base + range * RANGE);
    let jobs = bugs.iter().flat_map(|bug| bases.clone().map(|base| (*bug, base))).collect();
    let hunts = &mut results.hunts;
    share(
        jobs,
        campaign.jobs,
        |(bug, base)| hunt(bug, base, campaign),
        |hunt: Hunt| {
            told(&line(&hunt));
            hunts.entry(hunt.bug).or_default().push(hunt);
        },
    );
    let mut seeds = BTreeSet::new();
    if campaign.clean {
        seeds.extend(campaign.base..campaign.base + campaign.seeds);
    }
    for hunt in results.hunts.values().flatten() {
        seeds.extend(hunt.base..hunt.base + hunt.tried);
    }
    let clean = |seed| (seed, traced(&Run::of(seed, Depth::Everything), campaign));
    share(seeds.into_iter().collect(), campaign.jobs, clean, |(seed, result)| match result {
        Ok(report) => {
            results.clean.push(report);
            if results.clean.len().is_multiple_of(TELL_EVERY) {
                told(&format!("{} seeds clean", results.clean.len()));
            }
        }
        Err(finding) => {
            told(&format!("clean seed {seed}: {}", short(&finding.violation.to_string())));
            results.unclean.push((seed, finding));
        }
    });
    results
}

fn short(text: &str) -> String {
    let first = text.lines().next().unwrap_or_default();
    first.chars().take(160).collect()
}

fn line(hunt: &Hunt) -> String {
    let Hunt { bug, base, tried, found, panics, .. } = hunt;
    match found {
        None => format!("B{bug:02} from seed {base}: not found in {tried} seeds, {panics} panics"),
        Some(finding) => format!(
            "B{bug:02} from seed {base}: {tried} seeds, at {}, {}",
            finding.at,
            short(&finding.violation.to_string())
        ),
    }
}

/// The median of seeds needed; `None` if a range did not find it.
pub fn median(hunts: &[Hunt]) -> Option<u64> {
    let mut needed: Vec<u64> =
        hunts.iter().filter(|hunt| hunt.found.is_some()).map(|hunt| hunt.tried).collect();
    if needed.len() < hunts.len() || needed.is_empty() {
        return None;
    }
    needed.sort_unstable();
    Some(needed[needed.len() / 2])
}

impl Results {
    /// Whether every required bug that was hunted was found within its budget, and the clean tree is
    /// clean.
    pub fn passed(&self) -> bool {
        let required = |bug: &u16| BUGS.iter().any(|b| b.number == *bug && b.required);
        let found = self.hunts.iter().filter(|(bug, _)| required(bug));
        let mut found = found.map(|(_, hunts)| median(hunts));
        found.all(|median| median.is_some_and(|n| n <= MEDIAN_MAX)) && self.unclean.is_empty()
    }

    /// The tables.
    pub fn tables(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_tables(&mut out);
        out
    }

    fn write_tables(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "bug   median  seeds of each range  what")?;
        for (bug, hunts) in &self.hunts {
            let median = median(hunts).map_or("-".to_owned(), |n| n.to_string());
            let what = BUGS.iter().find(|b| b.number == *bug).map_or("", |b| b.what);
            let mut each: Vec<(u64, String)> = hunts
                .iter()
                .map(|h| (h.base, if h.found.is_some() { h.tried.to_string() } else { "-".into() }))
                .collect();
            each.sort();
            let each: Vec<String> = each.into_iter().map(|(_, n)| n).collect();
            writeln!(out, "B{bug:02}  {median:>6}  {:<19}  {what}", each.join(" "))?;
        }
        writeln!(out, "\nbug x oracle: ranges in which it spoke")?;
        self.matrix(out, &Oracle::ALL, |hunt, oracle| hunt.oracles.contains(oracle))?;
        writeln!(out, "\nbug x fault: ranges in which the class was on when it was found")?;
        let classes: Vec<FaultClass> =
            FaultClass::EVENTS.into_iter().chain(FaultClass::WEATHER).collect();
        self.matrix(out, &classes, |hunt, class| {
            hunt.found.as_ref().is_some_and(|finding| finding.classes.contains(class))
        })?;
        let committed: usize = self.clean.iter().map(|report| report.committed).sum();
        let inputs: u64 = self.clean.iter().map(|report| report.inputs).sum();
        let simulated: f64 = self.clean.iter().map(|report| report.simulated_s).sum();
        writeln!(
            out,
            "\nclean tree: {} seeds clean, {} not; {committed} transactions, {inputs} inputs in \
             {simulated:.0} simulated s",
            self.clean.len(),
            self.unclean.len()
        )
    }

    /// One row a column's name, one column a bug: names are long, bugs are short.
    fn matrix<C: std::fmt::Debug>(
        &self,
        out: &mut String,
        columns: &[C],
        has: impl Fn(&Hunt, &C) -> bool,
    ) -> std::fmt::Result {
        write!(out, "{:<22}", "")?;
        for bug in self.hunts.keys() {
            write!(out, " B{bug:02}")?;
        }
        writeln!(out)?;
        for column in columns {
            write!(out, "{:<22}", format!("{column:?}"))?;
            for hunts in self.hunts.values() {
                match hunts.iter().filter(|hunt| has(hunt, column)).count() {
                    0 => write!(out, "   .")?,
                    n => write!(out, " {n:>3}")?,
                }
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hunt(tried: u64, found: bool) -> Hunt {
        let violation = crate::finding::Violation::new(Oracle::Bank, "");
        let finding = Finding {
            violation,
            classes: Vec::new(),
            heard: BTreeSet::new(),
            at: shardforge_core::base::time::Mono::ZERO,
            lines: Vec::new(),
        };
        let found = found.then(|| Box::new(finding));
        Hunt { bug: 7, base: 0, tried, found, oracles: BTreeSet::new(), panics: 0 }
    }

    #[test]
    fn a_median_needs_every_range() {
        assert_eq!(median(&[hunt(9, true), hunt(1, true), hunt(4, true)]), Some(4));
        assert_eq!(median(&[hunt(9, true), hunt(50, false), hunt(4, true)]), None);
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn a_required_bug_that_is_missed_or_late_fails_the_campaign() {
        let results = |hunts: Vec<Hunt>| Results {
            hunts: BTreeMap::from([(7, hunts)]),
            ..Results::default()
        };
        assert!(results(vec![hunt(50, true)]).passed());
        assert!(!results(vec![hunt(51, true)]).passed());
        assert!(!results(vec![hunt(3, false)]).passed());
    }

    #[test]
    fn the_catalogue_names_each_bug_once() {
        let numbers: BTreeSet<u16> = BUGS.iter().map(|bug| bug.number).collect();
        assert_eq!(numbers.len(), BUGS.len());
        assert_eq!(BUGS.iter().filter(|bug| bug.required).count(), 11);
    }
}
