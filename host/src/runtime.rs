//! The library's own tokio runtime.
//!
//! A component instance takes one call at a time, and an instance whose call is abandoned cannot be
//! used again. Every call therefore runs to completion, even if the caller or the caller's runtime goes
//! away: it begins on the caller's thread, and if it has to wait, it becomes a task here. The futures
//! that callers await need no runtime, and any thread can block on them.

use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::{Error, ErrorKind};

/// One thread for all providers of the process. It lives as long as the process.
pub(crate) fn handle() -> Result<&'static Handle, Error> {
    static RUNTIME: OnceLock<Result<Runtime, Error>> = OnceLock::new();

    let runtime = RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("ec2-role-host")
            // A component in an endless loop yields the thread at every tick of its epoch. Other
            // components, their sockets and their timers get their turn after each tick.
            .global_queue_interval(1)
            .event_interval(1)
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| {
                Error::with_source(
                    ErrorKind::Other,
                    "cannot start the library's tokio runtime",
                    error,
                )
            })
    });
    runtime.as_ref().map(Runtime::handle).map_err(Error::clone)
}

/// Runs `call` on this thread until it has to wait: to wake another thread, and then this one, would
/// take longer than most calls. A pending call must then be spawned.
pub(crate) fn begin<F: Future + ?Sized>(runtime: &Handle, call: Pin<&mut F>) -> Poll<F::Output> {
    // A thread that is ending cannot enter a runtime any more.
    if Handle::try_current().is_err_and(|error| error.is_thread_local_destroyed()) {
        return Poll::Pending;
    }
    let _entered = runtime.enter();
    call.poll(&mut Context::from_waker(Waker::noop()))
}

/// Blocks this thread until one of this library's futures completes.
///
/// No runtime is needed. Inside a runtime, the call blocks one of the runtime's threads.
///
/// ```
/// # let imds = tokio::runtime::Runtime::new().unwrap();
/// # let imds = imds.block_on(imds_emulator::Emulator::builder().start()).unwrap();
/// use ec2_role_host::{Ec2RoleProvider, wait};
///
/// let provider = wait(Ec2RoleProvider::builder().endpoint(imds.url()).build())?;
/// let region = wait(provider.metadata().region())?;
/// # Ok::<(), ec2_role_host::Error>(())
/// ```
pub fn wait<F: Future>(future: F) -> F::Output {
    pollster::block_on(future)
}
