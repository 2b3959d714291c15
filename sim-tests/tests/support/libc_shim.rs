//! The C library's clock and randomness, for threads that ask for a fake.
//!
//! std reads the clock and draws its hash keys through these two symbols, and so do hyper and h2.
//! Defined in the test's binary they come before the C library's. A thread without a guard gets the
//! kernel's answers.
//!
//! Not for a binary that links madsim, which defines the same symbols.
//!
//! # Invariants
//!
//! * One fresh thread for each run: std draws the keys of a thread's hash maps once, and keeps them.
//! * The guard is entered before anything of the simulation is built.

#![allow(unsafe_code, reason = "the C library's own signatures")]

use std::cell::Cell;
use std::time::Duration;

use libc::{c_int, c_uint, c_void, clockid_t, size_t, ssize_t, timespec};

/// Where a fake clock begins: a Tuesday of 2023, and boot time a while before it.
const ORIGIN_S: i64 = 1_700_000_000;

#[derive(Clone, Copy)]
struct Fake {
    time: Duration,
    random: u64,
}

thread_local! {
    // Without a destructor and without a first use: the C library may call at any moment.
    static FAKE: Cell<Option<Fake>> = const { Cell::new(None) };
}

/// While it lives, this thread's clock and randomness are fake.
#[derive(Debug)]
pub(crate) struct Guard(());

impl Guard {
    /// A clock that stands still, and randomness from a seed.
    pub(crate) fn enter(seed: u64) -> Self {
        FAKE.set(Some(Fake { time: Duration::ZERO, random: seed }));
        Self(())
    }

    /// Puts the clock forward.
    pub(crate) fn set_time(&self, time: Duration) {
        FAKE.set(FAKE.get().map(|fake| Fake { time, ..fake }));
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        FAKE.set(None);
    }
}

/// splitmix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// # Safety
///
/// As the C library's: `out` points at a timespec.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: clockid_t, out: *mut timespec) -> c_int {
    let Some(fake) = FAKE.get() else {
        // SAFETY: the caller's promise, passed on.
        return unsafe { libc::syscall(libc::SYS_clock_gettime, clock, out) as c_int };
    };
    // SAFETY: the caller's promise.
    unsafe {
        (*out).tv_sec = ORIGIN_S + fake.time.as_secs() as i64;
        (*out).tv_nsec = i64::from(fake.time.subsec_nanos());
    }
    0
}

/// # Safety
///
/// As the C library's: `buffer` points at `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut c_void, len: size_t, flags: c_uint) -> ssize_t {
    let Some(mut fake) = FAKE.get() else {
        // SAFETY: the caller's promise, passed on.
        return unsafe { libc::syscall(libc::SYS_getrandom, buffer, len, flags) as ssize_t };
    };
    // SAFETY: the caller's promise; bytes need no alignment.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), len) };
    for piece in bytes.chunks_mut(8) {
        let word = next(&mut fake.random).to_le_bytes();
        piece.copy_from_slice(&word[..piece.len()]);
    }
    FAKE.set(Some(fake));
    len as ssize_t
}
