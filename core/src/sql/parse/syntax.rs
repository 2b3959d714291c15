//! Syntax errors as PostgreSQL words them.

use crate::base::error::{SqlError, sqlstate};

/// `syntax error at or near "token"`.
pub(super) fn error_near(token: &str, position: u32) -> SqlError {
    SqlError::new(sqlstate::SYNTAX_ERROR, format!("syntax error at or near \"{token}\""))
        .at(position)
}

/// `syntax error at end of input`.
pub(super) fn error_at_end(position: u32) -> SqlError {
    SqlError::new(sqlstate::SYNTAX_ERROR, "syntax error at end of input").at(position)
}

/// `what at or near "token"`, for the complaints of the scanner.
pub(super) fn scan_error(what: &str, token: &str, position: u32) -> SqlError {
    SqlError::new(sqlstate::SYNTAX_ERROR, format!("{what} at or near \"{token}\"")).at(position)
}

/// A clause that PostgreSQL has and we do not.
pub(super) fn unsupported(what: &str, position: u32) -> SqlError {
    SqlError::unsupported(what).at(position)
}

/// The statement nests too deeply, or chains too many operators.
pub(super) fn too_complex(position: u32) -> SqlError {
    SqlError::new(sqlstate::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
        .detail(format!(
            "An expression may nest {} levels deep and chain {} operators.",
            crate::base::limit::NESTING_MAX,
            super::limits::OPERATOR_DEPTH_MAX,
        ))
        .at(position)
}
