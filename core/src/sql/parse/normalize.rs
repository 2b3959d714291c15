//! The plan cache's key for a statement of the simple protocol: its text with the literals taken out.
//!
//! `SELECT a FROM t WHERE id = 42` becomes `SELECT a FROM t WHERE id = $1` and the literal 42. One
//! pass over the bytes, no tokens, no allocation once the buffers have grown: the hot statements of a
//! client that does not prepare differ in their literals only, and this look is all that they cost.
//!
//! - The statement with parameters, given the types that the literals had, means the same as the text.
//!   What could mean something else is refused: numbers in ORDER BY and GROUP BY (ordinals), casts,
//!   escapes, comments, several statements.
//! - A literal that the grammar wants to be one (`date '…'`) makes a statement that does not parse or
//!   bind. The caller then takes the text as it is, and the error, if it is one, has its position.
//! - Two statements with one key have literals of the same kinds.

/// Longer texts differ in more than their literals; parsing them is not what they wait for.
const BYTES_MAX: usize = 4_096;
/// A statement with more literals is a bulk load.
const LITERALS_MAX: usize = 64;

/// The type that a literal has before anything looks at its surroundings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TextLiteralKind {
    /// A whole number that fits 32 bits.
    Int4,
    /// A whole number that fits 64 bits only.
    Int8,
    /// Any other number.
    Numeric,
    /// A string: of unknown type until its surroundings say.
    String,
}

/// A literal that was taken out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TextLiteral {
    /// Its type.
    pub kind: TextLiteralKind,
    /// Its value, if it is an integer.
    pub integer: i64,
    /// First byte of its text; of a string, the first byte behind the quote.
    pub start: u32,
    /// First byte behind its text; of a string, the closing quote.
    pub end: u32,
    /// A string in which quotes are doubled.
    pub doubled: bool,
}

impl TextLiteral {
    /// The literal's value as text, given the statement that it was taken from.
    pub fn text<'a>(&self, statement: &'a str) -> std::borrow::Cow<'a, str> {
        let raw = statement.get(self.start as usize..self.end as usize).unwrap_or_default();
        if self.doubled { raw.replace("''", "'").into() } else { raw.into() }
    }
}

/// Buffers for [`normalize`], to be used again and again.
#[derive(Clone, Debug, Default)]
pub struct NormalizedText {
    key: String,
    statement_len: usize,
    literals: Vec<TextLiteral>,
}

impl NormalizedText {
    /// The key: the statement, a zero byte and one letter for each literal's kind.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The statement with `$1`, `$2`, … for its literals.
    pub fn statement(&self) -> &str {
        self.key.get(..self.statement_len).unwrap_or_default()
    }

    /// The literals, `$1` first.
    pub fn literals(&self) -> &[TextLiteral] {
        &self.literals
    }
}

/// Takes the literals out of `text`. False, and nothing useful in `out`, if that is not safe.
#[must_use]
pub fn normalize(text: &str, out: &mut NormalizedText) -> bool {
    out.key.clear();
    out.literals.clear();
    out.statement_len = 0;
    if BYTES_MAX < text.len() || !is_row_statement(text) {
        return false;
    }
    let scan = Scanner { text, bytes: text.as_bytes(), at: 0, copied: 0, ordinals: false, out };
    scan.run()
}

/// Whether it begins with one of the four verbs whose literals are values.
fn is_row_statement(text: &str) -> bool {
    let bytes = text.as_bytes();
    ["select", "update", "insert", "delete"].iter().any(|verb| {
        bytes.get(..verb.len()).is_some_and(|head| head.eq_ignore_ascii_case(verb.as_bytes()))
    })
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// Everything before this byte is in the key.
    copied: usize,
    /// Inside ORDER BY or GROUP BY, where a number is an ordinal.
    ordinals: bool,
    out: &'a mut NormalizedText,
}

impl Scanner<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn run(mut self) -> bool {
        while let Some(byte) = self.bytes.get(self.at) {
            let fine = match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => self.word(),
                b'0'..=b'9' => self.number(),
                b'.' if self.peek(1).is_ascii_digit() => self.number(),
                b'\'' => self.string(),
                b'"' => self.quoted_name(),
                b';' => self.end(),
                // A parameter or a dollar quote; an escape; a literal zero byte.
                b'$' | b'\\' | 0 => false,
                b'-' if self.peek(1) == b'-' => false,
                b'/' if self.peek(1) == b'*' => false,
                b':' if self.peek(1) == b':' => false,
                b')' => {
                    self.ordinals = false;
                    self.at += 1;
                    true
                }
                _ => {
                    self.at += 1;
                    true
                }
            };
            if !fine {
                return false;
            }
        }
        self.finish();
        true
    }

    fn finish(&mut self) {
        self.out.key.push_str(self.text.get(self.copied..).unwrap_or_default());
        self.out.statement_len = self.out.key.len();
        self.out.key.push('\0');
        for literal in &self.out.literals {
            self.out.key.push(match literal.kind {
                TextLiteralKind::Int4 => 'i',
                TextLiteralKind::Int8 => 'b',
                TextLiteralKind::Numeric => 'n',
                TextLiteralKind::String => 's',
            });
        }
    }

    fn word(&mut self) -> bool {
        let start = self.at;
        while matches!(self.peek(0), b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'$' | 0x80..)
        {
            self.at += 1;
        }
        // `E'…'`, `B'…'`, `X'…'`, `N'…'`, `U&'…'`.
        if self.peek(0) == b'\'' || (self.peek(0) == b'&' && self.peek(1) == b'\'') {
            return false;
        }
        let word = &self.bytes[start..self.at];
        match word.len() {
            2 if word.eq_ignore_ascii_case(b"by") => self.ordinals = true,
            5 if word.eq_ignore_ascii_case(b"limit") => self.ordinals = false,
            6 if word.eq_ignore_ascii_case(b"offset") || word.eq_ignore_ascii_case(b"having") => {
                self.ordinals = false;
            }
            _ => {}
        }
        true
    }

    fn number(&mut self) -> bool {
        let start = self.at;
        let mut integer = 0u64;
        let mut fits = true;
        while self.peek(0).is_ascii_digit() {
            let digit = u64::from(self.peek(0) - b'0');
            match integer.checked_mul(10).and_then(|tens| tens.checked_add(digit)) {
                Some(value) => integer = value,
                None => fits = false,
            }
            self.at += 1;
        }
        let whole = self.at;
        if self.peek(0) == b'.' {
            self.at += 1;
            while self.peek(0).is_ascii_digit() {
                self.at += 1;
            }
        }
        if matches!(self.peek(0), b'e' | b'E') {
            let sign = usize::from(matches!(self.peek(1), b'+' | b'-'));
            if !self.peek(1 + sign).is_ascii_digit() {
                return false;
            }
            self.at += 1 + sign;
            while self.peek(0).is_ascii_digit() {
                self.at += 1;
            }
        }
        // Junk behind a number is an error whose place the parser knows.
        if self.ordinals || matches!(self.peek(0), b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'.' | 0x80..)
        {
            return false;
        }
        let value = if fits && whole == self.at { i64::try_from(integer).ok() } else { None };
        let kind = match value {
            Some(value) if i32::try_from(value).is_ok() => TextLiteralKind::Int4,
            Some(_) => TextLiteralKind::Int8,
            None => TextLiteralKind::Numeric,
        };
        self.take(start, self.at, (start, self.at), kind, value.unwrap_or(0), false)
    }

    fn string(&mut self) -> bool {
        let open = self.at;
        let mut doubled = false;
        self.at += 1;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(quote) = memchr::memchr(b'\'', rest) else { return false };
            self.at += quote + 1;
            if self.peek(0) != b'\'' {
                break;
            }
            doubled = true;
            self.at += 1;
        }
        if self.ordinals || matches!(self.peek(0), b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80..) {
            return false;
        }
        let inner = (open + 1, self.at - 1);
        self.take(open, self.at, inner, TextLiteralKind::String, 0, doubled)
    }

    /// Replaces the bytes from `start` to `end` by the next parameter.
    fn take(
        &mut self,
        start: usize,
        end: usize,
        inner: (usize, usize),
        kind: TextLiteralKind,
        integer: i64,
        doubled: bool,
    ) -> bool {
        let number = self.out.literals.len() + 1;
        if LITERALS_MAX < number {
            return false;
        }
        self.out.key.push_str(self.text.get(self.copied..start).unwrap_or_default());
        self.out.key.push('$');
        if 10 <= number {
            self.out.key.push(char::from(b'0' + (number / 10) as u8));
        }
        self.out.key.push(char::from(b'0' + (number % 10) as u8));
        self.copied = end;
        let (start, end) = (inner.0 as u32, inner.1 as u32);
        self.out.literals.push(TextLiteral { kind, integer, start, end, doubled });
        true
    }

    fn quoted_name(&mut self) -> bool {
        self.at += 1;
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        match memchr::memchr(b'"', rest) {
            Some(quote) => {
                self.at += quote + 1;
                true
            }
            None => false,
        }
    }

    /// A semicolon: only white space may follow, and neither is part of the key.
    fn end(&mut self) -> bool {
        let rest = &self.bytes[self.at + 1..];
        if !rest.iter().all(u8::is_ascii_whitespace) {
            return false;
        }
        self.bytes = &self.bytes[..self.at];
        self.text = &self.text[..self.at];
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Option<(String, Vec<String>)> {
        let mut out = NormalizedText::default();
        normalize(text, &mut out).then(|| {
            let literals = out.literals().iter().map(|l| l.text(text).into_owned()).collect();
            (out.key().to_owned(), literals)
        })
    }

    #[test]
    fn pgbench_statement_gives_its_literals() {
        let (key, literals) =
            run("UPDATE pgbench_accounts SET abalance = abalance + -4711 WHERE aid = 4294967296;")
                .unwrap();
        assert_eq!(key, "UPDATE pgbench_accounts SET abalance = abalance + -$1 WHERE aid = $2\0ib");
        assert_eq!(literals, ["4711", "4294967296"]);
    }

    #[test]
    fn kinds_follow_postgresql() {
        let (key, literals) =
            run("select 2147483647, 2147483648, 9223372036854775808, 1.5, .5, 1e3, 'it''s', ''")
                .unwrap();
        assert!(key.ends_with("\0ibnnnnss"), "{key}");
        assert_eq!(literals[6..], ["it's", ""]);
    }

    #[test]
    fn names_keep_their_digits() {
        let (key, _) = run("SELECT c1, \"x'1\" FROM sbtest1 WHERE id=7 LIMIT 10").unwrap();
        assert_eq!(key, "SELECT c1, \"x'1\" FROM sbtest1 WHERE id=$1 LIMIT $2\0ii");
    }

    #[test]
    fn what_could_mean_something_else_is_refused() {
        for text in [
            "select a from t order by 1",
            "select a, count(*) from t group by 1, 2",
            "select a from t order by a, 2 desc",
            "select '1'::int",
            "select E'a\\n'",
            "select U&'d'",
            "select 1 -- 2",
            "select 1 /* 2 */",
            "select 1; select 2",
            "select $1",
            "select $$a$$",
            "select 1a",
            "select 'open",
            "begin",
            "set x = 1",
        ] {
            assert_eq!(run(text), None, "{text}");
        }
    }

    #[test]
    fn a_limit_behind_an_order_is_a_value() {
        let (key, _) = run("select a from t order by a limit 5 offset 3").unwrap();
        assert_eq!(key, "select a from t order by a limit $1 offset $2\0ii");
    }

    #[test]
    fn bulk_loads_are_refused_at_the_bound() {
        let values =
            |count: usize| format!("insert into t values ({})", vec!["1"; count].join(","));
        assert!(run(&values(LITERALS_MAX)).is_some());
        assert!(run(&values(LITERALS_MAX + 1)).is_none());
    }
}
