//! The state that listeners and handles share.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Instant;

use arc_swap::ArcSwap;
use chrono::TimeDelta;
use tokio::runtime::Handle;
use tokio::sync::watch;

#[cfg(all(feature = "isolation", target_os = "linux"))]
use super::mounted::check_possible;
use super::mounted::{check_mounted, check_network};
use super::obstacles::Obstacles;
use super::player::Player;
use crate::clock::Clock;
use crate::config::Config;
use crate::fault::Conditions;
use crate::imds::Imds;
use crate::journal::{Journal, Recorded};
use crate::value::{Invalid, Span};

/// What listeners and handles share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) imds: ArcSwap<Imds>,
    /// Locked while `imds` is changed.
    pub(crate) changing: Mutex<()>,
    /// Wakes the listeners after each change.
    pub(crate) changes: watch::Sender<()>,
    pub(crate) clock: Clock,
    /// How many connections are open.
    pub(crate) connections: AtomicUsize,
    /// How many connections there were.
    pub(crate) accepted: AtomicU64,
    /// Runs the timers of rules with a time to live.
    pub(crate) runtime: Handle,
    pub(crate) journal: Journal,
    pub(crate) began: Instant,
    /// The configuration at the start.
    pub(crate) initial: Config,
    pub(crate) timeline: Player,
    /// Whether the emulator has no listener, but is mounted as a router.
    pub(crate) is_mounted: bool,
    /// What the emulator can do in networks that it owns, if there are, or were, any.
    pub(crate) own_network: OnceLock<OwnNetwork>,
    /// Whether there is, or was, a network that the emulator owns but does not serve.
    pub(crate) is_off_ec2: AtomicBool,
    /// What keeps rules from taking effect in these networks.
    pub(crate) obstacles: Obstacles,
    pub(crate) me: Weak<Self>,
}

impl Shared {
    /// Replaces the instance with a changed one.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&Imds) -> Result<(Imds, T), Invalid>,
    ) -> Result<T, Invalid> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.imds.load_full();
        let (changed, value) = change(&before)?;
        if self.is_mounted {
            check_mounted(&changed)?;
        }
        check_network(&before, &changed, self.own_network())?;
        let changed = Arc::new(changed);
        self.imds.store(Arc::clone(&changed));
        for (id, ttl) in temporary(&changed) {
            if temporary(&before).all(|(other, _)| other != id) {
                self.remove_after(ttl, id);
            }
        }
        self.changes.send_replace(());
        Ok(value)
    }

    /// Accepts from now on rules that act on a network of the emulator. Checks those that there are
    /// already.
    #[cfg(all(feature = "isolation", target_os = "linux"))]
    pub(crate) fn own(&self, network: OwnNetwork) -> Result<(), Invalid> {
        let _ = self.own_network.set(network);
        self.check_rules()
    }

    /// Says from now on that a network of the emulator is off EC2, where it has no addresses to act on.
    /// Checks the rules that there are already.
    #[cfg(all(feature = "isolation", target_os = "linux"))]
    pub(crate) fn own_off_ec2(&self) -> Result<(), Invalid> {
        self.is_off_ec2.store(true, Ordering::Relaxed);
        self.check_rules()
    }

    #[cfg(all(feature = "isolation", target_os = "linux"))]
    fn check_rules(&self) -> Result<(), Invalid> {
        let imds = self.imds.load();
        let mut rules = imds.faults();
        rules.try_for_each(|(rule, _)| check_possible(rule, self.own_network()))
    }

    fn own_network(&self) -> Result<&OwnNetwork, NoNetwork> {
        self.own_network.get().ok_or_else(|| {
            let is_off_ec2 = self.is_off_ec2.load(Ordering::Relaxed);
            if is_off_ec2 {
                NoNetwork::OffEc2
            } else {
                NoNetwork::Foreign
            }
        })
    }

    /// The present instance, after the steps that are due.
    pub(crate) fn imds(&self) -> arc_swap::Guard<Arc<Imds>> {
        self.tick();
        self.imds.load()
    }

    /// What the journal records on demand.
    pub(crate) fn recorded(&self) -> Recorded {
        self.imds.load().config().recorded()
    }

    /// Takes the steps of the timeline that are due.
    pub(crate) fn tick(&self) {
        if !self.timeline.is_waiting() {
            return;
        }
        for (step, due) in self.timeline.take_due(self.clock.now()) {
            // The step's status says what failed.
            let _ = self.perform(step, due);
        }
    }

    /// Removes a rule, if it still exists.
    pub(crate) fn remove_fault(&self, id: u64) {
        let _ = self.change(|imds| Ok((imds.without_fault_id(id), ())));
    }

    /// Removes a rule when its time to live has passed.
    fn remove_after(&self, ttl: Span, id: u64) {
        // A timer that is still running keeps nothing alive.
        let shared = self.me.clone();
        let ttl = TimeDelta::from(ttl).to_std().unwrap_or_default();
        self.runtime.spawn(async move {
            tokio::time::sleep(ttl).await;
            if let Some(shared) = shared.upgrade() {
                shared.remove_fault(id);
            }
        });
    }

    /// Starts the timers of the rules that the emulator starts with.
    pub(crate) fn start_timers(&self) {
        for (id, ttl) in temporary(&self.imds.load()) {
            self.remove_after(ttl, id);
        }
    }
}

/// Why the emulator can act on no network.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NoNetwork {
    /// It owns none.
    Foreign,
    /// Those that it owns are off EC2.
    OffEc2,
}

/// What the emulator can do in networks that it owns.
pub(crate) struct OwnNetwork(Box<TryOut>);

/// Tries whether conditions can be imposed on packets. The error says what is in the way.
type TryOut = dyn Fn(&Conditions) -> Result<(), String> + Send + Sync;

impl OwnNetwork {
    #[cfg(all(feature = "isolation", target_os = "linux"))]
    pub(crate) fn new(
        try_out: impl Fn(&Conditions) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self(Box::new(try_out))
    }

    pub(super) fn try_out(&self, conditions: &Conditions) -> Result<(), String> {
        (self.0)(conditions)
    }
}

impl fmt::Debug for OwnNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnNetwork").finish_non_exhaustive()
    }
}

/// The rules that have a time to live: their ids, and how long.
fn temporary(imds: &Imds) -> impl Iterator<Item = (u64, Span)> {
    imds.faults()
        .filter_map(|(rule, _)| Some((imds.fault_id(&rule.name)?, rule.when.ttl?)))
}
