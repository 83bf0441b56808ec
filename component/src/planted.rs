//! Deliberate faults in the cache. A test uses them to show that the simulation finds such faults. They
//! exist only with the feature `planted-faults`, and are active only in the thread that plants one.

use std::cell::Cell;

/// A deliberate fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// Extended credentials are never due again.
    EndlessExtension,
    /// A caller that waited for a refresh starts another one.
    LostSingleFlight,
    /// An expiry window makes credentials due later instead of earlier.
    WindowTheWrongWay,
}

std::thread_local! {
    static PLANTED: Cell<Option<Planted>> = const { Cell::new(None) };
}

/// Activates `fault`, and no other, in all caches of this thread.
pub fn plant(fault: Option<Planted>) {
    PLANTED.set(fault);
}

pub(crate) fn is_active(fault: Planted) -> bool {
    PLANTED.get() == Some(fault)
}
