//! Transaction blocks: what BEGIN, COMMIT, ROLLBACK and errors do to a session, and the rules for
//! mixing schema changes with writes.
//!
//! # Invariants
//!
//! * A failed block holds no transaction: its locks are gone, only its status is left.
//! * Changes of the catalog and writes to tables that others can see never share a transaction
//!   (0A000): they could not commit as one entry of one shard.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::base::error::{SqlError, sqlstate};
use crate::base::id::TableId;
use crate::base::time::Wall;
use crate::sql::catalog::snapshot::Catalog;
use crate::sql::ports::{Isolation, Txn, TxnFailure, TxnOptions};
use crate::sql::protocol::TransactionStatus;

use super::instance::Instance;

/// Times that a transaction is begun again because the catalog changed between its grant and ours.
const CATALOG_RACES_MAX: usize = 3;

/// The state of a session's block.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Block {
    /// None: each statement is its own transaction.
    #[default]
    Idle,
    /// A query string of several statements, or an extended batch, without BEGIN.
    Implicit,
    /// After BEGIN.
    Explicit,
    /// After BEGIN and an error.
    Failed,
}

/// How the next transaction begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Modes {
    pub(super) isolation: Isolation,
    pub(super) read_only: bool,
}

/// A running transaction, shared with what executes in it.
pub(crate) struct OpenTransaction {
    /// The floor below.
    pub(crate) txn: Rc<dyn Txn>,
    /// Its level.
    pub(crate) isolation: Isolation,
    /// `now()`, in microseconds since the Unix epoch.
    pub(crate) began: Wall,
    /// Writes are refused.
    pub(crate) read_only: Cell<bool>,
    catalog: RefCell<Option<Rc<Catalog>>>,
    catalog_is_own: Cell<bool>,
    statements: Cell<u64>,
    changed_catalog: Cell<bool>,
    wrote_visible: Cell<bool>,
    new_tables: RefCell<BTreeSet<TableId>>,
    bulk_keys: RefCell<crate::sql::execute::bulk::BulkKeys>,
    undo_numbers: RefCell<Vec<u32>>,
}

impl std::fmt::Debug for OpenTransaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpenTransaction({})", self.txn.id())
    }
}

impl OpenTransaction {
    fn new(instance: &Instance, modes: Modes, autocommit: bool) -> Self {
        let options =
            TxnOptions { isolation: modes.isolation, read_only: modes.read_only, autocommit };
        Self {
            txn: instance.source.begin(options),
            isolation: modes.isolation,
            began: instance.clock.now().wall,
            read_only: Cell::new(modes.read_only),
            catalog: RefCell::default(),
            catalog_is_own: Cell::new(false),
            statements: Cell::new(0),
            changed_catalog: Cell::new(false),
            wrote_visible: Cell::new(false),
            new_tables: RefCell::default(),
            bulk_keys: RefCell::default(),
            undo_numbers: RefCell::default(),
        }
    }

    /// Whether a statement has run in it, so that its level can change no more.
    pub(crate) fn has_begun(&self) -> bool {
        0 < self.statements.get()
    }

    /// The catalog as this transaction sees it.
    pub(crate) async fn catalog(&self) -> Result<Rc<Catalog>, SqlError> {
        if let Some(catalog) = self.catalog.borrow().as_ref() {
            return Ok(Rc::clone(catalog));
        }
        assert!(self.catalog_is_own.get(), "a statement without a catalog");
        let own = Rc::new(Catalog::load(&*self.txn, self.txn.catalog_version()).await?);
        *self.catalog.borrow_mut() = Some(Rc::clone(&own));
        Ok(own)
    }

    /// The catalog as this transaction sees it, if it has been read.
    pub(crate) fn held_catalog(&self) -> Option<Rc<Catalog>> {
        self.catalog.borrow().clone()
    }

    /// Whether the catalog that it sees is nobody else's: plans for it are not kept.
    pub(crate) fn has_own_catalog(&self) -> bool {
        self.catalog_is_own.get()
    }

    /// A statement is about to change the catalog.
    pub(crate) fn change_catalog(&self) -> Result<(), SqlError> {
        self.check_writable("a schema change")?;
        if self.wrote_visible.get() {
            return Err(mixed());
        }
        if !self.changed_catalog.replace(true) {
            self.txn.changes_catalog();
        }
        Ok(())
    }

    /// The catalog was changed: what this transaction sees is read again, through itself.
    pub(crate) fn catalog_changed(&self) {
        self.catalog_is_own.set(true);
        *self.catalog.borrow_mut() = None;
    }

    /// A statement is about to write rows of a table; true: through the bulk path.
    pub(crate) fn write_to(&self, table: TableId) -> Result<bool, SqlError> {
        if self.is_new(table) {
            return Ok(true);
        }
        if self.changed_catalog.get() {
            return Err(mixed());
        }
        self.wrote_visible.set(true);
        Ok(false)
    }

    /// Whether a table's key space was made by this transaction.
    pub(crate) fn is_new(&self, table: TableId) -> bool {
        let new = self.new_tables.borrow();
        !new.is_empty() && new.contains(&table)
    }

    /// This transaction made a key space that nobody else can see.
    pub(crate) fn made_table(&self, table: TableId) {
        self.new_tables.borrow_mut().insert(table);
    }

    /// Keys of the bulk path.
    pub(crate) fn bulk_keys(&self) -> &RefCell<crate::sql::execute::bulk::BulkKeys> {
        &self.bulk_keys
    }

    /// 25006 in a read-only transaction.
    pub(crate) fn check_writable(&self, what: &str) -> Result<(), SqlError> {
        if !self.read_only.get() {
            return Ok(());
        }
        let message = format!("cannot execute {what} in a read-only transaction");
        Err(SqlError::new(sqlstate::READ_ONLY_SQL_TRANSACTION, message))
    }

    /// A sequence whose block must be forgotten when the transaction ends.
    pub(crate) fn forget_sequence_at_end(&self, oid: u32) {
        self.undo_numbers.borrow_mut().push(oid);
    }
}

fn mixed() -> SqlError {
    SqlError::unsupported("a schema change together with writes to existing tables")
        .hint("Use separate transactions.")
}

/// The block and the transaction of a session.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    pub(super) block: Block,
    pub(super) open: Option<Rc<OpenTransaction>>,
    /// What BEGIN asked for.
    modes: Option<Modes>,
}

impl Transactions {
    /// For ReadyForQuery.
    pub(super) fn status(&self) -> TransactionStatus {
        match self.block {
            Block::Idle | Block::Implicit => TransactionStatus::Idle,
            Block::Explicit => TransactionStatus::InTransaction,
            Block::Failed => TransactionStatus::Failed,
        }
    }

    /// BEGIN (or the first statement of an implicit block).
    pub(super) fn enter(&mut self, block: Block, modes: Option<Modes>) {
        self.block = block;
        self.modes = modes;
        if let (Some(open), Some(modes)) = (&self.open, modes) {
            open.read_only.set(modes.read_only);
        }
    }

    /// The modes of the block, to be changed by SET TRANSACTION.
    pub(super) fn modes(&self) -> Option<Modes> {
        self.modes
    }

    /// The transaction for a statement, with a timestamp and a catalog: begun if there is none.
    pub(super) async fn for_statement(
        &mut self,
        instance: &Instance,
        default: Modes,
        autocommit: bool,
    ) -> Result<Rc<OpenTransaction>, SqlError> {
        let mut races = 0;
        loop {
            let open = match &self.open {
                Some(open) => Rc::clone(open),
                None => {
                    let modes = self.modes.unwrap_or(default);
                    let autocommit = autocommit && self.block == Block::Idle;
                    let open = Rc::new(OpenTransaction::new(instance, modes, autocommit));
                    self.open = Some(Rc::clone(&open));
                    open
                }
            };
            let first = open.statements.get() == 0;
            if first || open.isolation == Isolation::ReadCommitted {
                if open.txn.begin_statement_now().is_none() {
                    open.txn.begin_statement().await?;
                }
                let exact = ensure_catalog(instance, &open).await?;
                if !exact && first && races < CATALOG_RACES_MAX {
                    races += 1;
                    self.open = None;
                    open.txn.rollback().await?;
                    continue;
                }
            }
            open.statements.set(open.statements.get() + 1);
            return Ok(open);
        }
    }

    /// Commits what is open, if anything.
    pub(super) async fn commit(&mut self, instance: &Instance) -> Result<(), SqlError> {
        self.block = Block::Idle;
        self.modes = None;
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        let result = match open.has_begun() {
            true if open.txn.commit_now() => Ok(()),
            true => open.txn.commit().await,
            false => open.txn.rollback().await,
        };
        open.forget_numbers(instance);
        match result {
            Err(TxnFailure::Duplicate { tag, key }) => Err(open.duplicate(tag, &key)),
            other => Ok(other?),
        }
    }

    /// Ends what is open without effect. The block becomes `then`.
    pub(super) async fn abort(&mut self, instance: &Instance, then: Block) {
        self.block = then;
        self.modes = None;
        if let Some(open) = self.open.take() {
            // Nothing depends on the answer: a transaction that cannot be ended ends by itself.
            let _ = open.txn.rollback().await;
            open.forget_numbers(instance);
        }
    }
}

impl OpenTransaction {
    fn forget_numbers(&self, instance: &Instance) {
        for oid in self.undo_numbers.borrow_mut().drain(..) {
            instance.numbers.forget(oid);
        }
    }

    /// The error for a duplicate that the commit found.
    fn duplicate(&self, tag: u32, key: &crate::base::key::Key) -> SqlError {
        self.bulk_keys.borrow().duplicate(tag, key)
    }
}

/// Gives the transaction the catalog of its timestamp's version; false if only a newer one could be
/// had.
async fn ensure_catalog(instance: &Instance, open: &OpenTransaction) -> Result<bool, SqlError> {
    if open.catalog_is_own.get() {
        *open.catalog.borrow_mut() = None; // a new timestamp: read again
        return Ok(true);
    }
    let version = open.txn.catalog_version();
    let held = open.catalog.borrow().as_ref().is_some_and(|c| c.version() == version);
    if held {
        return Ok(true);
    }
    let catalog = match instance.catalog.at(version) {
        Some(catalog) => catalog,
        None => instance.catalog.refresh(&*instance.source).await?,
    };
    let exact = catalog.version() == version;
    *open.catalog.borrow_mut() = Some(catalog);
    Ok(exact)
}
