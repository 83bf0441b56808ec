//! What can be configured: one schema for the file, the environment, the flags and Rust.
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

mod check;
mod instance;
mod layers;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use check::Invalid;
pub(crate) use check::{Key, is_name};
pub use instance::*;
pub use layers::{ConfigError, ENVIRONMENT, Layers};
pub use values::{Content, Moment, NotATime, Span, True};

use crate::dialect::Dialect;
use crate::fault::Rule;
use crate::timeline::{self, TimelineStep};

/// The configuration of an emulator.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Config {
    /// Where and how it answers.
    pub server: Server,
    /// The instance's metadata options.
    pub metadata_options: MetadataOptions,
    /// The instance.
    pub instance: Instance,
    /// What happens to it.
    pub events: Events,
    /// Paths of a version's tree, like `meta-data/ami-id`, with what they give in place of what
    /// follows from the instance; and paths that IMDS does not have.
    pub data: BTreeMap<String, Content>,
    /// What goes wrong, from the start on.
    pub faults: Vec<Rule>,
    /// What happens to it all, when, or after which requests.
    pub timeline: Vec<TimelineStep>,
    /// The journal of requests.
    pub journal: Journal,
    /// The admin API.
    pub admin: Admin,
}

/// The admin API. It is on a listener of its own.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Admin {
    /// Whether there is one. Default: in the command yes, in the library no.
    pub enabled: bool,
    /// The address to listen on.
    pub host: IpAddr,
    /// The port to listen on; 0 for any free one.
    pub port: u16,
    /// A Unix socket to listen on as well.
    pub socket: Option<PathBuf>,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            enabled: false,
            host: Ipv4Addr::LOCALHOST.into(),
            port: 1339,
            socket: None,
        }
    }
}

/// The journal of requests.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Journal {
    /// How many exchanges it keeps; then the oldest ones are dropped. 0 for none.
    pub capacity: usize,
}

impl Default for Journal {
    fn default() -> Self {
        Self { capacity: 1024 }
    }
}

/// Where and how the emulator answers.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Server {
    /// The addresses to listen on, IPv4 and IPv6.
    pub hosts: Vec<IpAddr>,
    /// The port to listen on; 0 for any free one.
    pub port: u16,
    /// How answers look on the wire.
    pub dialect: Dialect,
    /// Whether a connection is kept for further requests. IMDS closes it (rule 2).
    pub keep_alive: bool,
    /// A connection is closed when the head of a request takes longer.
    pub head_timeout: Span,
    /// What keys and tokens are made from. With the same seed tokens stay good over a restart, and
    /// credentials and certificates are the same. Default: random at each start.
    pub seed: Option<Seed>,
    /// Clients that are further away than the instance itself, for `HttpPutResponseHopLimit`.
    pub peers: Vec<Peers>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            hosts: vec![Ipv4Addr::LOCALHOST.into()],
            port: 1338,
            dialect: Dialect::default(),
            keep_alive: false,
            head_timeout: Span::seconds(10),
            seed: None,
            peers: Vec::new(),
        }
    }
}

impl Server {
    /// The seed that the text stands for.
    pub fn seed_bytes(&self) -> Option<[u8; 32]> {
        use sha2::Digest as _;
        let Seed(text) = self.seed.as_ref()?;
        Some(sha2::Sha256::digest(text).into())
    }
}

/// A text that keys and tokens are made from. It does not show in `Debug`.
#[derive(Clone, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Seed(String);

impl From<&str> for Seed {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// Clients, and how far away they are.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Peers {
    /// Their addresses.
    #[schemars(with = "String")]
    pub network: IpNet,
    /// 1 for a program on the instance, 2 for one in a container behind a bridge. Who is in several
    /// networks is in the first.
    pub hops: u8,
}

impl Peers {
    /// Clients of `network`, `hops` away.
    pub fn new(network: IpNet, hops: u8) -> Self {
        Self { network, hops }
    }
}

/// The metadata options of an instance, with AWS's names (rule 24).
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "PascalCase")]
#[non_exhaustive]
pub struct MetadataOptions {
    /// `disabled`: every answer is 403 (rule 23). Default: enabled.
    pub http_endpoint: Switch,
    /// Whether requests without a token are refused (rules 17 and 18). Default: required, as for
    /// new images; AWS's own default is optional.
    pub http_tokens: HttpTokens,
    /// How far answers to `PUT` reach: 1 to 64 (rule 21). `server.peers` says who is how far away.
    /// Default: 1.
    pub http_put_response_hop_limit: u8,
    /// Whether connections over IPv6 are answered; the emulator must listen on an IPv6 address,
    /// too (rule 1). Default: enabled; AWS's own default is disabled.
    pub http_protocol_ipv6: Switch,
    /// Whether there is `tags/` (rule 36). Default: enabled; AWS's own default is disabled.
    pub instance_metadata_tags: Switch,
}

impl Default for MetadataOptions {
    fn default() -> Self {
        Self {
            http_endpoint: Switch::Enabled,
            http_tokens: HttpTokens::Required,
            http_put_response_hop_limit: 1,
            http_protocol_ipv6: Switch::Enabled,
            instance_metadata_tags: Switch::Enabled,
        }
    }
}

/// On or off, in AWS's words.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are those of AWS")]
pub enum Switch {
    Enabled,
    Disabled,
}

/// Whether a token is needed (rules 17 and 18).
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HttpTokens {
    /// IMDSv1 and IMDSv2: requests without a token are answered.
    Optional,
    /// IMDSv2 alone: requests without a token are 401.
    Required,
}

/// What happens to an instance (rules 54 to 58).
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Events {
    /// It is a spot instance that is to be interrupted (rules 54 and 55).
    pub spot_interruption: Option<SpotInterruption>,
    /// It is more likely than before to be interrupted (rule 56).
    pub rebalance_recommendation: Option<RebalanceRecommendation>,
    /// Maintenance that is scheduled or over (rule 57).
    pub maintenance: Vec<Maintenance>,
}

/// The interruption of a spot instance (rules 54 and 55).
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct SpotInterruption {
    /// What becomes of the instance.
    pub action: SpotAction,
    /// When the notice appears. Default: at once.
    #[serde(default)]
    pub announced: Moment,
    /// When it happens. Default: two minutes after the notice; for `hibernate` with it.
    #[serde(default)]
    pub time: Option<Moment>,
}

impl SpotInterruption {
    /// An interruption that is announced at once, and happens when AWS would do it.
    pub fn new(action: SpotAction) -> Self {
        Self {
            action,
            announced: Moment::default(),
            time: None,
        }
    }
}

/// What becomes of an interrupted spot instance (rule 54).
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are those of AWS")]
pub enum SpotAction {
    Stop,
    Terminate,
    Hibernate,
}

impl SpotAction {
    /// The value in `spot/instance-action`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Terminate => "terminate",
            Self::Hibernate => "hibernate",
        }
    }
}

/// A recommendation to rebalance (rule 56).
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RebalanceRecommendation {
    /// When it appears; its `noticeTime`. Default: at once.
    pub announced: Moment,
}

/// A maintenance event (rule 57).
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Maintenance {
    /// What is done.
    pub code: MaintenanceCode,
    /// In words. Default: AWS's words for the code.
    #[serde(default)]
    pub description: Option<String>,
    /// `instance-event-` and 17 hexadecimal digits. Default: from its place in the list.
    #[serde(default)]
    pub event_id: Option<String>,
    /// When it appears. Default: at once.
    #[serde(default)]
    pub announced: Moment,
    /// When it begins at the earliest. Default: seven days after it appears.
    #[serde(default)]
    pub not_before: Option<Moment>,
    /// When it ends at the latest. Default: two hours after it begins at the earliest.
    #[serde(default)]
    pub not_after: Option<Moment>,
    /// `active` ones are in `scheduled`, the others in `history`.
    #[serde(default)]
    pub state: MaintenanceState,
}

impl Maintenance {
    /// Active maintenance, announced at once, a week ahead.
    pub fn new(code: MaintenanceCode) -> Self {
        Self {
            code,
            description: None,
            event_id: None,
            announced: Moment::default(),
            not_before: None,
            not_after: None,
            state: MaintenanceState::Active,
        }
    }
}

/// What is done in maintenance.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are those of AWS")]
pub enum MaintenanceCode {
    InstanceReboot,
    SystemReboot,
    SystemMaintenance,
    InstanceRetirement,
    InstanceStop,
}

impl MaintenanceCode {
    /// The value of `Code`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InstanceReboot => "instance-reboot",
            Self::SystemReboot => "system-reboot",
            Self::SystemMaintenance => "system-maintenance",
            Self::InstanceRetirement => "instance-retirement",
            Self::InstanceStop => "instance-stop",
        }
    }

    /// What AWS says of it.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::InstanceReboot | Self::SystemReboot => "scheduled reboot",
            Self::SystemMaintenance => "scheduled maintenance",
            Self::InstanceRetirement => "The instance is running on degraded hardware",
            Self::InstanceStop => "scheduled stop",
        }
    }
}

/// The state of maintenance.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are those of AWS")]
pub enum MaintenanceState {
    #[default]
    Active,
    Completed,
    Canceled,
}

impl MaintenanceState {
    /// The value of `State`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Completed => "completed",
            Self::Canceled => "canceled",
        }
    }
}

impl Config {
    /// The defaults, changed by a TOML document.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if it is no TOML, has unknown keys, or values that are not accepted.
    pub fn from_toml(document: &str) -> Result<Self, ConfigError> {
        let mut layers = Layers::new();
        layers.toml("the TOML document", document)?;
        Ok(layers.config().clone())
    }

    /// The JSON schema of the configuration file.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }

    /// Checks all values, and that they agree with each other.
    ///
    /// # Errors
    ///
    /// [`Invalid`] names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), Invalid> {
        let key = Key::root("server");
        key.field("hosts")
            .unless(!self.server.hosts.is_empty(), "[]", "at least one address")?;
        let timeout = self.server.head_timeout;
        key.field("head-timeout").unless(
            timeout > Span::default(),
            timeout,
            "more than no time",
        )?;
        for (at, peers) in self.server.peers.iter().enumerate() {
            key.field("peers").item(at).field("hops").unless(
                (1..=64).contains(&peers.hops),
                peers.hops,
                "1 to 64",
            )?;
        }
        let limit = self.metadata_options.http_put_response_hop_limit;
        Key::root("metadata-options")
            .field("HttpPutResponseHopLimit")
            .unless((1..=64).contains(&limit), limit, "1 to 64")?;
        self.instance.check(&Key::root("instance"))?;
        if let Some(user_data) = &self.instance.user_data {
            check_content(&Key::root("instance").field("user-data"), user_data)?;
        }
        self.check_events(&Key::root("events"))?;
        let mut names = BTreeSet::new();
        for (at, rule) in self.faults.iter().enumerate() {
            let key = Key::root("faults").item(at);
            rule.check(&key)?;
            key.field("name").unless(
                names.insert(&rule.name),
                &rule.name,
                "a name that no other rule has",
            )?;
        }
        if !self.timeline.is_empty() {
            timeline::check(&self.timeline, self)?;
        }
        for (path, content) in &self.data {
            self.check_path(&Key::root("data").field(format_args!("{path:?}")), path)?;
            check_content(&Key::root("data").field(format_args!("{path:?}")), content)?;
        }
        Ok(())
    }

    fn check_events(&self, key: &Key) -> Result<(), Invalid> {
        if let Some(interruption) = &self.events.spot_interruption {
            key.field("spot-interruption").unless(
                self.instance.life_cycle == LifeCycle::Spot,
                interruption.action.as_str(),
                "an interruption of an instance with instance.life-cycle = \"spot\"",
            )?;
        }
        for (at, event) in self.events.maintenance.iter().enumerate() {
            let key = key.field("maintenance").item(at);
            if let Some(description) = &event.description {
                key.field("description").line(description)?;
            }
            if let Some(id) = &event.event_id {
                key.field("event-id").unless(
                    id.strip_prefix("instance-event-")
                        .is_some_and(|digits| is_name(digits, "")),
                    id,
                    "instance-event- and hexadecimal digits",
                )?;
            }
        }
        Ok(())
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
        key.unless(
            right,
            path,
            "user-data, or a path below meta-data/ or dynamic/ without a slash at its end",
        )?;
        let below = self.data.keys().find(|other| {
            other
                .strip_prefix(path)
                .is_some_and(|rest| rest.starts_with('/'))
        });
        match below {
            Some(below) => key.unless(
                false,
                path,
                format_args!("a path that has no other below it, like {below:?}"),
            ),
            None => Ok(()),
        }
    }

    /// Fixes all moments that are given as a span after `now`.
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
            for moment in [&mut event.not_before, &mut event.not_after] {
                moment.iter_mut().for_each(|moment| moment.fix(now));
            }
        }
        self.instance
            .pending_time
            .iter_mut()
            .for_each(|time| time.fix(now));
    }
}

/// The most that user data can have (rule 43).
const MOST_USER_DATA: usize = 16 * 1024;

fn check_content(key: &Key, content: &Content) -> Result<(), Invalid> {
    use base64::Engine as _;
    let bytes = match content {
        Content::Text(text) => text.len(),
        Content::Base64 { base64 } => {
            let decoded = base64::engine::general_purpose::STANDARD.decode(base64);
            key.field("base64").unless(
                decoded.is_ok(),
                base64,
                "base64 in the standard alphabet, with padding",
            )?;
            decoded.map_or(0, |bytes| bytes.len())
        }
        Content::File { file } => {
            return key.unless(
                false,
                file.display(),
                "a file in a configuration file alone, where it is read when that is",
            );
        }
        Content::Absent { .. } => 0,
    };
    key.unless(
        bytes <= MOST_USER_DATA,
        format_args!("{bytes} bytes"),
        "at most 16384 bytes",
    )
}
