//! The configuration: one schema for the file, the environment, the flags and Rust.
//!
//! ```
//! use imds_emulator::config::Config;
//!
//! let config = Config::from_toml(
//!     r#"
//!     [instance]
//!     instance-type = "m7g.large"
//!     placement = { availability-zone = "eu-central-1b" }
//!
//!     [metadata-options]
//!     HttpTokens = "optional"
//!     "#,
//! )?;
//! assert_eq!(config.instance.placement.region(), "eu-central-1");
//!
//! let error = Config::from_toml("[instance]\ninstance-typ = 't3.micro'").unwrap_err();
//! assert!(error.to_string().contains("did you mean `instance-type`?"), "{error}");
//! # Ok::<(), imds_emulator::config::ConfigError>(())
//! ```

mod aemm;
mod error;
mod example;
mod key;
mod layers;
mod patch;
mod read;
mod server;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use error::ConfigError;
pub use layers::{ENVIRONMENT, Layers};
#[cfg(feature = "admin")]
pub(crate) use read::described;
pub use server::{Admin, Journal, Peers, Seed, Server};

pub use crate::instance::*;
pub use crate::value::{Content, Invalid, Moment, NotATime, Span, True};

use crate::fault::Rule;
use crate::journal::Recorded;
use crate::timeline::TimelineStep;
use crate::value::{Checks, Key, all};

/// The configuration of an emulator.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Config {
    /// Where and how the emulator answers.
    pub server: Server,
    /// The instance's metadata options.
    pub metadata_options: MetadataOptions,
    /// The instance.
    pub instance: Instance,
    /// Events that are announced to the instance.
    pub events: Events,
    /// Paths below the version, like `meta-data/ami-id`, each with a value in place of the one
    /// derived from the instance. They can be paths that IMDS does not have.
    pub data: BTreeMap<String, Content>,
    /// Faults that are injected from the start.
    pub faults: Vec<Rule>,
    /// Commands that are applied at certain times or after certain requests.
    pub timeline: Vec<TimelineStep>,
    /// The journal of requests.
    pub journal: Journal,
    /// The admin API.
    pub admin: Admin,
}

impl Config {
    /// The defaults, changed by a TOML document.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the document is not TOML, or has unknown keys or invalid values.
    pub fn from_toml(document: &str) -> Result<Self, ConfigError> {
        let mut layers = Layers::new();
        layers.toml("the TOML document", document);
        layers.config()
    }

    /// The JSON schema of the configuration file.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }

    /// Checks all values, and that they are consistent.
    ///
    /// # Errors
    ///
    /// [`Invalid`] names all keys whose values are not accepted, the values, and what is accepted.
    pub fn check(&self) -> Result<(), Invalid> {
        let mut checks = Checks::default();
        checks.add(self.server.check(&Key::root("server")));
        checks.add(self.metadata_options.check(&Key::root("metadata-options")));
        checks.add(
            self.instance
                .check(&self.metadata_options, &Key::root("instance")),
        );
        checks.add(
            self.events
                .check(self.instance.life_cycle, &Key::root("events")),
        );
        checks.add(self.journal.check(&Key::root("journal")));
        let mut names = BTreeSet::new();
        for (at, rule) in self.faults.iter().enumerate() {
            let key = Key::root("faults").item(at);
            checks.add(rule.check(&key));
            checks.add(key.field("name").unless(
                names.insert(&rule.name),
                &rule.name,
                "a name that no other rule has",
            ));
        }
        for (path, content) in &self.data {
            let key = Key::root("data").name(path);
            checks.add(self.check_path(&key, path));
            checks.add(content.check(&key));
        }
        checks.add(self.check_timeline(&self.timeline));
        checks.result()
    }

    fn check_path(&self, key: &Key, path: &str) -> Result<(), Invalid> {
        let right = path == "user-data"
            || ["meta-data/", "dynamic/"]
                .iter()
                .filter_map(|folder| path.strip_prefix(folder))
                .any(|rest| {
                    rest.split('/').all(|segment| {
                        !matches!(segment, "" | "." | "..")
                            && !segment.chars().any(char::is_control)
                    })
                });
        let below = self.data.keys().find(|other| {
            other
                .strip_prefix(path)
                .is_some_and(|rest| rest.starts_with('/'))
        });
        all([
            key.unless(
                right,
                path,
                "user-data, or a path below meta-data/ or dynamic/ without a final slash",
            ),
            below.map_or(Ok(()), |below| {
                let accepted =
                    format_args!("a path without another one below it; there is {below:?}");
                key.unless(false, path, accepted)
            }),
        ])
    }

    /// What the journal records on demand.
    pub(crate) fn recorded(&self) -> Recorded {
        Recorded {
            processes: self.journal.process,
            packets: self.journal.packets,
        }
    }

    /// Turns moments that are given as spans into dates, counted from `now`.
    pub(crate) fn fix_moments(&mut self, now: DateTime<Utc>) {
        let events = &mut self.events;
        if let Some(interruption) = &mut events.spot_interruption {
            interruption.announced.fix(now);
            interruption.time.iter_mut().for_each(|time| time.fix(now));
        }
        if let Some(recommendation) = &mut events.rebalance_recommendation {
            recommendation.announced.fix(now);
        }
        for event in &mut events.maintenance {
            event.announced.fix(now);
            event
                .not_before
                .iter_mut()
                .chain(event.not_after.iter_mut().filter_map(End::moment_mut))
                .for_each(|moment| moment.fix(now));
        }
        self.instance
            .pending_time
            .iter_mut()
            .for_each(|time| time.fix(now));
    }
}
