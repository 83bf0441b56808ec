//! Faults put into the cache on purpose, so that a test can show that the simulation finds them. They
//! are there with the feature `planted-faults` alone, and then only in the thread that asks for one.

use std::cell::Cell;

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// An extension never ends.
    EndlessExtension,
    /// Who waited for a refresh makes another one.
    LostSingleFlight,
    /// A window makes credentials due later instead of sooner.
    WindowTheWrongWay,
}

std::thread_local! {
    static PLANTED: Cell<Option<Planted>> = const { Cell::new(None) };
}

/// From now on this fault is in all caches of this thread, and no other.
pub fn plant(fault: Option<Planted>) {
    PLANTED.set(fault);
}

pub(crate) fn is(fault: Planted) -> bool {
    PLANTED.get() == Some(fault)
}
