//! The tick that makes the component yield the processor.
//!
//! Code in an endless loop keeps other futures from being polled, timeouts included. The component is
//! therefore compiled to check the engine's epoch, and yields when the epoch has advanced. A thread
//! advances the epoch during calls, and sleeps otherwise.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::Engine;

/// The interval at which the component yields.
const TICK: Duration = Duration::from_millis(10);

/// A call in progress.
#[must_use]
pub(super) struct Call(());

/// The number of calls in progress.
static IN_PROGRESS: AtomicUsize = AtomicUsize::new(0);

/// The thread that advances the epoch.
static TICKER: OnceLock<Thread> = OnceLock::new();

impl Call {
    pub(super) fn begin() -> Self {
        if IN_PROGRESS.fetch_add(1, Ordering::SeqCst) == 0
            && let Some(ticker) = TICKER.get()
        {
            // Costs a system call only if the thread is parked.
            ticker.unpark();
        }
        Self(())
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        IN_PROGRESS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Advances the epoch of `engine`, the one of the process, from now on.
pub(super) fn start(engine: &Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    let tick = move || {
        loop {
            while IN_PROGRESS.load(Ordering::SeqCst) == 0 {
                thread::park();
            }
            thread::sleep(TICK);
            match engine.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => return,
            }
        }
    };
    let ticker = thread::Builder::new()
        .name("ec2-role-epoch".into())
        .spawn(tick)?;
    TICKER.get_or_init(|| ticker.thread().clone());
    Ok(())
}
