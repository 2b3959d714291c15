//! What the node's posture is: whether clients prove who they are, and where secrets lie.

use std::path::PathBuf;

use crate::front::scram;

/// A node's posture.
#[derive(Clone, Debug)]
pub struct Security {
    /// Where the superuser's password is written at `init`; `None` with `--insecure`.
    pub directory: Option<PathBuf>,
    /// Where SQL is served, for the line that uses the password.
    pub sql_addr: String,
    /// Fills with the random bits that name a cluster: the machine's own, but for a simulation's.
    pub entropy: fn(&mut [u8]),
}

impl Default for Security {
    fn default() -> Self {
        Self { directory: None, sql_addr: String::new(), entropy: scram::random }
    }
}

/// The line that opens psql with the password in `file`.
pub fn psql_line(file: &str, sql_addr: &str) -> String {
    let (host, port) = sql_addr.rsplit_once(':').unwrap_or((sql_addr, "5432"));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let quoted = file.replace('\'', r"'\''");
    format!("PGPASSWORD=\"$(cat '{quoted}')\" psql -h {host} -p {port} -U postgres postgres")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_psql_line_survives_odd_paths_and_addresses() {
        assert_eq!(
            psql_line("/a b/it's", "[::1]:5433"),
            r#"PGPASSWORD="$(cat '/a b/it'\''s')" psql -h ::1 -p 5433 -U postgres postgres"#
        );
    }
}
