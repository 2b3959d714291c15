//! Whether text is JSON (RFC 8259). `json` keeps its text as it was written.

use crate::base::error::{SqlError, sqlstate};

/// Nesting of arrays and objects.
const DEPTH_MAX: usize = 512;

/// Checks the syntax.
///
/// # Errors
///
/// 22P02 if it is not JSON, 54001 if it nests too deeply.
pub(super) fn check(text: &str) -> Result<(), SqlError> {
    let mut checker = Checker { bytes: text.as_bytes(), at: 0 };
    let whole = checker.value(0).and_then(|()| {
        checker.blanks();
        if checker.at == checker.bytes.len() { Ok(()) } else { Err(Fault::Syntax) }
    });
    whole.map_err(|fault| match fault {
        Fault::Syntax => SqlError::new(
            sqlstate::INVALID_TEXT_REPRESENTATION,
            "invalid input syntax for type json",
        ),
        Fault::Depth => {
            SqlError::new(sqlstate::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
        }
    })
}

enum Fault {
    Syntax,
    Depth,
}

struct Checker<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Checker<'_> {
    fn blanks(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, word: &str) -> Result<(), Fault> {
        if self.bytes[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else {
            Err(Fault::Syntax)
        }
    }

    fn value(&mut self, depth: usize) -> Result<(), Fault> {
        if DEPTH_MAX < depth {
            return Err(Fault::Depth);
        }
        self.blanks();
        match self.bytes.get(self.at) {
            Some(b'{') => self.items(depth, b'}', true),
            Some(b'[') => self.items(depth, b']', false),
            Some(b'"') => self.string(),
            Some(b't') => self.expect("true"),
            Some(b'f') => self.expect("false"),
            Some(b'n') => self.expect("null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(Fault::Syntax),
        }
    }

    fn items(&mut self, depth: usize, end: u8, named: bool) -> Result<(), Fault> {
        self.at += 1;
        self.blanks();
        if self.eat(end) {
            return Ok(());
        }
        loop {
            if named {
                self.blanks();
                self.string()?;
                self.blanks();
                if !self.eat(b':') {
                    return Err(Fault::Syntax);
                }
            }
            self.value(depth + 1)?;
            self.blanks();
            if self.eat(end) {
                return Ok(());
            }
            if !self.eat(b',') {
                return Err(Fault::Syntax);
            }
        }
    }

    fn string(&mut self) -> Result<(), Fault> {
        if !self.eat(b'"') {
            return Err(Fault::Syntax);
        }
        loop {
            let byte = *self.bytes.get(self.at).ok_or(Fault::Syntax)?;
            self.at += 1;
            match byte {
                b'"' => return Ok(()),
                0..=0x1f => return Err(Fault::Syntax),
                b'\\' => {
                    let escape = *self.bytes.get(self.at).ok_or(Fault::Syntax)?;
                    self.at += 1;
                    match escape {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                        b'u' => {
                            let hex = self.bytes.get(self.at..self.at + 4).ok_or(Fault::Syntax)?;
                            if !hex.iter().all(u8::is_ascii_hexdigit) {
                                return Err(Fault::Syntax);
                            }
                            self.at += 4;
                        }
                        _ => return Err(Fault::Syntax),
                    }
                }
                _ => {} // any other character
            }
        }
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if start < self.at { Ok(()) } else { Err(Fault::Syntax) }
    }

    fn number(&mut self) -> Result<(), Fault> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        Ok(())
    }
}
