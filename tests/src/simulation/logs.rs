//! Collects the host's log at the level `trace`, to search it for secrets.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

/// The most bytes that are kept.
const MOST: usize = 1 << 20;

static LOGGED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Starts to collect the log. A process has one log, so worlds that run concurrently find each other's
/// lines.
pub(super) fn begin() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        let collect = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(Collect);
        // If another subscriber is installed, nothing is collected, and a test fails.
        let _ = collect.try_init();
    });
}

/// Returns the log since the last call.
pub(super) fn take() -> String {
    let logged = std::mem::take(&mut *logged());
    String::from_utf8_lossy(&logged).into_owned()
}

fn logged() -> MutexGuard<'static, Vec<u8>> {
    LOGGED.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Collect;

impl Write for Collect {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut logged = logged();
        if logged.len() < MOST {
            logged.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Collect {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}
