//! Changes of a running emulator's configuration: merge patches, presets, and the steps of a
//! timeline, which are checked against the configuration that they change.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Config, LifeCycle, SpotAction, SpotInterruption};
use crate::preset::Preset;
use crate::timeline::{Command, TimelineStep};
use crate::value::{Invalid, Key};

impl Config {
    /// Applies a JSON merge patch (RFC 7386) to the instance, its metadata options and its events;
    /// `key` is where the patch stands.
    pub(crate) fn patch(&mut self, patch: &Map<String, Value>, key: &Key) -> Result<(), Invalid> {
        for (name, value) in patch {
            let key = key.field(name);
            match name.as_str() {
                "instance" => patch_part(&mut self.instance, value, &key)?,
                "metadata-options" => patch_part(&mut self.metadata_options, value, &key)?,
                "events" => patch_part(&mut self.events, value, &key)?,
                _ => key.unless(false, name, "instance, metadata-options or events")?,
            }
        }
        Ok(())
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
        for (at, step) in steps.iter().enumerate() {
            let key = Key::root("timeline").item(at);
            key.field("name").line(&step.name)?;
            key.field("name").unless(
                steps.iter().take(at).all(|other| other.name != step.name),
                &step.name,
                "a name that no other step has",
            )?;
            step.check(&key)?;
            for (at, command) in step.commands.iter().enumerate() {
                let key = key.field("do").item(at);
                match command {
                    Command::Change(patch) => {
                        config.patch(patch, &key.field("change"))?;
                        config.check().map_err(|invalid| {
                            let changed = invalid.to_string();
                            match key.unless(false, changed, "a configuration that is accepted") {
                                Err(invalid) => invalid,
                                Ok(()) => invalid,
                            }
                        })?;
                    }
                    Command::Fault(rule) => rule.check(&key.field("fault"))?,
                    command => {
                        let accepted = "a command that a configuration file can have";
                        let is_accepted = command.is_for_timelines();
                        key.unless(is_accepted, format_args!("{command:?}"), accepted)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn patch_part<T: for<'de> Deserialize<'de> + Serialize>(
    part: &mut T,
    patch: &Value,
    key: &Key,
) -> Result<(), Invalid> {
    let mut value = serde_json::to_value(&*part).unwrap_or_default();
    json_patch::merge(&mut value, patch);
    match serde_path_to_error::deserialize(value) {
        Ok(changed) => {
            *part = changed;
            Ok(())
        }
        Err(error) => {
            let path = error.path().to_string();
            let key = match path.as_str() {
                "." => key,
                path => &key.field(path),
            };
            Err(key.malformed(error.inner()))
        }
    }
}
