//! What `std` would bring: an allocator, an end for panics, and a static for a program of one
//! thread.

#![expect(
    unsafe_code,
    reason = "WebAssembly without threads: there is one thread and no other"
)]

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    trap()
}

/// Ends the instance. The host sees a trap.
pub(super) fn trap() -> ! {
    core::arch::wasm32::unreachable()
}

/// A value for a static. This target has no threads, so it is never shared between any.
pub(super) struct OneThread<T>(T);

// SAFETY: wasm32-unknown-unknown without the `atomics` feature has one thread.
#[cfg(not(target_feature = "atomics"))]
unsafe impl<T> Sync for OneThread<T> {}

impl<T> OneThread<T> {
    pub(super) const fn new(value: T) -> Self {
        Self(value)
    }

    pub(super) const fn get(&self) -> &T {
        &self.0
    }
}
