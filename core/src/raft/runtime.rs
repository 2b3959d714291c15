//! openraft's runtime, over the stepper.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

use openraft_rt::{AsyncRuntime, OptionalSend};
use rand_core::TryRng;

use super::runtime_channel::{StepMpsc, StepOneshot, StepWatch};
use crate::base::time::Mono;
use crate::step::{Elapsed, JoinError, Mutex, Sleep, StepHandle, TaskHandle, Timeout, ambient};

/// The stepper that is entered. openraft knows only static methods, so this has no state.
#[derive(Debug)]
pub(super) struct StepRuntime;

/// A moment of the stepper's time.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub(super) struct StepInstant(pub(super) Mono);

impl Add<Duration> for StepInstant {
    type Output = Self;
    fn add(self, rhs: Duration) -> Self {
        Self(self.0 + rhs)
    }
}

impl AddAssign<Duration> for StepInstant {
    fn add_assign(&mut self, rhs: Duration) {
        *self = *self + rhs;
    }
}

impl Sub<Duration> for StepInstant {
    type Output = Self;
    fn sub(self, rhs: Duration) -> Self {
        Self(self.0 - rhs)
    }
}

impl SubAssign<Duration> for StepInstant {
    fn sub_assign(&mut self, rhs: Duration) {
        *self = *self - rhs;
    }
}

impl Sub<Self> for StepInstant {
    type Output = Duration;
    fn sub(self, rhs: Self) -> Duration {
        self.0.since(rhs.0)
    }
}

impl openraft_rt::Instant for StepInstant {
    fn now() -> Self {
        Self(ambient::current().now())
    }
}

/// The stepper's random stream.
pub(super) struct StepRng(StepHandle);

impl TryRng for StepRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.0.random_u64() >> 32) as u32)
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.random_u64())
    }
    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        for chunk in dst.chunks_mut(8) {
            let word = self.0.random_u64().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        Ok(())
    }
}

impl AsyncRuntime for StepRuntime {
    type JoinError = JoinError;
    type JoinHandle<T: OptionalSend + 'static> = TaskHandle<T>;
    type Sleep = Sleep;
    type Instant = StepInstant;
    type TimeoutError = Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = Timeout<T>;
    type ThreadLocalRng = StepRng;
    type Mpsc = StepMpsc;
    type Watch = StepWatch;
    type Oneshot = StepOneshot;
    type Mutex<T: OptionalSend + 'static> = Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        ambient::current().spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        ambient::current().sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        ambient::current().sleep_until(deadline.0)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        ambient::current().timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: Self::Instant,
        future: F,
    ) -> Self::Timeout<R, F> {
        ambient::current().timeout_at(deadline.0, future)
    }

    fn is_panic(_join_error: &Self::JoinError) -> bool {
        // A panic in a task is not caught: it stops the process.
        false
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        StepRng(ambient::current())
    }

    fn new(_threads: usize) -> Self {
        Self
    }

    fn block_on<F, T>(&mut self, _future: F) -> T
    where
        F: Future<Output = T>,
    {
        unreachable!("the stepped runtime is driven by its node and never blocks")
    }

    /// The trait's default starts a thread.
    fn spawn_blocking<F, T>(f: F) -> impl Future<Output = Result<T, io::Error>> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        std::future::ready(Ok(f()))
    }
}
