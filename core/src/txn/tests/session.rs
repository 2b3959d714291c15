//! What a session relies on, one sentence at a time.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::world::{SYSTEM_TABLE, TABLE, World, get, hash_of, key, place};
use crate::base::buggify::Faults;
use crate::base::id::{Epoch, Incarnation, IndexId, NodeId, SYSTEM_SHARD, ShardId, TxnId};
use crate::base::key::{Key, Span};
use crate::base::timestamp::Timestamp;
use crate::mvcc::load::LoadPacker;
use crate::replica::error::ReplicaError;
use crate::replica::request::{
    GetBody, IngestBody, LockMode, RequestBody, ShardRequest, ShardResponse, TxnRef, Wait,
};
use crate::shard::routing::{Place, Route};
use crate::txn::error::TxnError;
use crate::txn::transaction::Transaction;
use crate::txn::types::{
    BulkRow, Found, GetRequest, Isolation, LockWait, RowWrite, ScanRequest, TxnOptions, WriteKind,
};

fn world() -> World {
    World::new(7, 1, &Faults::default())
}

fn begin(world: &World) -> Transaction {
    world.source.begin(TxnOptions::default())
}

fn begin_rc(world: &World) -> Transaction {
    let isolation = Isolation::ReadCommitted;
    world.source.begin(TxnOptions { isolation, ..TxnOptions::default() })
}

fn row_write(number: u8, kind: WriteKind, found: Option<&Found>) -> RowWrite {
    RowWrite {
        place: place(TABLE, 1),
        hash: hash_of(number),
        key: key(TABLE, number),
        kind,
        seen: found.and_then(|found| found.version),
        tag: 3,
    }
}

async fn insert(txn: &Transaction, number: u8, row: &'static str) -> Result<(), TxnError> {
    txn.write(vec![row_write(number, WriteKind::Insert(row.into()), None)]).await
}

async fn update(txn: &Transaction, number: u8, row: &'static str) -> Result<(), TxnError> {
    let found = get(txn, number, LockMode::Exclusive).await?;
    txn.write(vec![row_write(number, WriteKind::Put(row.into()), found.as_ref())]).await
}

fn row(found: Option<Found>) -> Option<Bytes> {
    found.map(|found| found.row)
}

async fn seed(world: Rc<World>) {
    let txn = begin(&world);
    insert(&txn, 1, "one").await.unwrap();
    insert(&txn, 2, "two").await.unwrap();
    txn.commit().await.unwrap();
}

/// Runs a test over a world with rows 1 and 2.
fn with<F: Future<Output = ()> + 'static>(test: impl FnOnce(Rc<World>) -> F + 'static) {
    let world = Rc::new(world());
    let sim = Rc::clone(&world.sim);
    sim.block_on(async move {
        seed(Rc::clone(&world)).await;
        test(Rc::clone(&world)).await;
    });
}

#[test]
fn a_snapshot_does_not_move_and_own_writes_show() {
    with(|world| async move {
        let reader = begin(&world);
        assert_eq!(row(get(&reader, 1, LockMode::None).await.unwrap()), Some("one".into()));
        let writer = begin(&world);
        update(&writer, 2, "TWO").await.unwrap();
        assert_eq!(row(get(&writer, 2, LockMode::None).await.unwrap()), Some("TWO".into()));
        writer.commit().await.unwrap();
        assert_eq!(row(get(&reader, 2, LockMode::None).await.unwrap()), Some("two".into()));
        let later = begin(&world);
        assert_eq!(row(get(&later, 2, LockMode::None).await.unwrap()), Some("TWO".into()));
    });
}

#[test]
fn read_committed_sees_each_statements_present() {
    with(|world| async move {
        let reader = begin_rc(&world);
        reader.begin_statement().await.unwrap();
        assert_eq!(row(get(&reader, 2, LockMode::None).await.unwrap()), Some("two".into()));
        let writer = begin(&world);
        update(&writer, 2, "TWO").await.unwrap();
        writer.commit().await.unwrap();
        reader.begin_statement().await.unwrap();
        assert_eq!(row(get(&reader, 2, LockMode::None).await.unwrap()), Some("TWO".into()));
        reader.commit().await.unwrap();
    });
}

#[test]
fn a_waiting_update_sees_what_it_waited_for() {
    for level in [begin as fn(&World) -> Transaction, begin_rc] {
        with(move |world| async move {
            let first = level(&world);
            update(&first, 1, "first").await.unwrap();
            let (sim, other) = (Rc::clone(&world.sim), Rc::clone(&world));
            let pause = sim.sleep(Duration::from_millis(50));
            sim.start(async move {
                pause.await;
                first.commit().await.unwrap();
                drop(other);
            });
            let second = level(&world);
            let found = get(&second, 1, LockMode::Exclusive).await.unwrap();
            assert_eq!(row(found.clone()), Some("first".into()));
            let write = row_write(1, WriteKind::Put("second".into()), found.as_ref());
            second.write(vec![write]).await.unwrap();
            second.commit().await.unwrap();
            let reader = begin(&world);
            assert_eq!(row(get(&reader, 1, LockMode::None).await.unwrap()), Some("second".into()));
        });
    }
}

#[test]
fn write_skew_is_refused() {
    with(|world| async move {
        let (one, two) = (begin(&world), begin(&world));
        get(&one, 1, LockMode::None).await.unwrap();
        get(&two, 2, LockMode::None).await.unwrap();
        update(&one, 2, "x").await.unwrap();
        update(&two, 1, "y").await.unwrap();
        let first = one.commit().await;
        let second = two.commit().await;
        assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    });
}

#[test]
fn a_duplicate_is_told_at_the_statement_or_by_the_commit() {
    with(|world| async move {
        let duplicate = TxnError::Duplicate { tag: 3, key: key(TABLE, 1) };
        let txn = begin(&world);
        assert_eq!(insert(&txn, 1, "again").await, Err(duplicate.clone()));
        txn.rollback().await.unwrap();
        let options = TxnOptions { autocommit: true, ..TxnOptions::default() };
        let txn = world.source.begin(options);
        insert(&txn, 1, "again").await.unwrap();
        assert_eq!(txn.commit().await, Err(duplicate));
        let txn = begin(&world);
        let found = get(&txn, 1, LockMode::Exclusive).await.unwrap();
        txn.write(vec![row_write(1, WriteKind::Delete, found.as_ref())]).await.unwrap();
        insert(&txn, 1, "anew").await.unwrap();
        txn.commit().await.unwrap();
        let txn = begin(&world);
        assert_eq!(row(get(&txn, 1, LockMode::None).await.unwrap()), Some("anew".into()));
    });
}

#[test]
fn a_deadlock_ends_with_one_victim() {
    with(|world| async move {
        let (one, two) = (begin(&world), begin(&world));
        update(&one, 1, "x").await.unwrap();
        update(&two, 2, "y").await.unwrap();
        let crossing = async {
            let result = update(&one, 2, "x").await;
            if result.is_ok() { one.commit().await.map(|_| ()) } else { result }
        };
        let other = async {
            let result = update(&two, 1, "y").await;
            if result.is_err() {
                two.rollback().await.unwrap();
            }
            result
        };
        let (first, second) = futures_util::join!(crossing, other);
        assert_eq!(first, Ok(()));
        assert!(matches!(second, Err(TxnError::Deadlock(_))), "{second:?}");
    });
}

#[test]
fn a_lock_is_waited_for_no_longer_than_asked() {
    with(|world| async move {
        let holder = begin(&world);
        update(&holder, 1, "x").await.unwrap();
        let waiter = begin(&world);
        let before = world.source.router().clock().now().mono;
        let result = get(&waiter, 1, LockMode::Exclusive).await;
        let waited = world.source.router().clock().now().mono.since(before);
        assert_eq!(result, Err(TxnError::LockTimeout));
        assert!(Duration::from_secs(3) <= waited && waited < Duration::from_secs(4), "{waited:?}");
        let now = GetRequest {
            place: place(TABLE, 1),
            route: Route::All,
            keys: vec![key(TABLE, 1)],
            lock: LockMode::Shared,
            wait: LockWait::No,
        };
        assert_eq!(waiter.get(now).await, Err(TxnError::LockTimeout));
        drop(holder);
        get(&waiter, 1, LockMode::Exclusive).await.unwrap();
    });
}

#[test]
fn a_write_in_a_second_shard_is_refused() {
    let world = Rc::new(World::new(3, 2, &Faults::default()));
    let sim = Rc::clone(&world.sim);
    sim.block_on(async move {
        let txn = begin(&world);
        insert(&txn, 1, "x").await.unwrap();
        assert_eq!(insert(&txn, 9, "y").await, Err(TxnError::CrossShard));
    });
}

#[test]
fn scans_merge_shards_and_own_writes_both_ways() {
    let world = Rc::new(World::new(3, 2, &Faults::default()));
    let sim = Rc::clone(&world.sim);
    sim.block_on(async move {
        for numbers in [[1, 3, 5], [8, 10, 12]] {
            let txn = begin(&world);
            for number in numbers {
                insert(&txn, number, "old").await.unwrap();
            }
            txn.commit().await.unwrap();
        }
        let txn = begin(&world);
        insert(&txn, 2, "new").await.unwrap();
        let found = get(&txn, 3, LockMode::Exclusive).await.unwrap();
        txn.write(vec![row_write(3, WriteKind::Delete, found.as_ref())]).await.unwrap();
        for reverse in [false, true] {
            let (mut numbers, mut batches) = (Vec::new(), 0);
            let mut rest = Some(Span { start: key(TABLE, 0), end: key(TABLE, 12) });
            while let Some(span) = rest {
                let request = ScanRequest {
                    place: place(TABLE, 1),
                    route: Route::All,
                    span,
                    reverse,
                    rows_max: 2,
                    lock: LockMode::None,
                    wait: LockWait::Forever,
                };
                let batch = txn.scan(request).await.unwrap();
                assert!(batch.rows.len() <= 2);
                numbers.extend(batch.rows.iter().map(|found| found.key.0[8]));
                rest = batch.resume;
                batches += 1;
            }
            let mut expected = vec![1, 2, 5, 8, 10];
            if reverse {
                expected.reverse();
            }
            assert_eq!(numbers, expected);
            assert!(batches <= 8, "{batches} batches");
        }
    });
}

#[test]
fn a_fence_refuses_old_descriptors_and_is_lifted_by_rollback() {
    with(|world| async move {
        let ddl = begin(&world);
        let old = begin(&world);
        update(&old, 1, "x").await.unwrap();
        let forever = LockWait::Forever;
        ddl.lock_table(place(TABLE, 1), forever).await.unwrap();
        assert_eq!(old.commit().await, Err(TxnError::WrongSchema));
        let second = begin(&world);
        let refused = second.lock_table(place(TABLE, 1), LockWait::No).await;
        assert_eq!(refused, Err(TxnError::LockTimeout));
        ddl.rollback().await.unwrap();
        second.lock_table(place(TABLE, 1), forever).await.unwrap();
        second.rollback().await.unwrap();
        world.sim.sleep(Duration::from_secs(1)).await;
        let third = begin(&world);
        update(&third, 1, "y").await.unwrap();
        third.commit().await.unwrap();
    });
}

#[test]
fn a_change_of_the_catalog_shows_in_the_next_grant() {
    with(|world| async move {
        let before = begin(&world);
        before.begin_statement().await.unwrap();
        let ddl = begin(&world);
        ddl.begin_statement().await.unwrap();
        assert_eq!(before.catalog_version(), ddl.catalog_version());
        let write = RowWrite {
            place: place(SYSTEM_TABLE, 1),
            hash: 0,
            key: key(SYSTEM_TABLE, 1),
            kind: WriteKind::Insert("descriptor".into()),
            seen: None,
            tag: 0,
        };
        ddl.write(vec![write]).await.unwrap();
        ddl.changes_catalog();
        ddl.commit().await.unwrap();
        let after = begin(&world);
        after.begin_statement().await.unwrap();
        assert!(before.catalog_version() < after.catalog_version());
        assert_eq!(world.hosts[SYSTEM_SHARD.0 as usize].replica.locks_len(), 0);
    });
}

#[test]
fn bulk_rows_are_there_for_their_transaction_and_later_ones() {
    with(|world| async move {
        let txn = begin(&world);
        let place = Place { index: IndexId(0), ..place(TABLE, 1) };
        let rows = (20..24).map(|number| BulkRow {
            place,
            hash: 0,
            key: key(TABLE, number),
            row: "bulk".into(),
        });
        txn.ingest(rows, true).await.unwrap();
        assert_eq!(row(get(&txn, 20, LockMode::None).await.unwrap()), Some("bulk".into()));
        txn.commit().await.unwrap();
        let later = begin(&world);
        assert_eq!(row(get(&later, 23, LockMode::None).await.unwrap()), Some("bulk".into()));
    });
}

#[test]
fn a_leader_refuses_a_load_of_another_timestamp() {
    with(|world| async move {
        let replica = Rc::clone(&world.hosts[1].replica);
        let ask = |at| {
            let mut packer = LoadPacker::new(Timestamp(5));
            packer.put(&key(TABLE, 20).0, 1, 0, b"bulk");
            let (txn, rows) = (TxnId::default(), packer.take());
            let body = IngestBody { txn, at: Timestamp(at), index: false, remember: true, rows };
            let body = RequestBody::Ingest(body);
            Rc::clone(&replica).serve(Rc::new(ShardRequest {
                shard: ShardId(1),
                epoch: Epoch(1),
                body,
            }))
        };
        assert_eq!(ask(5).await, Ok(ShardResponse::Done));
        assert!(matches!(ask(6).await, Err(ReplicaError::Refused(_))));
    });
}

#[test]
fn too_many_bytes_are_refused_before_the_commit() {
    with(|world| async move {
        let txn = begin(&world);
        let row: Bytes = vec![0; 8 << 20].into();
        let big = |number: u8| RowWrite {
            place: place(TABLE, 1),
            hash: 0,
            key: Key(key(TABLE, number).0),
            kind: WriteKind::Put(row.clone()),
            seen: None,
            tag: 0,
        };
        txn.write(vec![big(30)]).await.unwrap();
        assert_eq!(txn.write(vec![big(31)]).await, Err(TxnError::TooLarge));
    });
}

/// Locks a key in the data shard for a transaction of another node.
async fn lock_as(world: &World, node: NodeId, number: u8) {
    let id = TxnId { node, incarnation: Incarnation(1), number: 1 };
    let body = RequestBody::Get(GetBody {
        txn: TxnRef { id, start: Timestamp::from_unix_ms(1), replays: 0 },
        place: place(TABLE, 1),
        keys: vec![key(TABLE, number)],
        at: begin(world).begin_statement().await.unwrap(),
        lock: LockMode::Exclusive,
        wait: Wait::No,
    });
    let request = ShardRequest { shard: ShardId(1), epoch: Epoch(1), body };
    let replica = Rc::clone(&world.hosts[1].replica);
    replica.serve(Rc::new(request)).await.unwrap();
    assert_eq!(world.hosts[1].replica.locks_len(), 1);
}

#[test]
fn a_stopped_system_leaders_locks_end_with_its_successors_patience() {
    with(|world| async move {
        let (system, data) = (&world.hosts[0], Rc::clone(&world.hosts[1].replica));
        let hearing = Rc::clone(&data);
        let hear = move |node, incarnation| hearing.coordinator_dead(node, incarnation);
        system.replica.machine().on_verdict(Rc::new(hear));
        // Heard as a follower; the new leader hears nothing of it any more.
        let stopped = NodeId::machine(2);
        system.replica.life_heard(stopped, Incarnation(1));
        lock_as(&world, stopped, 1).await;
        Rc::clone(&system.group).change_leader().await;
        system.replica.leadership_changed();
        world.sim.sleep(Duration::from_secs(2)).await;
        assert_eq!(data.locks_len(), 0, "they wait for the bound of silent locks");
    });
}

#[test]
fn a_restarted_nodes_first_word_ends_what_its_earlier_life_held() {
    with(|world| async move {
        let (node, data) = (NodeId::machine(2), Rc::clone(&world.hosts[1].replica));
        data.life_heard(node, Incarnation(1));
        lock_as(&world, node, 1).await;
        data.life_heard(node, Incarnation(1));
        assert_eq!(data.locks_len(), 1, "it lives");
        data.life_heard(node, Incarnation(2));
        assert_eq!(data.locks_len(), 0);
    });
}
