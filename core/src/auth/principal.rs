//! Principals: the roles that log in and own things.

use serde::{Deserialize, Serialize};

use super::scram::Verifier;

/// The superuser that every cluster is born with.
pub const SUPERUSER: &str = "postgres";
/// Its number, as in PostgreSQL.
pub const SUPERUSER_OID: u32 = 10;

/// A role.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Principal {
    /// Its number.
    pub oid: u32,
    /// Its name.
    pub name: String,
    /// May do everything.
    pub superuser: bool,
    /// May connect.
    pub login: bool,
    /// May make databases.
    pub create_database: bool,
    /// May make roles.
    pub create_role: bool,
    /// How its password is checked; `None`: it has none and cannot log in where one is asked for.
    pub verifier: Option<Verifier>,
}

impl Principal {
    /// The superuser, with the verifier that `init` drew.
    pub fn superuser(verifier: Option<Verifier>) -> Self {
        Self {
            oid: SUPERUSER_OID,
            name: SUPERUSER.to_owned(),
            superuser: true,
            login: true,
            create_database: true,
            create_role: true,
            verifier,
        }
    }
}
