//! The thread that makes the log durable.
//!
//! Everything that gathered while one `fdatasync` ran shares the next: group commit without a
//! timer.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use shardforge_core::storage::log::{LogFile, LogWrite};

use super::files::LogFiles;
use crate::metrics::LogMetrics;

/// A sync that takes longer holds up whoever commits: the log says so.
const SLOW_SYNC: Duration = Duration::from_millis(500);

/// What became of appends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LogReport {
    /// Everything up to this ticket is durable.
    Persisted {
        /// The newest one.
        ticket: u64,
    },
    /// A write or sync failed. This is the last report: the process must end with code 74.
    Failed {
        /// What the system said.
        reason: String,
        /// Whether for lack of space.
        disk_full: bool,
    },
}

enum Job {
    Append(u64, Vec<LogWrite>),
    Retire(Vec<u64>),
    Close,
}

/// The log of a node, as its driver sees it.
#[derive(Debug)]
pub struct LogSync {
    jobs: Sender<Job>,
    thread: Option<JoinHandle<()>>,
}

impl LogSync {
    /// Starts the thread. `report` is called from it and must be quick.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn start(
        files: LogFiles,
        counters: LogMetrics,
        report: impl Fn(LogReport) + Send + 'static,
    ) -> io::Result<Self> {
        let (jobs, inbox) = channel();
        let run = move || run(files, &inbox, &counters, report);
        let thread = thread::Builder::new().name("log-sync".into()).spawn(run)?;
        Ok(Self { jobs, thread: Some(thread) })
    }

    /// Writes and syncs, off this thread.
    pub fn append(&self, ticket: u64, writes: Vec<LogWrite>) {
        // After a failure the thread is gone, and its last report said so.
        let _ = self.jobs.send(Job::Append(ticket, writes));
    }

    /// Gives up segments once all earlier appends are durable.
    pub fn retire(&self, segments: Vec<u64>) {
        let _ = self.jobs.send(Job::Retire(segments));
    }

    /// Finishes what was handed in and ends the thread.
    pub fn close(&mut self) {
        let _ = self.jobs.send(Job::Close);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for LogSync {
    fn drop(&mut self) {
        self.close();
    }
}

/// What one sync makes durable.
#[derive(Default)]
struct Gathered {
    ticket: Option<u64>,
    /// Whether there is more than seals.
    commits: bool,
    retired: Vec<u64>,
    closing: bool,
}

fn run(
    mut files: LogFiles,
    inbox: &Receiver<Job>,
    counters: &LogMetrics,
    report: impl Fn(LogReport),
) {
    while let Ok(first) = inbox.recv() {
        let mut gathered = Gathered::default();
        let mut result = gathered.take(first, &mut files, counters);
        while let Ok(job) = inbox.try_recv() {
            result = result.and_then(|()| gathered.take(job, &mut files, counters));
        }
        let result = result.and_then(|()| finish(&gathered, &mut files, counters));
        match (result, gathered.ticket) {
            (Ok(()), Some(ticket)) => report(LogReport::Persisted { ticket }),
            (Ok(()), None) => {}
            (Err(error), _) => {
                let disk_full = error.kind() == io::ErrorKind::StorageFull;
                return report(LogReport::Failed { reason: error.to_string(), disk_full });
            }
        }
        if gathered.closing {
            return;
        }
    }
}

impl Gathered {
    fn take(&mut self, job: Job, files: &mut LogFiles, counters: &LogMetrics) -> io::Result<()> {
        match job {
            Job::Append(ticket, writes) => {
                self.ticket = Some(ticket);
                self.commits |= !writes.iter().all(is_seal);
                for write in &writes {
                    counters.bytes.inc_by(write.bytes.len() as u64);
                    files.write(write)?;
                }
            }
            Job::Retire(segments) => self.retired.extend(segments),
            Job::Close => self.closing = true,
        }
        Ok(())
    }
}

fn finish(gathered: &Gathered, files: &mut LogFiles, counters: &LogMetrics) -> io::Result<()> {
    let start = Instant::now();
    let calls = files.sync()?;
    if 0 < calls {
        let took = start.elapsed();
        if SLOW_SYNC <= took {
            tracing::warn!(ms = took.as_millis(), "a sync of the log was slow: look at the disk");
        }
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        counters.sync_ns.inc_by(ns);
        let longest = i64::try_from(ns).unwrap_or(i64::MAX);
        if counters.sync_ns_max.get() < longest {
            counters.sync_ns_max.set(longest);
        }
        let counter = if gathered.commits { &counters.syncs } else { &counters.seal_syncs };
        counter.inc_by(calls);
    }
    files.retire(&gathered.retired)
}

/// A seal is a batch header with that flag (`docs/FORMATS.md`).
fn is_seal(write: &LogWrite) -> bool {
    matches!(write.file, LogFile::Segment(_))
        && write.bytes.starts_with(b"SFLB")
        && write.bytes.get(7).is_some_and(|flags| flags & 1 != 0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::mpsc;

    use bytes::Bytes;
    use shardforge_core::base::buggify::Faults;
    use shardforge_core::base::id::ShardId;
    use shardforge_core::base::time::Mono;
    use shardforge_core::storage::log::{
        AppendPlan, LogConfig, LogRecord, LogWriter, SEAL_AFTER, Trust, Verdict, recover,
    };

    use super::super::files::tests::TempDir;
    use super::*;

    fn entry(index: u64) -> Vec<(ShardId, LogRecord)> {
        let payload = Bytes::from(vec![index as u8; 200]);
        vec![(ShardId(1), LogRecord::Entry { term: 1, index, payload })]
    }

    fn wait(reports: &mpsc::Receiver<LogReport>, ticket: u64) {
        loop {
            match reports.recv() {
                Ok(LogReport::Persisted { ticket: done }) if done == ticket => return,
                Ok(LogReport::Persisted { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn the_log_comes_back_from_real_files_life_after_life() {
        let dir = TempDir::new("sync");
        let counters = LogMetrics::default();
        for life in 0u64..3 {
            let (files, image) = LogFiles::open(dir.path()).unwrap();
            let found = recover(&image.segments, &image.vote_files, 5, &Faults::default());
            assert_eq!(found.verdict, Verdict::Clean);
            let entries = found.groups.get(&ShardId(1)).map_or(0, |g| {
                assert_eq!(g.trust, Trust::Whole);
                g.entries.len() as u64
            });
            assert_eq!(entries, life * 20);
            let mut writer = LogWriter::resume(found.resume, LogConfig::default());
            let (sender, reports) = mpsc::channel();
            let report = move |r| drop(sender.send(r));
            let mut log = LogSync::start(files, counters.clone(), report).unwrap();
            let hand_in = |plan: AppendPlan| {
                log.append(plan.ticket, plan.writes);
                wait(&reports, plan.ticket);
                plan.ticket
            };
            for index in 0..20 {
                let ticket = hand_in(writer.append(entry(life * 20 + index)));
                writer.persisted(Mono::ZERO, ticket);
            }
            let seal = writer.seal(Mono::ZERO + SEAL_AFTER).unwrap();
            hand_in(seal);
            log.close();
        }
        // One sync an append, one of the vote file a life.
        assert_eq!(counters.syncs.get(), 63);
        assert_eq!(counters.seal_syncs.get(), 3);
    }

    #[test]
    fn appends_that_wait_share_a_sync_and_a_failure_ends_it() {
        let dir = TempDir::new("group");
        let (files, _) = LogFiles::open(dir.path()).unwrap();
        let counters = LogMetrics::default();
        let (sender, reports) = mpsc::channel();
        let (hold, held) = mpsc::channel::<()>();
        let report = move |r| {
            drop(sender.send(r));
            let _ = held.recv();
        };
        let log = LogSync::start(files, counters.clone(), report).unwrap();
        let found = recover(&BTreeMap::new(), &[], 5, &Faults::default());
        let mut writer = LogWriter::resume(found.resume, LogConfig::default());
        for index in 0..11 {
            let plan = writer.append(entry(index));
            log.append(plan.ticket, plan.writes);
            if index == 0 {
                // The thread is in its report: the other ten gather.
                assert_eq!(reports.recv(), Ok(LogReport::Persisted { ticket: 1 }));
            }
        }
        drop(hold);
        wait(&reports, 11);
        assert_eq!(counters.syncs.get(), 3, "two files first, then one for ten appends");
        std::fs::remove_dir_all(dir.path()).unwrap();
        let file = LogFile::Segment(9);
        log.append(12, vec![LogWrite { file, offset: 0, bytes: Bytes::from_static(b"x") }]);
        let failed = reports.recv();
        assert!(matches!(failed, Ok(LogReport::Failed { disk_full: false, .. })), "{failed:?}");
        log.append(13, Vec::new());
        assert!(reports.recv().is_err(), "nothing is reported after a failure");
    }
}
