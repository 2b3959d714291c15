//! A walk down a tree that the stack may not carry.

/// Bytes that a level of a walk needs at most, with a good margin.
const RED_ZONE_BYTES: usize = 128 << 10;
/// Bytes of each further piece of stack.
const PIECE_BYTES: usize = 1 << 20;

/// Runs one level of a recursive walk, on a further piece of stack if this one nears its end. Depth is
/// bounded elsewhere ([`crate::base::limit::NESTING_MAX`]); this makes the bound hold on any thread.
pub fn with_stack<R>(level: impl FnOnce() -> R) -> R {
    stacker::maybe_grow(RED_ZONE_BYTES, PIECE_BYTES, level)
}
