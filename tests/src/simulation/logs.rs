//! Collects the host's log at the level `trace`, to search it for secrets.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The most bytes that are kept.
const MOST: usize = 1 << 20;

/// The compiler of WebAssembly, which never sees a secret. Its lines would take most of the time, and fill the log.
const COMPILER: [&str; 2] = ["cranelift", "regalloc2"];

static LOGGED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Starts to collect the log. A process has one log, so worlds that run concurrently find each other's
/// lines.
pub(super) fn begin() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        let collect = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(Collect);
        let all_but_compiler = Targets::new()
            .with_default(LevelFilter::TRACE)
            .with_targets(COMPILER.map(|name| (name, LevelFilter::OFF)));
        let subscriber = tracing_subscriber::registry()
            .with(all_but_compiler)
            .with(collect);
        // If another subscriber is installed, nothing is collected, and a test fails.
        let _ = subscriber.try_init();
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
