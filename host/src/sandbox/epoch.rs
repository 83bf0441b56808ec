//! The tick that makes the component let go of the processor.
//!
//! Code that runs without an end gives no future a chance to be polled, a time-out neither. So the
//! component is compiled to look at the engine's epoch, and yields when it has moved on. A thread
//! moves it while there are calls, and sleeps while there are none.

use std::sync::{Condvar, LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use wasmtime::Engine;

/// The component yields as often.
const TICK: Duration = Duration::from_millis(10);

/// A call that is under way.
#[must_use]
pub(super) struct Call(());

static CALLS: LazyLock<Calls> = LazyLock::new(Calls::default);

#[derive(Default)]
struct Calls {
    under_way: Mutex<usize>,
    first: Condvar,
}

impl Call {
    pub(super) fn begin() -> Self {
        let mut under_way = CALLS
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *under_way += 1;
        if *under_way == 1 {
            CALLS.first.notify_one();
        }
        Self(())
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        *CALLS
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner) -= 1;
    }
}

/// Moves the epoch of `engine` from now on.
pub(super) fn start(engine: &Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    let tick = move || {
        loop {
            let under_way = CALLS
                .under_way
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let none = |under_way: &mut usize| *under_way == 0;
            drop(CALLS.first.wait_while(under_way, none));
            thread::sleep(TICK);
            match engine.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => return,
            }
        }
    };
    thread::Builder::new()
        .name("ec2-role-epoch".into())
        .spawn(tick)
        .map(drop)
}
