//! What each command does.

use chrono::{DateTime, Utc};

use super::{Shared, check_steps};
use crate::config::Config;
use crate::fault::Rule;
use crate::imds::Imds;
use crate::instance::Events;
use crate::timeline::{Command, Outcome, TimelineStep, ToState};
use crate::value::{Invalid, Key};

impl Shared {
    /// Does what a command says, as of the moment `now`. A request sees the whole of a command's
    /// effect or nothing of it.
    pub(crate) fn apply(&self, command: Command, now: DateTime<Utc>) -> Result<Outcome, Invalid> {
        match command {
            Command::Change(patch) => {
                self.configure(now, |config| config.patch(&patch, &Key::root("change")))?;
            }
            Command::ClearEvents => self.configure(now, |config| {
                config.events = Events::default();
                Ok(())
            })?,
            Command::Fault(rule) => {
                self.add_fault(*rule, now)?;
            }
            Command::PutFault(rule) => self.change(|imds| {
                let without = imds.without_fault(&rule.name);
                let imds = without.as_ref().unwrap_or(imds);
                Ok((imds.with_fault(*rule, now)?, ()))
            })?,
            Command::ReplaceFaults(rules) => self.change(|imds| {
                let mut config = imds.config().clone();
                config.faults = rules;
                Ok((imds.without_faults().changed(config, now)?, ()))
            })?,
            Command::Heal(name) => {
                return self.remove(|imds| Ok(imds.without_fault(&name)));
            }
            Command::HealAll => {
                self.change(|imds| Ok((imds.without_faults(), ())))?;
            }
            Command::Preset(preset) => self.configure(now, |config| {
                config.add_preset(preset);
                Ok(())
            })?,
            Command::RemovePreset(preset) => {
                return self.remove(|imds| {
                    let mut changed = None;
                    for rule in preset.rules() {
                        let imds = changed.as_ref().unwrap_or(imds);
                        changed = imds.without_fault(&rule.name).or(changed);
                    }
                    let mut config = imds.config().clone();
                    if config.remove_event(preset) {
                        let imds = changed.as_ref().unwrap_or(imds);
                        changed = Some(imds.changed(config, now)?);
                    }
                    Ok(changed)
                });
            }
            Command::RotateCredentials => {
                self.change(|imds| Ok((imds.with_credentials_rotated(now), ())))?;
            }
            Command::RevokeTokens => {
                self.change(|imds| Ok((imds.with_tokens_revoked(), ())))?;
            }
            Command::Scenario(ToState { name, state }) => {
                self.imds.load().set_scenario(&name, &state);
            }
            Command::SetTimeline(steps) => {
                self.imds.load().config().check_timeline(&steps)?;
                if self.is_mounted {
                    check_steps(&steps)?;
                }
                self.timeline.start(steps, now);
                // The listeners wait for the first step from now on.
                self.changes.send_replace(());
            }
            Command::TakeStep(name) => match self.timeline.take(&name, now) {
                Some(step) => self.perform(step, now)?,
                None => return Ok(Outcome::Absent),
            },
            Command::ClearJournal => self.journal.clear(),
            Command::Reset => self.reset(now)?,
        }
        Ok(Outcome::Done)
    }

    /// Takes a step of the timeline. Its status says what failed.
    pub(crate) fn perform(&self, step: TimelineStep, now: DateTime<Utc>) -> Result<(), Invalid> {
        for (at, command) in step.commands.into_iter().enumerate() {
            if let Err(invalid) = self.apply(command, now) {
                let invalid = invalid.within(&Key::root("do").item(at));
                self.timeline.failed(&step.name, invalid.to_string());
                return Err(invalid);
            }
        }
        Ok(())
    }

    /// Changes the configuration of the running instance.
    pub(super) fn configure(
        &self,
        now: DateTime<Utc>,
        change: impl FnOnce(&mut Config) -> Result<(), Invalid>,
    ) -> Result<(), Invalid> {
        self.change(|imds| {
            let mut config = imds.config().clone();
            change(&mut config)?;
            Ok((imds.changed(config, now)?, ()))
        })
    }

    /// Adds a rule. Its id tells it from a later rule of the same name.
    pub(super) fn add_fault(&self, rule: Rule, now: DateTime<Utc>) -> Result<Option<u64>, Invalid> {
        let name = rule.name.clone();
        self.change(|imds| {
            let changed = imds.with_fault(rule, now)?;
            let id = changed.fault_id(&name);
            Ok((changed, id))
        })
    }

    /// Removes something, if it exists.
    fn remove(
        &self,
        without: impl FnOnce(&Imds) -> Result<Option<Imds>, Invalid>,
    ) -> Result<Outcome, Invalid> {
        self.change(|imds| {
            Ok(match without(imds)? {
                Some(changed) => (changed, Outcome::Done),
                None => (imds.clone(), Outcome::Absent),
            })
        })
    }

    fn reset(&self, now: DateTime<Utc>) -> Result<(), Invalid> {
        self.change(|imds| {
            let initial = self.initial.clone();
            let changed = imds.without_faults().changed(initial, now)?;
            changed.reset_counts();
            // The first role is back at once, not only at the next rotation.
            let changed = match changed.is_role_to_come() {
                true => changed.with_credentials_rotated(now),
                false => changed,
            };
            Ok((changed, ()))
        })?;
        self.timeline.start(self.initial.timeline.clone(), now);
        self.journal.clear();
        Ok(())
    }
}
