//! Order, time, channels and endings of the stepper.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::channel::{mpsc, oneshot, watch};
use super::{JoinError, Mutex, StepOutcome, Stepper};
use crate::base::rng::Rng;
use crate::base::time::Mono;

const MANY: usize = 10_000;

type Notes = Rc<RefCell<Vec<String>>>;

fn stepper() -> (Stepper, Notes) {
    (Stepper::new(Rng::new(1)), Notes::default())
}

fn note(notes: &Notes, text: &str) {
    notes.borrow_mut().push(text.to_owned());
}

fn taken(notes: &Notes) -> String {
    std::mem::take(&mut *notes.borrow_mut()).join(" ")
}

fn ms(ms: u64) -> Mono {
    Mono::ZERO + Duration::from_millis(ms)
}

#[test]
fn tasks_run_in_the_order_they_were_woken() {
    let (mut stepper, notes) = stepper();
    for name in ["a", "b", "c"] {
        let (notes, step) = (notes.clone(), stepper.handle().clone());
        stepper.spawn(async move {
            note(&notes, name);
            step.yield_now().await;
            note(&notes, name);
        });
    }
    stepper.run_until_stalled(ms(0), MANY);
    assert_eq!(taken(&notes), "a b c a b c");
}

#[test]
fn a_run_is_bounded_and_says_so() {
    let (mut stepper, notes) = stepper();
    let (inner, step) = (notes.clone(), stepper.handle().clone());
    stepper.spawn(async move {
        for _ in 0..10 {
            note(&inner, "x");
            step.yield_now().await;
        }
    });
    assert_eq!(stepper.run_until_stalled(ms(0), 4), StepOutcome { polls: 4, more: true });
    assert_eq!(taken(&notes), "x x x x");
    assert!(!stepper.run_until_stalled(ms(0), MANY).more);
    assert_eq!(stepper.handle().task_count(), 0);
}

#[test]
fn timers_fire_by_deadline_and_then_by_creation() {
    let (mut stepper, notes) = stepper();
    for (name, at) in [("late", 20), ("first", 10), ("second", 10)] {
        let (notes, step) = (notes.clone(), stepper.handle().clone());
        stepper.spawn(async move {
            step.sleep_until(ms(at)).await;
            note(&notes, name);
        });
    }
    stepper.run_until_stalled(ms(1), MANY);
    assert_eq!(stepper.next_timer(), Some(ms(10)));
    stepper.run_until_stalled(ms(9), MANY);
    assert_eq!(taken(&notes), "");
    stepper.run_until_stalled(ms(30), MANY);
    assert_eq!(taken(&notes), "first second late");
    assert_eq!(stepper.next_timer(), None);
    stepper.run_until_stalled(ms(2), MANY);
    assert_eq!(stepper.handle().now(), ms(30), "time went back");
}

#[test]
fn a_timeout_prefers_the_value_and_disarms() {
    let (mut stepper, notes) = stepper();
    let (sender, receiver) = oneshot::channel();
    let (inner, step) = (notes.clone(), stepper.handle().clone());
    stepper.spawn(async move {
        let got = step.timeout(Duration::from_millis(5), receiver).await;
        note(&inner, &format!("{got:?}"));
        let never = step.timeout(Duration::from_millis(5), std::future::pending::<()>()).await;
        note(&inner, &format!("{never:?}"));
    });
    stepper.run_until_stalled(ms(0), MANY);
    assert_eq!(sender.send(7), Ok(()));
    stepper.run_until_stalled(ms(5), MANY);
    assert_eq!(taken(&notes), "Ok(Ok(7))");
    assert_eq!(stepper.handle().timer_count(), 1);
    stepper.run_until_stalled(ms(10), MANY);
    assert_eq!(taken(&notes), "Err(Elapsed)");
}

struct Dropped(Notes, &'static str);

impl Drop for Dropped {
    fn drop(&mut self) {
        note(&self.0, self.1);
    }
}

#[test]
fn abort_drops_now_and_tells_who_waits() {
    let (mut stepper, notes) = stepper();
    let held = Dropped(notes.clone(), "freed");
    let task = stepper.spawn(async move {
        let _held = held;
        std::future::pending::<()>().await;
    });
    stepper.run_until_stalled(ms(0), MANY);
    assert_eq!(taken(&notes), "");
    task.abort();
    assert_eq!(taken(&notes), "freed");
    assert!(task.is_finished());
    let waited = stepper.spawn(task);
    stepper.run_until_stalled(ms(0), MANY);
    assert!(waited.is_finished());
    assert_eq!(stepper.handle().task_count(), 0);
}

#[test]
fn a_dropped_handle_lets_the_task_run() {
    let (mut stepper, notes) = stepper();
    let inner = notes.clone();
    drop(stepper.spawn(async move { note(&inner, "ran") }));
    stepper.run_until_stalled(ms(0), MANY);
    assert_eq!(taken(&notes), "ran");
}

#[test]
fn a_late_wake_does_not_reach_the_next_tenant() {
    let (mut stepper, notes) = stepper();
    let (sender, receiver) = oneshot::channel::<()>();
    let first = stepper.spawn(async move {
        let _ = receiver.await;
    });
    stepper.run_until_stalled(ms(0), MANY);
    assert_eq!(sender.send(()), Ok(()));
    first.abort();
    let inner = notes.clone();
    stepper.spawn(async move {
        note(&inner, "once");
        std::future::pending::<()>().await;
    });
    stepper.run_until_stalled(ms(0), MANY);
    assert_eq!(taken(&notes), "once");
}

#[test]
fn dropping_the_stepper_ends_every_task_inside_it() {
    let (mut stepper, notes) = stepper();
    struct Inside(Notes);
    impl Drop for Inside {
        fn drop(&mut self) {
            note(&self.0, if super::ambient::is_entered() { "inside" } else { "outside" });
        }
    }
    let held = Inside(notes.clone());
    let task = stepper.spawn(async move {
        let _held = held;
        std::future::pending::<()>().await;
    });
    stepper.run_until_stalled(ms(0), MANY);
    drop(stepper);
    assert_eq!(taken(&notes), "inside");
    assert!(task.is_finished());
}

#[test]
fn a_full_channel_holds_senders_in_order() {
    let (mut stepper, notes) = stepper();
    let (sender, mut receiver) = mpsc::channel(1);
    for value in [1, 2, 3] {
        let (sender, notes) = (sender.clone(), notes.clone());
        stepper.spawn(async move {
            let sent = sender.send(value).await.is_ok();
            note(&notes, &format!("sent{value}:{sent}"));
        });
    }
    drop(sender);
    stepper.run_until_stalled(ms(0), MANY);
    assert_eq!(taken(&notes), "sent1:true");
    let inner = notes.clone();
    stepper.spawn(async move {
        while let Some(value) = receiver.recv().await {
            note(&inner, &format!("got{value}"));
        }
        note(&inner, "end");
    });
    stepper.run_until_stalled(ms(0), MANY);
    assert_eq!(taken(&notes), "got1 sent2:true got2 sent3:true got3 end");
}

#[test]
fn a_sender_that_gives_up_passes_its_room_on() {
    let (mut stepper, notes) = stepper();
    let (sender, mut receiver) = mpsc::channel(1);
    assert!(sender.try_send(0).is_ok());
    let first = sender.clone();
    let first = stepper.spawn(async move {
        let _ = first.send(1).await;
    });
    let (second, inner) = (sender.clone(), notes.clone());
    stepper.spawn(async move {
        let _ = second.send(2).await;
        note(&inner, "second");
    });
    stepper.run_until_stalled(ms(0), MANY);
    assert_eq!(receiver.try_recv(), Ok(0));
    first.abort();
    stepper.run_until_stalled(ms(0), MANY);
    assert_eq!(taken(&notes), "second");
    assert_eq!(receiver.try_recv(), Ok(2));
}

#[test]
fn a_watch_shows_the_newest_value_once() {
    let (mut stepper, notes) = stepper();
    let (sender, mut receiver) = watch::channel(0);
    let inner = notes.clone();
    stepper.spawn(async move {
        while receiver.changed().await.is_ok() {
            note(&inner, &receiver.borrow().to_string());
        }
        note(&inner, "closed");
    });
    stepper.run_until_stalled(ms(0), MANY);
    assert_eq!(sender.send(1), Ok(()));
    assert_eq!(sender.send(2), Ok(()));
    stepper.run_until_stalled(ms(0), MANY);
    assert!(!sender.send_if_modified(|_| false));
    stepper.run_until_stalled(ms(0), MANY);
    assert_eq!(taken(&notes), "2");
    assert!(sender.send_if_modified(|value| {
        *value = 3;
        true
    }));
    drop(sender);
    stepper.run_until_stalled(ms(0), MANY);
    assert_eq!(taken(&notes), "3 closed");
}

#[test]
fn a_closer_ends_a_wait_unless_the_value_came_first() {
    let (sender, mut receiver) = oneshot::channel::<u8>();
    receiver.closer().close();
    assert_eq!(receiver.try_recv(), Err(oneshot::Canceled));
    drop(sender);
    let (sender, mut receiver) = oneshot::channel();
    let closer = receiver.closer();
    assert_eq!(sender.send(1), Ok(()));
    closer.close();
    assert_eq!(receiver.try_recv(), Ok(Some(1)));
    assert!(!closer.is_over());
    drop(receiver);
    assert!(closer.is_over());
}

#[test]
fn a_mutex_is_first_come_first_served() {
    let (mut stepper, notes) = stepper();
    let mutex = Rc::new(Mutex::new(0));
    let mut tasks = Vec::new();
    for name in ["a", "b", "c"] {
        let (mutex, notes, step) = (mutex.clone(), notes.clone(), stepper.handle().clone());
        tasks.push(stepper.spawn(async move {
            let mut guard = mutex.lock().await;
            *guard += 1;
            step.sleep(Duration::from_millis(1)).await;
            note(&notes, &format!("{name}{}", *guard));
        }));
    }
    stepper.run_until_stalled(ms(0), MANY);
    tasks[1].abort();
    for at in 1..5 {
        stepper.run_until_stalled(ms(at), MANY);
    }
    assert_eq!(taken(&notes), "a1 c2");
    let joined = stepper.spawn(async move { tasks.remove(1).await });
    stepper.run_until_stalled(ms(9), MANY);
    let check = stepper.spawn(async move { assert_eq!(joined.await, Ok(Err(JoinError::Aborted))) });
    stepper.run_until_stalled(ms(9), MANY);
    assert!(check.is_finished());
}
