//! The tick that makes the component yield the processor.
//!
//! Code in an endless loop keeps other futures from being polled, timeouts included. The component is
//! therefore compiled to check the engine's epoch, and yields when the epoch has advanced. A thread
//! advances the epoch during calls, and sleeps otherwise.

use std::sync::{Condvar, LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use wasmtime::Engine;

/// The interval at which the component yields.
const TICK: Duration = Duration::from_millis(10);

/// A call in progress.
#[must_use]
pub(super) struct Call(());

static CALLS: LazyLock<Calls> = LazyLock::new(Calls::default);

#[derive(Default)]
struct Calls {
    in_progress: Mutex<usize>,
    first: Condvar,
}

impl Call {
    pub(super) fn begin() -> Self {
        let mut in_progress = CALLS
            .in_progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *in_progress += 1;
        if *in_progress == 1 {
            CALLS.first.notify_one();
        }
        Self(())
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        *CALLS
            .in_progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner) -= 1;
    }
}

/// Advances the epoch of `engine` from now on.
pub(super) fn start(engine: &Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    let tick = move || {
        loop {
            let in_progress = CALLS
                .in_progress
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let none = |in_progress: &mut usize| *in_progress == 0;
            drop(CALLS.first.wait_while(in_progress, none));
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
