//! The rows that a cluster's catalog is born with.

use super::descriptor::{DatabaseDescriptor, FIRST_USER_OID};
use super::store::{self, SystemTable};
use crate::auth::principal::{Principal, SUPERUSER_OID};
use crate::auth::scram::Verifier;
use crate::sql::ports::{TxnFailure, TxnOptions, TxnSource};
use crate::sql::protocol::ScramVerifier;

/// The database of PostgreSQL's number 5 and ours beside it.
const DATABASES: [(u32, &str); 2] = [(5, "postgres"), (16, "shardforge")];
/// The counter of objects' numbers.
pub(super) const OBJECT_COUNTER: &[u8] = b"oid";

/// Writes databases `postgres` and `shardforge` and the superuser, unless they are there: a second
/// call changes nothing.
///
/// # Errors
///
/// Those of the transaction.
pub async fn bootstrap(
    source: &dyn TxnSource,
    superuser: Option<ScramVerifier>,
) -> Result<(), TxnFailure> {
    let txn = source.begin(TxnOptions::default());
    txn.begin_statement().await?;
    let key = SystemTable::Counters.key(OBJECT_COUNTER);
    if store::get(&*txn, SystemTable::Counters, key.clone(), None).await?.is_some() {
        return txn.rollback().await;
    }
    txn.changes_catalog();
    for (oid, name) in DATABASES {
        let database = DatabaseDescriptor { oid, name: name.to_owned(), owner: SUPERUSER_OID };
        store::insert_described(&*txn, &database).await?;
    }
    let verifier = superuser.map(|given| Verifier {
        salt: given.salt,
        iterations: given.iterations,
        stored_key: given.stored_key,
        server_key: given.server_key,
    });
    store::insert_described(&*txn, &Principal::superuser(verifier)).await?;
    let first = u64::from(FIRST_USER_OID).to_be_bytes();
    store::insert(&*txn, SystemTable::Counters, key, first.to_vec().into()).await?;
    txn.commit().await
}
