//! What a SQL client says to a session and what the session says back: the PostgreSQL protocol's
//! messages as plain types. Bytes on the wire are `shardforge-proto`'s business, sockets the shell's.
//!
//! # Source
//!
//! PostgreSQL 15, chapter 55 (frontend/backend protocol).

use std::rc::Rc;

use bytes::Bytes;

use crate::base::error::SqlError;

/// One message of a client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClientRequest {
    /// The start-up packet. Answer: `AuthenticationScram` or `AuthenticationOk` and what follows it,
    /// or an error and a closed session.
    Startup {
        /// Role name.
        user: String,
        /// Database; the user's name if empty.
        database: String,
        /// Other parameters, `options` among them.
        parameters: Vec<(String, String)>,
    },
    /// The shell has carried SCRAM through with the verifier it was given; the client is who it says.
    Authenticated,
    /// A simple query: one or more statements.
    Query(String),
    /// Parse.
    Parse {
        /// Empty: the unnamed statement.
        name: String,
        /// One statement.
        sql: String,
        /// Type OIDs of parameters, 0 where unspecified.
        parameter_types: Vec<u32>,
    },
    /// Bind.
    Bind {
        /// Empty: the unnamed portal.
        portal: String,
        /// The prepared statement.
        statement: String,
        /// None, one for all, or one each; 0 text, 1 binary.
        parameter_formats: Vec<i16>,
        /// `None` is NULL.
        parameters: Vec<Option<Bytes>>,
        /// None, one for all, or one each.
        result_formats: Vec<i16>,
    },
    /// Describe a prepared statement.
    DescribeStatement(String),
    /// Describe a portal.
    DescribePortal(String),
    /// Execute a portal; 0 rows means all.
    Execute {
        /// The portal.
        portal: String,
        /// Suspend after so many rows.
        rows_max: u32,
    },
    /// Close a prepared statement.
    CloseStatement(String),
    /// Close a portal.
    ClosePortal(String),
    /// Flush.
    Flush,
    /// Sync: the end of an extended-query batch.
    Sync,
    /// A piece of COPY data; pieces need not end at rows.
    CopyData(Bytes),
    /// COPY data is complete.
    CopyDone,
    /// The client gives COPY up.
    CopyFail(String),
    /// Cancel whatever the session with this key runs; sent on a connection of its own.
    Cancel {
        /// From BackendKeyData.
        process: u32,
        /// From BackendKeyData.
        secret: u32,
    },
    /// The client's bytes broke the protocol; the session answers (08P01) and closes.
    ProtocolViolation(String),
    /// The client says goodbye.
    Terminate,
}

/// A column of a result.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FieldDescription {
    /// Its name.
    pub name: String,
    /// Table OID, or 0.
    pub table_oid: u32,
    /// Attribute number, or 0.
    pub column: i16,
    /// Type OID.
    pub type_oid: u32,
    /// pg_type.typlen.
    pub type_len: i16,
    /// Type modifier, -1 without.
    pub type_modifier: i32,
    /// 0 text, 1 binary.
    pub format: i16,
}

/// Encoded rows: each is the body of a DataRow message (i16 count, then i32 length and bytes per
/// column, length -1 for NULL).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DataRows {
    /// All bodies, one after the other.
    pub bytes: Bytes,
    /// Where each body ends in `bytes`.
    pub ends: Vec<u32>,
}

/// ReadyForQuery's status.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TransactionStatus {
    /// `I`
    Idle,
    /// `T`
    InTransaction,
    /// `E`
    Failed,
}

/// How severe a notice is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoticeSeverity {
    /// NOTICE
    Notice,
    /// WARNING
    Warning,
    /// INFO
    Info,
}

/// What SCRAM-SHA-256 needs to check a password (RFC 5802): no secret that would let one log in.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ScramVerifier {
    /// Salt.
    pub salt: Bytes,
    /// PBKDF2 iterations.
    pub iterations: u32,
    /// StoredKey, 32 bytes.
    pub stored_key: Bytes,
    /// ServerKey, 32 bytes.
    pub server_key: Bytes,
}

/// One message to a client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClientReply {
    /// The shell must carry out SCRAM with this verifier (a mock one for unknown roles, which never
    /// matches) and then say `Authenticated`, or refuse with 28P01.
    AuthenticationScram(ScramVerifier),
    /// No authentication is needed, or it succeeded.
    AuthenticationOk,
    /// A setting that clients track.
    ParameterStatus(String, String),
    /// For cancelling.
    BackendKeyData {
        /// Looks like a process id.
        process: u32,
        /// Random.
        secret: u32,
    },
    /// The session waits for the next query.
    ReadyForQuery(TransactionStatus),
    /// Columns of the rows to come.
    RowDescription(Rc<[FieldDescription]>),
    /// The statement gives no rows.
    NoData,
    /// Parameter type OIDs.
    ParameterDescription(Vec<u32>),
    /// Rows.
    DataRows(DataRows),
    /// The command tag, such as `INSERT 0 1`.
    CommandComplete(String),
    /// The query string was empty.
    EmptyQueryResponse,
    /// Parse done.
    ParseComplete,
    /// Bind done.
    BindComplete,
    /// Close done.
    CloseComplete,
    /// `rows_max` reached.
    PortalSuspended,
    /// An error; in an extended batch all up to Sync is skipped by the session.
    Error(SqlError),
    /// An error that ends the session (severity FATAL).
    Fatal(SqlError),
    /// A notice.
    Notice(NoticeSeverity, SqlError),
    /// Send COPY data now: overall format (0 text, 1 binary) and number of columns.
    CopyInResponse(u8, u16),
    /// COPY data follows.
    CopyOutResponse(u8, u16),
    /// Rows of COPY data, one message each.
    CopyData(Vec<Bytes>),
    /// COPY data is complete.
    CopyDone,
}
