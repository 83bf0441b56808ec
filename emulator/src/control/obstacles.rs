//! What keeps rules about a network from taking effect.

use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The obstacles at all open ports.
#[derive(Debug, Default)]
pub(crate) struct Obstacles(Mutex<Vec<Weak<Obstacle>>>);

/// The obstacle at one port, in its network.
#[derive(Debug, Default)]
pub(crate) struct Obstacle {
    /// To what rules do to packets.
    pub(crate) packets: Problem,
    /// To the prohibition of the route.
    pub(crate) route: Problem,
}

/// A problem, while there is one.
#[derive(Debug, Default)]
pub(crate) struct Problem(Mutex<Option<String>>);

impl Problem {
    pub(crate) fn set(&self, problem: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    #[cfg(feature = "admin")]
    fn get(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Obstacles {
    /// The obstacle at another port, which exists until the result is dropped.
    pub(crate) fn add(&self) -> Arc<Obstacle> {
        let obstacle = Arc::default();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| other.strong_count() > 0);
        all.push(Arc::downgrade(&obstacle));
        obstacle
    }

    /// The first problem of a kind.
    #[cfg(feature = "admin")]
    pub(super) fn first(&self, of: impl Fn(&Obstacle) -> &Problem) -> Option<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = all.iter().filter_map(Weak::upgrade);
        all.find_map(|obstacle| of(&obstacle).get())
    }
}
