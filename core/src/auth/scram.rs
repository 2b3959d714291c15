//! What SCRAM-SHA-256 leaves at a server (RFC 5802, section 3): enough to check a password, not
//! enough to log in. The exchange itself is the shell's.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::base::rng::Rng;

/// Least PBKDF2 iterations that we accept.
pub const ITERATIONS_MIN: u32 = 4_096;
/// Iterations of verifiers that we make up for unknown users.
pub const ITERATIONS: u32 = 15_000;
/// Most iterations that a client may be made to run.
const ITERATIONS_MAX: u32 = 10_000_000;
const KEY_BYTES: usize = 32;

/// A stored verifier.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Verifier {
    /// Salt.
    pub salt: Bytes,
    /// PBKDF2 iterations.
    pub iterations: u32,
    /// StoredKey.
    pub stored_key: Bytes,
    /// ServerKey.
    pub server_key: Bytes,
}

/// A verifier for a user that does not exist: the same for the same name, so that a client cannot
/// tell; its keys are hashes of nothing, so no password fits.
pub fn mock(secret: u64, user: &str) -> Verifier {
    let mut rng = Rng::stream(secret, user);
    let mut draw = |len: usize| -> Bytes {
        (0..len.div_ceil(8)).flat_map(|_| rng.next_u64().to_be_bytes()).take(len).collect()
    };
    let (salt, stored_key, server_key) = (draw(16), draw(KEY_BYTES), draw(KEY_BYTES));
    Verifier { salt, iterations: ITERATIONS, stored_key, server_key }
}

/// Reads PostgreSQL's text form, `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey` in base 64.
pub fn parse(text: &str) -> Option<Verifier> {
    let rest = text.strip_prefix("SCRAM-SHA-256$")?;
    let (head, keys) = rest.split_once('$')?;
    let (iterations, salt) = head.split_once(':')?;
    let (stored_key, server_key) = keys.split_once(':')?;
    let verifier = Verifier {
        salt: base64(salt)?,
        iterations: iterations.parse().ok()?,
        stored_key: base64(stored_key)?,
        server_key: base64(server_key)?,
    };
    let sound = (ITERATIONS_MIN..=ITERATIONS_MAX).contains(&verifier.iterations)
        && verifier.stored_key.len() == KEY_BYTES
        && verifier.server_key.len() == KEY_BYTES
        && !verifier.salt.is_empty();
    sound.then_some(verifier)
}

fn base64(text: &str) -> Option<Bytes> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => Some(c - b'A'),
        b'a'..=b'z' => Some(c - b'a' + 26),
        b'0'..=b'9' => Some(c - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None, // not of the alphabet
    };
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let plain = text.trim_end_matches('=');
    if 2 < text.len() - plain.len() {
        return None;
    }
    let (mut out, mut bits, mut held) = (Vec::with_capacity(text.len()), 0u32, 0u32);
    for c in plain.bytes() {
        held = held << 6 | u32::from(digit(c)?);
        bits += 6;
        if 8 <= bits {
            bits -= 8;
            out.push((held >> bits & 0xff) as u8);
        }
    }
    Some(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mock_is_the_same_for_the_same_user_only() {
        assert_eq!(mock(1, "a"), mock(1, "a"));
        assert_ne!(mock(1, "a").salt, mock(1, "b").salt);
        assert_ne!(mock(1, "a").salt, mock(2, "a").salt);
    }

    #[test]
    fn postgresqls_text_form_is_read() {
        let text = "SCRAM-SHA-256$4096:AAECAwQFBgcICQoLDA0ODw==$\
                    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:\
                    //////////////////////////////////////////8=";
        let verifier = parse(text).unwrap();
        assert_eq!(verifier.iterations, 4096);
        assert_eq!(&verifier.salt[..], &(0..16).collect::<Vec<u8>>()[..]);
        assert_eq!(&verifier.server_key[..], &[0xff; 32]);
        assert_eq!(parse("md5abc"), None);
        assert_eq!(parse(&text.replace("4096", "1")), None);
    }
}
