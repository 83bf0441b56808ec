//! The state that listeners and handles share.

use std::convert::Infallible;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use arc_swap::ArcSwap;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::player::Player;
use crate::clock::Clock;
use crate::config::Config;
use crate::fault::Rule;
use crate::imds::Imds;
use crate::journal::Journal;
use crate::preset::Preset;
use crate::timeline::{Action, TimelineStep, ToState};
use crate::value::{Invalid, Key};

/// What listeners and the handle share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) imds: ArcSwap<Imds>,
    /// Held by who changes `imds`; listeners look again after each change.
    pub(crate) changing: Mutex<()>,
    pub(crate) changes: watch::Sender<()>,
    pub(crate) clock: Clock,
    /// How many connections there are.
    pub(crate) connections: AtomicUsize,
    /// Where rules end by themselves.
    pub(crate) runtime: Handle,
    pub(crate) journal: Journal,
    pub(crate) began: Instant,
    /// What it was started as.
    pub(crate) initial: Config,
    pub(crate) timeline: Player,
    pub(crate) me: Weak<Self>,
}

impl Shared {
    /// Puts another one in place of the instance.
    pub(crate) fn change<T, E>(
        &self,
        change: impl FnOnce(&Imds) -> Result<(Imds, T), E>,
    ) -> Result<T, E> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let (changed, value) = change(&self.imds.load())?;
        self.imds.store(Arc::new(changed));
        self.changes.send_replace(());
        Ok(value)
    }

    /// The instance as it is now, after what was due.
    pub(crate) fn imds(&self) -> arc_swap::Guard<Arc<Imds>> {
        self.tick();
        self.imds.load()
    }

    /// Takes the steps of the timeline whose time has come.
    pub(crate) fn tick(&self) {
        if !self.timeline.is_waiting() {
            return;
        }
        for (step, due) in self.timeline.take_due(self.clock.now()) {
            // What goes wrong is told with the step.
            let _ = self.perform(&step, due);
        }
    }

    /// Does what a step says, as at the moment `now`.
    pub(crate) fn perform(&self, step: &TimelineStep, now: DateTime<Utc>) -> Result<(), Invalid> {
        let done = step
            .actions
            .iter()
            .enumerate()
            .try_for_each(|(at, action)| self.act(action, now, &Key::root("do").item(at)));
        if let Err(invalid) = &done {
            self.timeline.failed(&step.name, invalid.to_string());
        }
        done
    }

    fn act(&self, action: &Action, now: DateTime<Utc>, key: &Key) -> Result<(), Invalid> {
        let mut added = Vec::new();
        self.change(|imds| {
            let mut config = imds.config().clone();
            let changed = match action {
                Action::Change(patch) => {
                    config.patch(patch, &key.field("change"))?;
                    imds.changed(config, now)?
                }
                Action::Fault(rule) => {
                    added.push(Rule::clone(rule));
                    imds.with_fault(Rule::clone(rule), now)?
                }
                Action::Heal(name) => imds.without_fault(name).unwrap_or_else(|| imds.clone()),
                Action::HealAll => imds.without_faults(),
                Action::Preset(preset) => {
                    config.add_preset(*preset);
                    imds.changed(config, now)?
                }
                Action::RemovePreset(preset) => {
                    let mut healed = imds.clone();
                    for rule in preset.rules() {
                        healed = healed.without_fault(&rule.name).unwrap_or(healed);
                    }
                    if *preset == Preset::SpotInterruption {
                        config.events.spot_interruption = None;
                        healed = healed.changed(config, now)?;
                    }
                    healed
                }
                Action::RotateCredentials => imds.with_credentials_rotated(now),
                Action::RevokeTokens => imds.with_tokens_revoked(),
                Action::Scenario(ToState { name, state }) => {
                    imds.set_scenario(name, state);
                    imds.clone()
                }
            };
            Ok::<_, Invalid>((changed, ()))
        })?;
        self.limit(&added);
        Ok(())
    }

    /// Takes rules away when their time to live has run out, if they have one.
    pub(crate) fn limit(&self, rules: &[Rule]) {
        for rule in rules {
            let Some(ttl) = rule.when.ttl else { continue };
            let Some(id) = self.imds.load().fault_id(&rule.name) else {
                continue;
            };
            // A forgotten timer keeps nothing alive.
            let shared = self.me.clone();
            let ttl = TimeDelta::from(ttl).to_std().unwrap_or_default();
            self.runtime.spawn(async move {
                tokio::time::sleep(ttl).await;
                if let Some(shared) = shared.upgrade() {
                    shared.heal(id);
                }
            });
        }
    }

    /// Takes a rule away, if it is still there.
    pub(crate) fn heal(&self, id: u64) {
        let _ = self.change(|imds| Ok::<_, Infallible>((imds.without_fault_id(id), ())));
    }
}
