//! Functions over bytes: encodings and digests.

use super::{Args, Outcome, check_size, text};
use crate::base::error::{SqlError, sqlstate};
use crate::row::datum::Datum;
use crate::row::eval::EvalContext;
use crate::row::text::decode_hex;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

pub(super) fn encode(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let bytes = args.bytes(0)?;
    match args.str(1)?.to_ascii_lowercase().as_str() {
        "hex" => text(hex(bytes)),
        "base64" => text(encode_base64(bytes)),
        "escape" => {
            let mut out = String::new();
            for byte in bytes {
                match byte {
                    0 | 0x80.. => out.push_str(&format!("\\{byte:03o}")),
                    b'\\' => out.push_str("\\\\"),
                    _ => out.push(char::from(*byte)),
                }
            }
            text(out)
        }
        other => Err(unknown(other)),
    }
}

pub(super) fn decode(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let string = args.str(0)?;
    let bytes = match args.str(1)?.to_ascii_lowercase().as_str() {
        "hex" => decode_hex(string)?,
        "base64" => decode_base64(string)?,
        "escape" => crate::row::text::parse_bytea(string)?,
        other => return Err(unknown(other)),
    };
    Ok(Datum::Bytea(bytes.into()))
}

fn unknown(encoding: &str) -> SqlError {
    let message = format!("unrecognized encoding: \"{encoding}\"");
    SqlError::new(sqlstate::INVALID_PARAMETER_VALUE, message)
}

/// Lines of 76 characters, as PostgreSQL breaks them.
fn encode_base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 4 / 3 + 4);
    for (at, chunk) in bytes.chunks(3).enumerate() {
        if at != 0 && at % 19 == 0 {
            out.push('\n');
        }
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            if chunk.len() < i {
                out.push('=');
            } else {
                out.push(char::from(ALPHABET[(bits >> (18 - 6 * i) & 63) as usize]));
            }
        }
    }
    out
}

fn decode_base64(string: &str) -> Result<Vec<u8>, SqlError> {
    let fail = |message: String| SqlError::new(sqlstate::INVALID_PARAMETER_VALUE, message);
    let mut out = Vec::with_capacity(string.len() * 3 / 4);
    let (mut bits, mut count, mut padding) = (0u32, 0, 0);
    for c in string.chars().filter(|c| !matches!(c, ' ' | '\n' | '\r' | '\t')) {
        let value = if c == '=' && 2 <= count {
            padding += 1;
            0
        } else {
            let found = ALPHABET.iter().position(|byte| char::from(*byte) == c);
            let found = found.filter(|_| padding == 0).ok_or_else(|| {
                fail(format!("invalid symbol \"{c}\" found while decoding base64 sequence"))
            })?;
            found as u32
        };
        bits = bits << 6 | value;
        count += 1;
        if count == 4 {
            let bytes = bits.to_be_bytes();
            out.extend_from_slice(&bytes[1..4 - padding.min(2)]);
            (bits, count) = (0, 0);
        }
    }
    if count != 0 {
        return Err(fail("invalid base64 end sequence".to_owned())
            .hint("Input data is missing padding, is truncated, or is otherwise corrupted."));
    }
    Ok(out)
}

pub(super) fn md5(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let bytes = match args.datum(0) {
        Datum::Bytea(bytes) => bytes,
        _ => args.str(0)?.as_bytes(), // the other signature
    };
    text(hex(&md5_digest(bytes)))
}

pub(super) fn length(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    Ok(Datum::Int4(i32::try_from(args.bytes(0)?.len()).unwrap_or(i32::MAX)))
}

pub(super) fn concat(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let (left, right) = (args.bytes(0)?, args.bytes(1)?);
    check_size(left.len() + right.len())?;
    Ok(Datum::Bytea([left, right].concat().into()))
}

pub(super) fn substring(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let bytes = args.bytes(0)?;
    let len = if args.len() < 3 { None } else { Some(args.i64(2)?) };
    let (from, to) = super::string::window(args.i64(1)?, len, bytes.len())?;
    Ok(Datum::Bytea(bytes[from..to].into()))
}

pub(super) fn position(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let (bytes, part) = (args.bytes(0)?, args.bytes(1)?);
    let at = memchr::memmem::find(bytes, part).map_or(0, |at| at + 1);
    Ok(Datum::Int4(i32::try_from(at).unwrap_or(i32::MAX)))
}

pub(super) fn get_byte(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let (bytes, index) = (args.bytes(0)?, args.i64(1)?);
    let found = usize::try_from(index).ok().and_then(|index| bytes.get(index));
    found.map(|byte| Datum::Int4(i32::from(*byte))).ok_or_else(|| {
        let last = bytes.len() as i64 - 1;
        let message = format!("index {index} out of valid range, 0..{last}");
        SqlError::new(crate::base::error::SqlState::new("2202E"), message)
    })
}

/// Shifts of the four operations of each round.
const SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// RFC 1321. A checksum of SQL, not for secrets.
fn md5_digest(message: &[u8]) -> [u8; 16] {
    let mut state: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    // The RFC defines its constants by the sine.
    let constants: [u32; 64] =
        std::array::from_fn(|i| ((i as f64 + 1.0).sin().abs() * 4_294_967_296.0) as u32);
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend_from_slice(&(message.len() as u64).wrapping_mul(8).to_le_bytes());
    for block in padded.as_chunks::<64>().0 {
        let (words, _) = block.as_chunks::<4>();
        let [mut a, mut b, mut c, mut d] = state;
        for i in 0..64 {
            let (f, word) = match i / 16 {
                0 => ((b & c) | (!b & d), i),
                1 => ((d & b) | (!d & c), (5 * i + 1) % 16),
                2 => (b ^ c ^ d, (3 * i + 5) % 16),
                _ => (c ^ (b | !d), (7 * i) % 16),
            };
            let sum = a
                .wrapping_add(f)
                .wrapping_add(constants[i])
                .wrapping_add(u32::from_le_bytes(words[word]));
            (a, d, c) = (d, c, b);
            b = b.wrapping_add(sum.rotate_left(SHIFTS[i / 16][i % 4]));
        }
        for (part, value) in state.iter_mut().zip([a, b, c, d]) {
            *part = part.wrapping_add(value);
        }
    }
    let mut out = [0; 16];
    for (chunk, part) in out.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *chunk = part.to_le_bytes();
    }
    out
}
