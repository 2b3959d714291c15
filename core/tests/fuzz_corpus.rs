//! The fuzzer's corpora, replayed: what was found once is tried by everybody who has no fuzzer at
//! hand. Bodies are in `sql::fuzz` and `storage::log`, inputs under `fuzz/corpus/<target>/`.

#[path = "../../fuzz/replay.rs"]
mod replay;

use bytes::Bytes;
use shardforge_core::base::buggify::Faults;
use shardforge_core::base::id::ShardId;
use shardforge_core::base::time::Mono;
use shardforge_core::sql::fuzz::sql_text;
use shardforge_core::storage::log::{
    LogConfig, LogFile, LogRecord, LogWriter, NODE, log_segment, log_segment_input, recover,
};

use crate::replay::{hold, replay};

#[test]
fn sql_text_corpus() {
    assert!(30 < replay("sql_text", sql_text));
}

#[test]
fn log_segment_corpus() {
    assert!(4 < replay("log_segment", log_segment));
}

/// A log as a node leaves it: how many batches, and how large a segment may be.
fn written(batches: u64, segment_bytes: u64) -> Vec<u8> {
    let fresh = recover(&std::collections::BTreeMap::new(), &[], 77, &Faults::default());
    let config = LogConfig { segment_bytes, batch_bytes_max: 24 << 10, segments_max: 2 };
    let mut writer = LogWriter::resume(fresh.resume, config);
    let mut segments: Vec<Vec<u8>> = Vec::new();
    let mut votes = [Vec::new(), Vec::new()];
    for batch in 1..=batches {
        let group = ShardId(batch as u32 % 2);
        let index = (batch - 1) / 2;
        let payload = Bytes::from(vec![batch as u8; 20]);
        let mut records = vec![(group, LogRecord::Entry { term: 1, index, payload })];
        match batch {
            1 => records.push((NODE, LogRecord::NodeMeta { key: 1, bytes: "node".into() })),
            2 => records.push((group, LogRecord::Vote("vote".into()))),
            5 => records.push((group, LogRecord::Purge { term: 1, index: index - 1 })),
            6 => records.push((group, LogRecord::Truncate { from: index })),
            _ => {}
        }
        let plan = writer.append(records);
        for write in plan.writes {
            let file = match write.file {
                LogFile::Votes(slot) => &mut votes[usize::from(slot)],
                LogFile::Segment(id) => {
                    segments.resize(segments.len().max(id as usize), Vec::new());
                    &mut segments[id as usize - 1]
                }
            };
            let (at, end) = (write.offset as usize, write.offset as usize + write.bytes.len());
            file.resize(file.len().max(end), 0);
            file[at..end].copy_from_slice(&write.bytes);
        }
        writer.persisted(Mono::ZERO, plan.ticket);
    }
    let segments: Vec<&[u8]> = segments.iter().map(Vec::as_slice).collect();
    log_segment_input([&votes[0], &votes[1]], &segments)
}

/// The first seeds of the corpus are logs of today's writer: if one differs, the format has changed
/// (`UPDATE=1` writes them anew; the old ones are then inputs of an earlier version, keep them too).
#[test]
fn seeds_are_logs_of_this_version() {
    let torn = |mut log: Vec<u8>| {
        log.truncate(log.len() - 5_000);
        log
    };
    let seeds = [
        ("one_batch", written(1, 64 << 10)),
        ("four_batches", written(4, 64 << 10)),
        ("two_segments", written(7, 16 << 10)),
        ("torn", torn(written(4, 64 << 10))),
    ];
    for (name, bytes) in seeds {
        hold("log_segment", name, &bytes, log_segment);
    }
}
