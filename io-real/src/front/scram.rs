//! SCRAM-SHA-256 as a server speaks it, over `pgwire`'s implementation; no I/O.
//!
//! The core hands out a verifier (a mock one for unknown roles); the client must prove that it
//! knows the password behind it.
//!
//! # Source
//!
//! RFC 5802 and RFC 7677; PostgreSQL 15, section 55.3.

use bytes::Bytes;
use pgwire::api::auth::sasl::scram::{
    ScramSecret, ScramServerAuth, ScramServerAuthWaitingForClientFinal, gen_salted_password,
};
use ring::rand::{SecureRandom, SystemRandom};
use shardforge_core::base::codec::Reader;
use shardforge_core::sql::protocol::ScramVerifier;
use shardforge_proto::pgwire::SCRAM_SHA_256;

/// Iterations of a verifier that we make: the RFC wants 15,000 at least.
pub const ITERATIONS: u32 = 15_000;
const SALT_BYTES: usize = 16;

/// The client did not prove it, or did not speak SCRAM. Says nothing about which, on purpose.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("password authentication failed")]
pub struct Refused;

/// What to say to the client.
#[derive(Debug, Eq, PartialEq)]
pub enum Step {
    /// AuthenticationSASLContinue.
    Continue(Vec<u8>),
    /// AuthenticationSASLFinal: the client is who it says.
    Final(Vec<u8>),
}

/// One exchange.
pub struct Scram {
    verifier: Option<ScramVerifier>,
    waiting: Option<ScramServerAuthWaitingForClientFinal>,
}

impl Scram {
    /// An exchange against a verifier.
    pub fn new(verifier: ScramVerifier) -> Self {
        Self { verifier: Some(verifier), waiting: None }
    }

    /// Takes the body of a `p` message.
    ///
    /// # Errors
    ///
    /// [`Refused`]: say so and close.
    pub fn handle(&mut self, message: &[u8]) -> Result<Step, Refused> {
        if let Some(verifier) = self.verifier.take() {
            let first = initial_response(message)?;
            let secret = ScramSecret::Verifier {
                salt: verifier.salt.to_vec(),
                iterations: verifier.iterations as usize,
                stored_key: verifier.stored_key.to_vec(),
                server_key: verifier.server_key.to_vec(),
            };
            let (answer, waiting) = ScramServerAuth::new()
                .on_client_first_message_with_secret(first, secret)
                .map_err(|_| Refused)?;
            self.waiting = Some(waiting);
            return Ok(Step::Continue(answer.into_bytes()));
        }
        let waiting = self.waiting.take().ok_or(Refused)?;
        let answer = waiting.on_client_final_message(message).map_err(|_| Refused)?;
        Ok(Step::Final(answer.into_bytes()))
    }
}

/// The client-first message inside a SASLInitialResponse.
fn initial_response(message: &[u8]) -> Result<&[u8], Refused> {
    let name_len = memchr::memchr(0, message).ok_or(Refused)?;
    let mut body = Reader::new(message);
    let name = body.take(name_len).map_err(|_| Refused)?;
    body.u8().map_err(|_| Refused)?;
    let data_len = body.u32().map_err(|_| Refused)? as usize;
    let data = body.take(data_len).map_err(|_| Refused)?;
    // `p=` would mean channel binding, which nobody offered: there is no TLS to bind to.
    let bound = data.starts_with(b"p=");
    if name != SCRAM_SHA_256.as_bytes() || !body.is_empty() || bound {
        return Err(Refused);
    }
    Ok(data)
}

/// The verifier of a password, with a fresh salt.
///
/// # Panics
///
/// If the machine has no random numbers.
pub fn verifier(password: &str) -> ScramVerifier {
    let mut salt = [0; SALT_BYTES];
    random(&mut salt);
    verifier_with_salt(password, &salt)
}

fn verifier_with_salt(password: &str, salt: &[u8]) -> ScramVerifier {
    let salted = gen_salted_password(password, salt, ITERATIONS as usize);
    let secret =
        ScramSecret::verifier_from_salted_password(salt.to_vec(), salted, ITERATIONS as usize);
    match secret {
        ScramSecret::Verifier { salt, iterations: _, stored_key, server_key } => ScramVerifier {
            salt: salt.into(),
            iterations: ITERATIONS,
            stored_key: stored_key.into(),
            server_key: server_key.into(),
        },
        // `verifier_from_salted_password` makes nothing else; an unusable verifier admits nobody.
        ScramSecret::SaltedPassword { .. } => ScramVerifier {
            salt: Bytes::copy_from_slice(&[0; SALT_BYTES]),
            iterations: ITERATIONS,
            stored_key: Bytes::new(),
            server_key: Bytes::new(),
        },
    }
}

/// Fills with secret random bytes.
///
/// # Panics
///
/// If the machine has none to give: nothing secret can be made then.
pub fn random(bytes: &mut [u8]) {
    let filled = SystemRandom::new().fill(bytes);
    assert!(filled.is_ok(), "the machine gives no random numbers");
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use ring::{digest, hmac};

    use super::*;

    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";

    fn initial(first: &str) -> Vec<u8> {
        let mut message = SCRAM_SHA_256.as_bytes().to_vec();
        message.push(0);
        message.extend((first.len() as u32).to_be_bytes());
        message.extend(first.as_bytes());
        message
    }

    fn sign(key: &[u8], text: &str) -> Vec<u8> {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
    }

    /// A client's final message, written from the RFC without the code under test.
    fn client_final(password: &str, server_first: &str) -> Vec<u8> {
        let mut parts = server_first.split(',').map(|part| &part[2..]);
        let (nonce, salt, rounds) = (parts.next(), parts.next(), parts.next());
        let (nonce, rounds) = (nonce.unwrap(), rounds.unwrap().parse::<u32>().unwrap());
        let mut salted = [0; 32];
        ring::pbkdf2::derive(
            ring::pbkdf2::PBKDF2_HMAC_SHA256,
            std::num::NonZeroU32::new(rounds).unwrap(),
            &STANDARD.decode(salt.unwrap()).unwrap(),
            password.as_bytes(),
            &mut salted,
        );
        let without_proof = format!("c=biws,r={nonce}");
        let auth = format!("n=,r={NONCE},{server_first},{without_proof}");
        let client_key = sign(&salted, "Client Key");
        let stored_key = digest::digest(&digest::SHA256, &client_key);
        let signature = sign(stored_key.as_ref(), &auth);
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(k, s)| k ^ s).collect();
        format!("{without_proof},p={}", STANDARD.encode(proof)).into_bytes()
    }

    fn log_in(scram: &mut Scram, password: &str) -> Result<Step, Refused> {
        match scram.handle(&initial(&format!("n,,n=,r={NONCE}")))? {
            Step::Continue(first) => {
                let first = String::from_utf8(first).unwrap();
                assert!(first.starts_with(&format!("r={NONCE}")), "{first}");
                scram.handle(&client_final(password, &first))
            }
            Step::Final(_) => panic!("in without a proof"),
        }
    }

    #[test]
    fn the_password_opens_and_another_does_not() {
        let verifier = verifier("open sesame");
        assert!(15_000 <= verifier.iterations);
        let in_with = |password| log_in(&mut Scram::new(verifier.clone()), password);
        assert!(matches!(in_with("open sesame"), Ok(Step::Final(v)) if v.starts_with(b"v=")));
        assert_eq!(in_with("open barley"), Err(Refused));
        assert_eq!(in_with(""), Err(Refused));
    }

    #[test]
    fn what_is_not_scram_is_refused() {
        let verifier = verifier_with_salt("x", &[7; 16]);
        let channel_bound = initial("p=tls-server-end-point,,n=,r=abc");
        for message in
            [&b""[..], b"MD5\0\0\0\0\0", b"SCRAM-SHA-256\0\xff\xff\xff\xff", &channel_bound]
        {
            assert_eq!(Scram::new(verifier.clone()).handle(message), Err(Refused), "{message:?}");
        }
        let mut scram = Scram::new(verifier);
        assert!(scram.handle(&initial("n,,n=,r=abc")).is_ok());
        assert_eq!(scram.handle(b"garbage"), Err(Refused));
        assert_eq!(scram.handle(b"garbage"), Err(Refused), "a refused exchange is over");
    }

    #[test]
    fn two_verifiers_of_one_password_differ() {
        assert_ne!(verifier("x").stored_key, verifier("x").stored_key);
    }
}
