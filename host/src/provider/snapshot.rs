//! The credentials that callers can read without a call to the component.
//!
//! A reader takes no lock and writes to no cache line that readers on other processors write to: each
//! thread has a copy of its own, with its own reference count. Reads are therefore as fast on many
//! threads as on one.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;

use arc_swap::ArcSwapOption;

use crate::credentials::Credentials;

/// The number of copies for each processor, and the maximum. There are more threads than processors,
/// and those that happen to run at the same time should not share a copy.
const COPIES: usize = 8;
const MAX_COPIES: usize = 16;

pub(super) struct Snapshot {
    copies: Box<[Copy]>,
}

// Each copy has a cache line of its own.
#[derive(Default)]
#[repr(align(128))]
struct Copy(ArcSwapOption<Credentials>);

impl Snapshot {
    pub(super) fn new() -> Self {
        // Reads files of the system, which takes longer than everything else in a provider.
        static THREADS: LazyLock<usize> =
            LazyLock::new(|| thread::available_parallelism().map_or(1, NonZeroUsize::get));

        let copies = (0..MAX_COPIES.min(COPIES * *THREADS)).map(|_| Copy::default());
        Self {
            copies: copies.collect(),
        }
    }

    /// The held credentials, from this thread's copy.
    pub(super) fn load(&self) -> Option<Arc<Credentials>> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local!(static THREAD: usize = NEXT.fetch_add(1, Ordering::Relaxed));

        // A thread that is ending has no thread-local values any more.
        let thread = THREAD.try_with(|thread| *thread).unwrap_or_default();
        self.copies
            .get(thread % self.copies.len())
            .and_then(|copy| copy.0.load_full())
    }

    pub(super) fn store(&self, credentials: Option<&Credentials>) {
        for copy in &self.copies {
            copy.0.store(credentials.cloned().map(Arc::new));
        }
    }
}
