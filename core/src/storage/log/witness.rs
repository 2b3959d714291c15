//! What written bytes say, for witnesses beside the log: the simulator's oracles follow what a disk
//! made durable without believing what the log tells about itself.

use super::format::{Found, HEADER_BYTES, Header, decode};
use super::record::LogRecord;
use crate::base::id::ShardId;

/// The records of the whole batches at the start of `bytes`, in order, and whether every byte up to
/// the end belongs to one.
pub fn batch_records(mut bytes: &[u8]) -> (Vec<(ShardId, LogRecord)>, bool) {
    let mut records = Vec::new();
    while HEADER_BYTES <= bytes.len() {
        let Some(header) = Header::read(bytes) else { return (records, false) };
        let body = decode(&header, bytes);
        if !body.whole {
            return (records, false);
        }
        for found in body.records {
            if let Found::Record(group, record, _) = found {
                records.push((group, record));
            }
        }
        bytes = bytes.get(header.span_bytes()..).unwrap_or_default();
    }
    (records, true)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;

    use super::*;
    use crate::base::buggify::Faults;
    use crate::storage::log::{LogConfig, LogFile, LogWriter, recover};

    #[test]
    fn a_witness_reads_what_the_writer_wrote_and_no_torn_batch() {
        let fresh = recover(&BTreeMap::new(), &[], 7, &Faults::default());
        let mut writer = LogWriter::resume(fresh.resume, LogConfig::default());
        let entry = LogRecord::Entry { term: 1, index: 1, payload: Bytes::from_static(b"x") };
        let vote = LogRecord::Vote(Bytes::from_static(b"v"));
        let records = vec![(ShardId(1), entry.clone()), (ShardId(2), vote.clone())];
        let plan = writer.append(records);
        let segment = |file| matches!(file, LogFile::Segment(_));
        let writes: Vec<_> = plan.writes.into_iter().filter(|w| segment(w.file)).collect();
        let read: Vec<_> = writes.iter().flat_map(|w| batch_records(&w.bytes).0).collect();
        assert!(read.contains(&(ShardId(1), entry)), "{read:?}");
        assert!(read.contains(&(ShardId(2), vote)), "{read:?}");
        assert!(writes.iter().all(|w| batch_records(&w.bytes).1));
        for write in writes {
            let torn = &write.bytes[..HEADER_BYTES + 1];
            let (records, whole) = batch_records(torn);
            assert!(records.is_empty() || whole, "{records:?}");
        }
    }
}
