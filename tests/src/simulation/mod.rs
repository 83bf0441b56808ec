//! Simulates years of faults in seconds: clients and the emulator's core in one process, without sockets, on one
//! virtual clock and from one seed, with random incidents.
//!
//! | module | what lives there |
//! | --- | --- |
//! | [`Timeline`] | virtual time |
//! | `machine` | a client's machine, with clocks that can be wrong, and which can be suspended |
//! | `server` | the emulator's core in virtual time |
//! | `responses` | a model of its responses |
//! | `client` | the component's logic in virtual time, and the records of its calls |
//! | `hosted` | the component as WebAssembly in its host, in virtual time |
//! | `logs` | the log of the host |
//! | `plan` | the clients of a world and their settings, from a seed |
//! | `schedule` | the incidents of a world, from a seed, and how to minimise them |
//! | `model` | a model of the cache (`tests/docs/cache-model.md`) |
//! | `judge` | the invariants, checked after every call |
//! | `world` | a world with all of these |
//! | `herd` | a thousand clients in one outage |
//!
//! A simulation consists of worlds of four weeks and two hours each, thirteen for each year. The same seed produces
//! the same events in the same order:
//!
//! ```
//! use imds_conformance::simulation::{Plan, run};
//!
//! let plan = Plan::new(1, 0);
//! let outcome = run(&plan, &plan.incidents, None);
//! assert_eq!(outcome.violation, None);
//! assert_eq!(run(&plan, &plan.incidents, None).digest, outcome.digest);
//! ```

mod client;
mod herd;
mod hosted;
mod judge;
mod logs;
mod machine;
mod model;
mod plan;
mod responses;
mod schedule;
mod server;
mod timeline;
mod world;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

pub use self::herd::{Herd, herd};
pub use self::judge::{Invariant, Violation};
pub use self::plan::{LENGTH, Plan, WORLDS_A_YEAR};
pub(crate) use self::schedule::random_rule;
pub use self::schedule::{Incident, Kind};
pub use self::timeline::{Sleep, Timeline};
pub use self::world::{Counts, Outcome, run};

/// The outcome of many worlds.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Simulated {
    /// Worlds that were run.
    pub worlds: u32,
    /// What happened in them, in numbers.
    pub counts: Counts,
    /// How many requests each kind of fault affected.
    pub acted: BTreeMap<String, u64>,
    /// The first world with a violation, and the violation.
    pub failure: Option<(u32, Violation)>,
}

/// Prints the world in which a panic occurred.
struct TellPanic {
    seed: u64,
    world: u32,
}

impl Drop for TellPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            let Self { seed, world } = self;
            eprintln!("in world {world} of seed {seed}");
        }
    }
}

impl Simulated {
    fn act(&mut self, acted: BTreeMap<String, u64>) {
        for (fault, times) in acted {
            *self.acted.entry(fault).or_default() += times;
        }
    }
}

/// Runs the first `worlds` worlds of a seed on all processors. After a violation, no further world is started.
///
/// Hosted clients run one world at a time, because the host has one thread for all.
pub fn simulate(seed: u64, worlds: u32, hosted: bool, progress: impl Fn(u32) + Sync) -> Simulated {
    let next = AtomicU32::new(0);
    let threads = match hosted {
        true => 1,
        false => thread::available_parallelism().map_or(1, NonZero::get),
    };
    let work = || {
        let mut done = Simulated::default();
        loop {
            let world = next.fetch_add(1, Ordering::Relaxed);
            if world >= worlds {
                return done;
            }
            let plan = Plan::of(seed, world, hosted);
            let _told = TellPanic { seed, world };
            let outcome = run(&plan, &plan.incidents, None);
            done.worlds += 1;
            done.counts.add(outcome.counts);
            done.act(outcome.acted);
            if let Some(violation) = outcome.violation {
                next.fetch_max(worlds, Ordering::Relaxed);
                done.failure = Some((world, violation));
            }
            progress(world);
        }
    };
    let parts: Vec<Simulated> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Simulated>| {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    });
    let mut all = Simulated::default();
    for part in parts {
        all.worlds += part.worlds;
        all.counts.add(part.counts);
        all.act(part.acted);
        let earlier = |(world, _): &(u32, Violation)| {
            all.failure.as_ref().is_none_or(|(first, _)| world < first)
        };
        if let Some(failure) = part.failure.filter(earlier) {
            all.failure = Some(failure);
        }
    }
    all
}

/// A minimal list of incidents with which a world violates the same invariant.
pub fn shrink(plan: &Plan, violation: &Violation) -> Vec<Incident> {
    let before = plan
        .incidents
        .iter()
        .filter(|incident| incident.begins <= violation.at)
        .cloned()
        .collect();
    schedule::shrink(before, |incidents| {
        let outcome = run(plan, incidents, None);
        outcome
            .violation
            .is_some_and(|found| found.invariant == violation.invariant)
    })
}
