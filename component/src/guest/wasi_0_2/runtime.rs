//! What `std` would provide: an allocator, a panic handler, and a static for a program with one
//! thread.

#![expect(
    unsafe_code,
    reason = "WebAssembly without threads: there is only one thread"
)]

#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    trap()
}

/// Ends the instance with a trap.
pub(super) fn trap() -> ! {
    core::arch::wasm32::unreachable()
}

/// A value for a static. This target has only one thread, so the value is never shared.
pub(super) struct SingleThreaded<T>(T);

// SAFETY: wasm32-unknown-unknown without the `atomics` feature has one thread.
#[cfg(not(target_feature = "atomics"))]
unsafe impl<T> Sync for SingleThreaded<T> {}

impl<T> SingleThreaded<T> {
    pub(super) const fn new(value: T) -> Self {
        Self(value)
    }

    pub(super) const fn get(&self) -> &T {
        &self.0
    }
}
