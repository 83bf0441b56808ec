//! All that the host logs in this process, at the level `trace`, to be searched for secrets.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

/// More than that is not kept for who looks at it late.
const MOST: usize = 1 << 20;

static LOGGED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Begins to collect it, if nobody has before. A process has one place for what is logged, so that worlds that run
/// side by side find each other's lines.
pub(super) fn begin() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        let collect = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(Collect);
        // Where another one is there already, nothing is collected, which a test would notice.
        let _ = collect.try_init();
    });
}

/// What there was since the last time.
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
