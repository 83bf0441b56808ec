//! The credentials that can be had without asking the component.
//!
//! A reader takes no lock, and writes to nothing that readers on other processors write to: each
//! thread has a copy of its own, so that even the reference counts are apart. That is what makes
//! reads as fast on many threads as on one.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;

use arc_swap::ArcSwapOption;

use crate::credentials::Credentials;

/// More copies than this are not made; threads beyond share them.
const MOST: usize = 16;

pub(super) struct Snapshot {
    copies: Box<[Copy]>,
}

// On a cache line of its own.
#[derive(Default)]
#[repr(align(128))]
struct Copy(ArcSwapOption<Credentials>);

impl Snapshot {
    pub(super) fn new() -> Self {
        // To find it out, the system's files are read: longer than all else that a provider needs.
        static THREADS: LazyLock<usize> =
            LazyLock::new(|| thread::available_parallelism().map_or(1, NonZeroUsize::get));

        let copies = (0..MOST.min(*THREADS)).map(|_| Copy::default());
        Self {
            copies: copies.collect(),
        }
    }

    /// What is held, by this thread's copy.
    pub(super) fn load(&self) -> Option<Arc<Credentials>> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local!(static THREAD: usize = NEXT.fetch_add(1, Ordering::Relaxed));

        // Threads that are ending have no locals any more.
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
