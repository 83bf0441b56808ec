//! Changes of a running emulator's configuration: merge patches, presets, and the steps of a
//! timeline, which are checked against the configuration that they change.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::read::{Outcome, read};
use super::{Config, LifeCycle, SpotAction, SpotInterruption};
use crate::preset::Preset;
use crate::timeline::{Command, TimelineStep};
use crate::value::{Checks, Invalid, Key, all};

impl Config {
    /// Applies a JSON merge patch (RFC 7386) to the instance, its metadata options and its events;
    /// `key` is where the patch stands.
    pub(crate) fn patch(&mut self, patch: &Map<String, Value>, key: &Key) -> Result<(), Invalid> {
        all(patch.iter().map(|(name, value)| {
            let key = key.field(name);
            match name.as_str() {
                "instance" => patch_part(&mut self.instance, value, &key),
                "metadata-options" => patch_part(&mut self.metadata_options, value, &key),
                "events" => patch_part(&mut self.events, value, &key),
                _ => key.unless(false, name, "instance, metadata-options or events"),
            }
        }))
    }

    /// Adds the rules of a preset, or announces its event.
    pub(crate) fn add_preset(&mut self, preset: Preset) {
        self.faults.extend(preset.rules());
        if preset == Preset::SpotInterruption {
            self.instance.life_cycle = LifeCycle::Spot;
            let interruption = SpotInterruption::new(SpotAction::Terminate);
            self.events.spot_interruption = Some(interruption);
        }
    }

    /// Withdraws the event of a preset. Returns whether there was one.
    pub(crate) fn remove_event(&mut self, preset: Preset) -> bool {
        preset == Preset::SpotInterruption && self.events.spot_interruption.take().is_some()
    }

    /// Checks the steps of a timeline, as they change this configuration one after the other.
    pub(crate) fn check_timeline(&self, steps: &[TimelineStep]) -> Result<(), Invalid> {
        if steps.is_empty() {
            return Ok(());
        }
        let mut config = self.clone();
        config.timeline.clear();
        let mut checks = Checks::default();
        for (at, step) in steps.iter().enumerate() {
            let key = Key::root("timeline").item(at);
            let name = key.field("name");
            checks.add(name.line(&step.name));
            checks.add(name.unless(
                steps.iter().take(at).all(|other| other.name != step.name),
                &step.name,
                "a name that no other step has",
            ));
            checks.add(step.check(&key, self.recorded()));
            for (at, command) in step.commands.iter().enumerate() {
                let key = key.field("do").item(at);
                checks.add(config.check_command(command, &key));
            }
        }
        checks.result()
    }

    /// Checks a command, and applies its change.
    fn check_command(&mut self, command: &Command, key: &Key) -> Result<(), Invalid> {
        match command {
            Command::Change(patch) => {
                let key = key.field("change");
                let mut changed = self.clone();
                changed.patch(patch, &key)?;
                // What is wrong before the change is reported where it stands.
                match (self.check(), changed.check()) {
                    (Ok(()), Err(invalid)) => Err(invalid.within(&key)),
                    (Err(before), Err(invalid)) => invalid
                        .without(&before)
                        .map_err(|invalid| invalid.within(&key)),
                    _ => Ok(()),
                }?;
                *self = changed;
                Ok(())
            }
            Command::Fault(rule) => rule.check(&key.field("fault")),
            command => {
                let accepted = "a command that a configuration file can have";
                let is_accepted = command.is_for_timelines();
                key.unless(is_accepted, format_args!("{command:?}"), accepted)
            }
        }
    }
}

fn patch_part<T: DeserializeOwned + JsonSchema + Serialize>(
    part: &mut T,
    patch: &Value,
    key: &Key,
) -> Result<(), Invalid> {
    let mut value = serde_json::to_value(&*part).unwrap_or_default();
    json_patch::merge(&mut value, patch);
    let Outcome {
        value, malformed, ..
    } = read(&value);
    all(malformed.into_iter().map(|malformed| {
        Err(match malformed.key.as_str() {
            "" => key.malformed(malformed.problem),
            path => key.field(path).malformed(malformed.problem),
        })
    }))?;
    if let Some(changed) = value {
        *part = changed;
    }
    Ok(())
}
