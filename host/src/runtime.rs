//! The library's own tokio runtime.
//!
//! A component instance takes one call at a time, and one whose call is given up on cannot be
//! entered again. So every call runs to its end in a task here, whatever becomes of the caller and
//! of the caller's runtime. What callers await needs no runtime at all, and can be blocked on
//! anywhere.

use std::sync::OnceLock;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::{Error, ErrorKind};

/// One thread for all providers of the process. It is there for as long as the process.
pub(crate) fn handle() -> Result<&'static Handle, Error> {
    static RUNTIME: OnceLock<Result<Runtime, Error>> = OnceLock::new();

    let runtime = RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("ec2-role-host")
            // A component that runs in circles has the thread for a tick of its epoch at a time. The others
            // are to have their turn, their sockets and their timers after each of these.
            .global_queue_interval(1)
            .event_interval(1)
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| {
                Error::with_source(
                    ErrorKind::Other,
                    "the library's runtime cannot be started",
                    error,
                )
            })
    });
    runtime.as_ref().map(Runtime::handle).map_err(Error::clone)
}

/// Runs one of this library's futures to its end on this thread.
///
/// It needs no runtime, and may be called from inside one, whose thread it then blocks.
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
