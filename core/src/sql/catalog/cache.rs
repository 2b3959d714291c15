//! The newest catalog snapshot that this node has read, shared by its sessions.

use std::cell::RefCell;
use std::rc::Rc;

use super::snapshot::Catalog;
use crate::sql::ports::{Isolation, TxnFailure, TxnOptions, TxnSource};

/// Holds one snapshot.
#[derive(Debug, Default)]
pub struct CatalogCache {
    newest: RefCell<Option<Rc<Catalog>>>,
}

impl CatalogCache {
    /// The snapshot at exactly this version, if it is the newest that we hold.
    pub fn at(&self, version: u64) -> Option<Rc<Catalog>> {
        let newest = self.newest.borrow();
        newest.as_ref().filter(|catalog| catalog.version() == version).map(Rc::clone)
    }

    /// The newest snapshot, whatever its version.
    pub fn newest(&self) -> Option<Rc<Catalog>> {
        self.newest.borrow().clone()
    }

    /// Reads a snapshot in a transaction of its own.
    ///
    /// A statement's own transaction is not used, or each would watch the whole catalog for changes.
    ///
    /// # Errors
    ///
    /// Those of the reads.
    pub async fn refresh(&self, source: &dyn TxnSource) -> Result<Rc<Catalog>, TxnFailure> {
        let options =
            TxnOptions { isolation: Isolation::Serializable, read_only: true, autocommit: true };
        let txn = source.begin(options);
        txn.begin_statement().await?;
        let version = txn.catalog_version();
        if let Some(catalog) = self.at(version) {
            return Ok(catalog);
        }
        let catalog = Rc::new(Catalog::load(&*txn, version).await?);
        txn.commit().await?;
        self.offer(&catalog);
        Ok(catalog)
    }

    /// Keeps a snapshot if it is newer than ours.
    fn offer(&self, catalog: &Rc<Catalog>) {
        let mut newest = self.newest.borrow_mut();
        if newest.as_ref().is_none_or(|held| held.version() < catalog.version()) {
            *newest = Some(Rc::clone(catalog));
        }
    }
}
