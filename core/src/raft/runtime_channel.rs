//! openraft's channels, over the stepper's.

use std::cell::Ref;

use openraft_rt::{
    Mpsc, MpscReceiver, MpscSender, MpscWeakSender, Oneshot, OneshotSender, OptionalSend,
    OptionalSync, RecvError, SendError, TryRecvError, Watch, WatchReceiver, WatchSender, watch,
};

use crate::step::channel::{mpsc, oneshot, watch as step_watch};
use crate::step::{Mutex, MutexGuard};

pub(super) struct StepMpsc;
pub(super) struct StepWatch;
pub(super) struct StepOneshot;

impl Mpsc for StepMpsc {
    type Sender<T: OptionalSend> = mpsc::Sender<T>;
    type Receiver<T: OptionalSend> = mpsc::Receiver<T>;
    type WeakSender<T: OptionalSend> = mpsc::WeakSender<T>;

    fn channel<T: OptionalSend>(buffer: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
        mpsc::channel(buffer)
    }
}

impl<T: OptionalSend> MpscSender<StepMpsc, T> for mpsc::Sender<T> {
    async fn send(&self, msg: T) -> Result<(), SendError<T>> {
        // Nearly always there is room: no future to poll then.
        match self.try_send(msg) {
            Ok(()) => Ok(()),
            Err(mpsc::TrySendError::Closed(msg)) => Err(SendError(msg)),
            Err(mpsc::TrySendError::Full(msg)) => {
                mpsc::Sender::send(self, msg).await.map_err(|closed| SendError(closed.0))
            }
        }
    }

    fn downgrade(&self) -> mpsc::WeakSender<T> {
        mpsc::Sender::downgrade(self)
    }
}

impl<T: OptionalSend> MpscWeakSender<StepMpsc, T> for mpsc::WeakSender<T> {
    fn upgrade(&self) -> Option<mpsc::Sender<T>> {
        mpsc::WeakSender::upgrade(self)
    }
}

impl<T: OptionalSend> MpscReceiver<T> for mpsc::Receiver<T> {
    async fn recv(&mut self) -> Option<T> {
        mpsc::Receiver::recv(self).await
    }

    fn try_recv(&mut self) -> Result<T, TryRecvError> {
        mpsc::Receiver::try_recv(self).map_err(|e| match e {
            mpsc::TryRecvError::Empty => TryRecvError::Empty,
            mpsc::TryRecvError::Disconnected => TryRecvError::Disconnected,
        })
    }
}

impl Watch for StepWatch {
    type Sender<T: OptionalSend + OptionalSync> = step_watch::Sender<T>;
    type Receiver<T: OptionalSend + OptionalSync> = step_watch::Receiver<T>;
    type Ref<'a, T: OptionalSend + 'a> = Ref<'a, T>;

    fn channel<T: OptionalSend + OptionalSync>(init: T) -> (Self::Sender<T>, Self::Receiver<T>) {
        step_watch::channel(init)
    }
}

impl<T: OptionalSend + OptionalSync> WatchSender<StepWatch, T> for step_watch::Sender<T> {
    fn send(&self, value: T) -> Result<(), watch::SendError<T>> {
        step_watch::Sender::send(self, value).map_err(watch::SendError)
    }

    fn send_if_modified<F>(&self, modify: F) -> bool
    where
        F: FnOnce(&mut T) -> bool,
    {
        step_watch::Sender::send_if_modified(self, modify)
    }

    fn borrow_watched(&self) -> Ref<'_, T> {
        self.borrow()
    }

    fn subscribe(&self) -> step_watch::Receiver<T> {
        step_watch::Sender::subscribe(self)
    }
}

impl<T: OptionalSend + OptionalSync> WatchReceiver<StepWatch, T> for step_watch::Receiver<T> {
    async fn changed(&mut self) -> Result<(), RecvError> {
        step_watch::Receiver::changed(self).await.map_err(|step_watch::Closed| RecvError(()))
    }

    fn borrow_watched(&self) -> Ref<'_, T> {
        self.borrow()
    }

    fn borrow_and_update(&mut self) -> Ref<'_, T> {
        step_watch::Receiver::borrow_and_update(self)
    }
}

impl Oneshot for StepOneshot {
    type Sender<T: OptionalSend> = oneshot::Sender<T>;
    type Receiver<T: OptionalSend> = oneshot::Receiver<T>;
    type ReceiverError = oneshot::Canceled;

    fn channel<T>() -> (Self::Sender<T>, Self::Receiver<T>)
    where
        T: OptionalSend,
    {
        oneshot::channel()
    }
}

impl<T: OptionalSend> OneshotSender<T> for oneshot::Sender<T> {
    fn send(self, t: T) -> Result<(), T> {
        oneshot::Sender::send(self, t)
    }
}

impl<T: OptionalSend + 'static> openraft_rt::Mutex<T> for Mutex<T> {
    type Guard<'a> = MutexGuard<'a, T>;

    fn new(value: T) -> Self {
        Mutex::new(value)
    }

    async fn lock(&self) -> Self::Guard<'_> {
        Mutex::lock(self).await
    }
}
