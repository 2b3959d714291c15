//! The superuser's first password: random, in a file that only its owner reads.
//!
//! The file is written before the cluster is founded and gets its name afterwards: a crash in
//! between leaves no cluster whose password nobody knows, and a second `init` overwrites nothing.
//!
//! # Invariants
//!
//! - The password is in the file and in memory, never in a log line or a message.
//! - A file that is here already is kept.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use shardforge_core::sql::protocol::ScramVerifier;

use crate::front::scram;

const NAME: &str = "postgres.password";
const NAME_UNDECIDED: &str = "postgres.password.new";
/// 24 characters of 62: 142 bits.
const LENGTH: usize = 24;
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A password whose cluster may not come to be.
pub struct NewPassword {
    directory: PathBuf,
    text: String,
    decided: bool,
}

impl NewPassword {
    /// Draws a password and writes it under a preliminary name.
    ///
    /// # Errors
    ///
    /// If the directory cannot be written.
    pub fn prepare(directory: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let text = draw();
        let path = directory.join(NAME_UNDECIDED);
        remove(&path)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        Ok(Self { directory: directory.to_owned(), text, decided: false })
    }

    /// What the core stores of it.
    pub fn verifier(&self) -> ScramVerifier {
        scram::verifier(&self.text)
    }

    /// The cluster exists: gives the file its name and returns its path.
    ///
    /// # Errors
    ///
    /// If the file cannot be renamed.
    pub fn keep(mut self) -> io::Result<PathBuf> {
        let path = self.directory.join(NAME);
        fs::rename(self.directory.join(NAME_UNDECIDED), &path)?;
        File::open(&self.directory)?.sync_all()?;
        self.decided = true;
        Ok(path)
    }
}

impl Drop for NewPassword {
    fn drop(&mut self) {
        if !self.decided {
            // What cannot be removed now is overwritten by the next attempt.
            let _ = remove(&self.directory.join(NAME_UNDECIDED));
        }
    }
}

/// The password file of a directory, if it has one.
pub fn existing(directory: &Path) -> Option<PathBuf> {
    let path = directory.join(NAME);
    path.exists().then_some(path)
}

/// The verifier for a node that founds its cluster at start, and the file it comes from: the file
/// that is here, or a new one.
///
/// # Errors
///
/// If the file cannot be read or written.
pub fn for_single_node(directory: &Path) -> io::Result<(ScramVerifier, PathBuf)> {
    if let Some(path) = existing(directory) {
        let text = fs::read_to_string(&path)?;
        return Ok((scram::verifier(text.trim_end()), path));
    }
    let password = NewPassword::prepare(directory)?;
    let verifier = password.verifier();
    Ok((verifier, password.keep()?))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn draw() -> String {
    let mut text = String::with_capacity(LENGTH);
    while text.len() < LENGTH {
        let mut bytes = [0; LENGTH];
        scram::random(&mut bytes);
        // 248 is four times 62: larger bytes would favour the first letters.
        let even = bytes.iter().filter(|byte| **byte < 248);
        let letters = even.map(|byte| char::from(ALPHABET[usize::from(byte % 62)]));
        text.extend(letters.take(LENGTH - text.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("shardforge-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn only_the_owner_reads_a_kept_password() {
        let directory = directory("kept");
        let path = NewPassword::prepare(&directory).and_then(NewPassword::keep).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.trim_end().len(), LENGTH);
        let (_, again) = for_single_node(&directory).unwrap();
        assert_eq!(again, path);
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "a second start changed it");
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_cluster_that_did_not_come_to_be_leaves_no_password() {
        let directory = directory("undecided");
        drop(NewPassword::prepare(&directory).unwrap());
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
        assert_eq!(existing(&directory), None);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn passwords_differ() {
        assert_ne!(draw(), draw());
    }
}
