//! The kinds of faults. Their names are those of toxiproxy, WireMock and other tools, where these
//! have one.
//!
//! A kind is a struct of its parameters, in the file of its group, where it says what the
//! parameters must be and what the fault acts on (`Nature`). The list of the group gives the kind
//! its name in files. The file format, the JSON schema, the table in `docs/faults.md`, the
//! constructors of [`Fault`] and the samples for the simulation follow from that.

mod body;
mod connection;
mod credentials;
mod effect;
mod instance;
mod network;
mod rate;
mod response;
mod samples;
mod timing;
mod token;

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use chrono::{DateTime, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

pub use self::body::*;
pub use self::connection::*;
pub use self::credentials::*;
pub use self::effect::Effect;
pub use self::instance::*;
pub use self::network::*;
pub use self::rate::*;
pub use self::response::*;
pub use self::timing::*;
pub use self::token::*;

use self::samples::Draw;
use super::conditions::Conditions;
use super::draft::Draft;
use super::occurrence::Occurrence;
use super::view::View;
use crate::decision::Delivery;
use crate::value::{Invalid, Key, located};

/// What was read, or an error with the path of the parameter.
type Read<T> = Result<T, serde_path_to_error::Error<serde_json::Error>>;

/// A kind of fault: its parameters, and what it does.
trait Kind {
    /// Checks the parameters; `key` is where the fault stands in the configuration. By default every
    /// value is accepted.
    fn check(&self, _key: &Key) -> Result<(), Invalid> {
        Ok(())
    }

    /// What the fault acts on.
    fn nature(&self) -> Nature<'_>;

    /// Faults of this kind, with parameters that have different effects on clients.
    fn samples(draw: &mut Draw<'_>) -> Vec<Self>
    where
        Self: Sized;
}

/// What a fault acts on. It decides when the fault is consulted, and how several faults combine.
#[derive(Clone, Copy)]
pub(crate) enum Nature<'a> {
    /// The listener: connections are refused, over one address family or over both.
    Listener(Option<Family>, Refusal),
    /// The packets to and from the address of IMDS, where the emulator owns the network.
    Network(Impairment),
    /// A connection that was accepted: it is reset before a request is read.
    Accept,
    /// The response. If several faults of the response or of its delivery match, the first applies.
    Response(Requests, &'a dyn Change),
    /// How the response is sent, if at all. Only a server that owns the connection can do this.
    Delivery(Requests, &'a dyn Deliver),
    /// The time before the response is sent. Delays add up.
    Delay(Requests, &'a dyn Delay),
    /// The instance that the response is made from. All such faults apply.
    Instance(Requests, &'a dyn Alter),
    /// How many requests are answered. For requests above the limit, the fault acts on the response.
    Rate(Requests, &'a dyn Limit),
}

/// How a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// As if nothing listened.
    Refused,
    /// By the route to the address.
    Prohibited,
}

/// What becomes of packets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Impairment {
    /// This fraction is lost.
    Loss(f64),
    /// They are late.
    Delay { delay: Duration, jitter: Duration },
    /// They have this number of bytes per second at most.
    Bandwidth(u64),
}

/// The requests that a fault can apply to, among those that its rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Requests {
    All,
    /// `PUT` requests for a token.
    Tokens,
}

impl Nature<'_> {
    /// The requests that the fault can apply to, if it is for requests at all.
    pub(crate) fn requests(self) -> Option<Requests> {
        match self {
            Self::Listener(..) | Self::Accept => None,
            // While the rule is in force, it acts on the packets of every request.
            Self::Network(..) => Some(Requests::All),
            Self::Response(requests, _)
            | Self::Delivery(requests, _)
            | Self::Delay(requests, _)
            | Self::Instance(requests, _)
            | Self::Rate(requests, _) => Some(requests),
        }
    }

    /// Whether the fault replaces the response. If several such faults match, the first applies.
    pub(crate) fn replaces(self) -> bool {
        match self {
            Self::Response(..) | Self::Delivery(..) | Self::Rate(..) => true,
            Self::Listener(..)
            | Self::Network(..)
            | Self::Accept
            | Self::Delay(..)
            | Self::Instance(..) => false,
        }
    }

    /// Whether the fault changes the instance.
    pub(crate) fn alters(self) -> bool {
        match self {
            Self::Instance(..) => true,
            Self::Listener(..)
            | Self::Network(..)
            | Self::Accept
            | Self::Response(..)
            | Self::Delivery(..)
            | Self::Delay(..)
            | Self::Rate(..) => false,
        }
    }

    /// Whether only a server that owns the connection can do what the fault does.
    pub(crate) fn needs_connection(self) -> bool {
        match self {
            Self::Listener(..) | Self::Network(..) | Self::Accept | Self::Delivery(..) => true,
            Self::Rate(requests, fault) => {
                fault.counts_connections() || fault.effect().nature(requests).needs_connection()
            }
            Self::Response(..) | Self::Delay(..) | Self::Instance(..) => false,
        }
    }

    /// What the client gets in place of `draft`, which the fault leaves as it is unless it
    /// [replaces](Self::replaces) it.
    pub(crate) fn deliver(self, mut draft: Draft) -> Delivery {
        match self {
            Self::Response(_, fault) => {
                fault.change(&mut draft);
                draft.into()
            }
            Self::Delivery(_, fault) => fault.deliver(draft),
            Self::Rate(requests, fault) => fault.effect().nature(requests).deliver(draft),
            Self::Listener(..)
            | Self::Network(..)
            | Self::Accept
            | Self::Delay(..)
            | Self::Instance(..) => draft.into(),
        }
    }
}

/// Acts on the response.
pub(crate) trait Change {
    /// Changes the response.
    fn change(&self, draft: &mut Draft);
}

/// Acts on how the response is sent.
pub(crate) trait Deliver {
    /// What the client receives in place of the response.
    fn deliver(&self, draft: Draft) -> Delivery;
}

/// Acts on the time before the response.
pub(crate) trait Delay {
    /// How long the response is delayed.
    fn delay(&self, occurrence: &Occurrence) -> Duration;
}

/// Acts on the instance.
pub(crate) trait Alter {
    /// Changes the instance as this request sees it.
    fn alter(&self, view: &mut View, occurrence: &Occurrence);
}

/// Limits how many requests are answered.
pub(crate) trait Limit {
    /// Whether a request, at the moment `now` and with this number of connections open, is above the
    /// limit. If not, it is counted.
    fn is_exceeded(&self, meter: &mut Meter, connections: usize, now: DateTime<Utc>) -> bool;

    /// Whether the limit is one of connections.
    fn counts_connections(&self) -> bool {
        false
    }

    /// What happens to a request above the limit.
    fn effect(&self) -> &Effect;
}

/// Declares a kind without parameters, and what it acts on.
macro_rules! no_parameters {
    ($(#[$doc:meta])* $kind:ident: $nature:ident($requests:ident);) => {
        $(#[$doc])*
        #[derive(
            Clone,
            Debug,
            Default,
            serde::Deserialize,
            schemars::JsonSchema,
            PartialEq,
            serde::Serialize,
        )]
        #[serde(deny_unknown_fields)]
        #[non_exhaustive]
        pub struct $kind {}

        impl $kind {
            fn new() -> Self {
                Self::default()
            }
        }

        impl $crate::fault::kinds::Kind for $kind {
            fn nature(&self) -> $crate::fault::kinds::Nature<'_> {
                $crate::fault::kinds::Nature::$nature(
                    $crate::fault::kinds::Requests::$requests,
                    self,
                )
            }

            fn samples(_: &mut $crate::fault::kinds::samples::Draw<'_>) -> Vec<Self> {
                vec![Self::new()]
            }
        }
    };
}

use no_parameters;

/// Declares a group of kinds: its enum, the names of its kinds, and their constructors.
macro_rules! group {
    (
        $(#[$meta:meta])*
        $variant:ident($group:ident), $title:literal:
        $($kind:ident = $name:literal $(| $alias:literal)*, $constructor:ident $arguments:tt;)*
    ) => {
        $(#[$meta])*
        #[derive(
            Clone,
            Debug,
            schemars::JsonSchema,
            PartialEq,
            serde::Serialize,
        )]
        #[serde(tag = "type")]
        #[allow(missing_docs, reason = "what a kind does is said of its parameters' struct")]
        #[non_exhaustive]
        pub enum $group {
            $(
                #[serde(rename = $name)]
                #[schemars(extend("x-group" = $title, "x-aliases" = [$($alias),*]))]
                $kind($kind),
            )*
        }

        impl $group {
            pub(super) const NAMES: &[&str] = &[$($name $(, $alias)*),*];

            /// The fault that `parameters` describe, if the group has a kind called `name`.
            pub(super) fn read(name: &str, parameters: &super::Value) -> Option<super::Read<Self>> {
                match name {
                    $($name $(| $alias)* => {
                        Some(serde_path_to_error::deserialize(parameters).map(Self::$kind))
                    })*
                    _ => None,
                }
            }

            pub(super) fn kind(&self) -> &dyn super::Kind {
                match self {
                    $(Self::$kind(kind) => kind,)*
                }
            }

            pub(super) fn name(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => $name,)*
                }
            }

            pub(super) fn samples(draw: &mut super::Draw<'_>, into: &mut Vec<super::Fault>) {
                $(
                    let samples = <$kind as super::Kind>::samples(draw);
                    into.extend(samples.into_iter().map(super::Fault::from));
                )*
            }
        }

        $(
            impl From<$kind> for super::Fault {
                fn from(kind: $kind) -> Self {
                    Self::$variant($group::$kind(kind))
                }
            }

            $crate::fault::kinds::constructor!($kind = $name, $constructor $arguments);
        )*
    };
}
use group;

/// Declares the constructor of a kind: with the parameters that have no default.
macro_rules! constructor {
    ($kind:ident = $name:literal, $constructor:ident($($argument:ident: $type:ty),*)) => {
        impl super::Fault {
            #[doc = concat!("`", $name, "`: see [`", stringify!($kind), "`].")]
            pub fn $constructor($($argument: $type),*) -> Self {
                $kind::new($($argument),*).into()
            }
        }
    };
}
use constructor;

/// Declares [`Fault`] as one of all groups.
macro_rules! groups {
    ($($(#[$meta:meta])* $variant:ident($group:ident),)*) => {
        /// What goes wrong.
        ///
        /// In files a fault is a table whose `type` says which kind it is:
        /// `{ type = "status", code = 503 }`. In Rust there is a constructor for each kind. Where a
        /// kind has parameters with defaults, its struct in [`kinds`](self) has methods that set
        /// them.
        ///
        /// ```
        /// use imds_emulator::config::Span;
        /// use imds_emulator::fault::kinds::Status;
        /// use imds_emulator::fault::{Fault, Rule};
        ///
        /// let outage = Rule::new("outage", Fault::blackhole());
        /// let busy = Rule::new("busy", Status::new(503).retry_after(Span::seconds(2)));
        /// ```
        #[derive(Clone, Debug, PartialEq, serde::Serialize)]
        #[serde(untagged)]
        #[non_exhaustive]
        pub enum Fault {
            $($(#[$meta])* $variant($group),)*
        }

        /// The names of all kinds, with their aliases.
        static NAMES: LazyLock<Vec<&'static str>> =
            LazyLock::new(|| [$($group::NAMES),*].concat());

        impl Fault {
            fn kind(&self) -> &dyn Kind {
                match self {
                    $(Self::$variant(group) => group.kind(),)*
                }
            }

            /// The name of the kind, which is `type` in files.
            #[doc(hidden)]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(group) => group.name(),)*
                }
            }

            /// Faults of all kinds, for simulations.
            #[doc(hidden)]
            pub fn samples(random: &mut dyn rand::Rng) -> Vec<Self> {
                let mut samples = Vec::new();
                let mut draw = Draw::new(random);
                $($group::samples(&mut draw, &mut samples);)*
                samples
            }

            /// The fault that `parameters` describe, if there is a kind called `name`.
            fn read(name: &str, parameters: &Value) -> Option<Read<Self>> {
                None$(.or_else(|| Some($group::read(name, parameters)?.map(Self::$variant))))*
            }

            fn schemas(generator: &mut SchemaGenerator) -> Vec<Schema> {
                vec![$($group::json_schema(generator)),*]
            }
        }
    };
}

groups! {
    /// The connection is refused, reset or closed.
    Connection(ConnectionFault),
    /// Packets are lost or late.
    Network(NetworkFault),
    /// The response is late, or slow.
    Timing(TimingFault),
    /// The response is an error, or another one.
    Response(ResponseFault),
    /// The body of the response is incomplete or wrong.
    Body(BodyFault),
    /// Too many requests are not answered.
    Rate(RateFault),
    /// Tokens are refused, or required.
    Token(TokenFault),
    /// The metadata of the instance is incomplete, old or wrong.
    Instance(InstanceFault),
    /// The credentials of the role are missing, expired or wrong.
    Credentials(CredentialsFault),
}

impl Fault {
    pub(super) fn check(&self, key: &Key) -> Result<(), Invalid> {
        self.kind().check(key)
    }

    /// What the fault acts on.
    pub(crate) fn nature(&self) -> Nature<'_> {
        self.kind().nature()
    }

    /// Whether only a server that owns the connection can do what the fault does.
    pub(crate) fn needs_connection(&self) -> bool {
        self.nature().needs_connection()
    }

    /// If the fault acts on a network that the emulator owns: what to use elsewhere.
    #[doc(hidden)]
    pub fn instead(&self) -> Option<&'static str> {
        Some(match self.nature() {
            Nature::Listener(_, Refusal::Prohibited) => "`down`",
            Nature::Network(Impairment::Loss(_)) => "`blackhole` with `when.probability`",
            Nature::Network(Impairment::Delay { .. }) => "`latency`",
            Nature::Network(Impairment::Bandwidth(_)) => "`slow_body`",
            _ => return None,
        })
    }

    /// What the fault does to packets, if it acts on them.
    pub(crate) fn conditions(&self) -> Option<Conditions> {
        let Nature::Network(impairment) = self.nature() else {
            return None;
        };
        let mut conditions = Conditions::default();
        conditions.add(impairment);
        Some(conditions)
    }

    /// Whether the fault takes effect before there is a request.
    #[doc(hidden)]
    pub fn precedes_requests(&self) -> bool {
        match self.nature() {
            Nature::Network(..) => true,
            nature => nature.requests().is_none(),
        }
    }

    /// Whether the fault can affect `PUT` requests for a token alone.
    #[doc(hidden)]
    pub fn is_for_tokens(&self) -> bool {
        self.nature().requests() == Some(Requests::Tokens)
    }
}

impl<'de> Deserialize<'de> for Fault {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut parameters = deserializer.deserialize_map(Parameters)?;
        let at = |path: &str, problem: String| D::Error::custom(located::message(path, problem));
        let name = match parameters.remove("type") {
            Some(Value::String(name)) => name,
            Some(other) => {
                let problem =
                    format!("invalid type: {other}, expected the name of a kind of fault");
                return Err(at("type", problem));
            }
            None => return Err(D::Error::missing_field("type")),
        };
        let Some(fault) = Self::read(&name, &Value::Object(parameters)) else {
            let unknown = serde_json::Error::unknown_variant(&name, &NAMES);
            return Err(at("type", unknown.to_string()));
        };
        fault.map_err(|error| match error.path().to_string().as_str() {
            "." => D::Error::custom(error.inner()),
            path => at(path, error.inner().to_string()),
        })
    }
}

/// Reads a table in which each name occurs once.
struct Parameters;

impl<'de> Visitor<'de> for Parameters {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fault, like { type = \"status\", code = 503 }")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut parameters = Map::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if parameters.contains_key(&name) {
                return Err(A::Error::custom(format_args!("duplicate field `{name}`")));
            }
            parameters.insert(name, value);
        }
        Ok(parameters)
    }
}

impl JsonSchema for Fault {
    fn schema_name() -> Cow<'static, str> {
        "Fault".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kinds: Vec<Value> = Self::schemas(generator)
            .iter()
            .filter_map(|group| group.get("oneOf")?.as_array())
            .flatten()
            .cloned()
            .collect();
        json_schema!({ "description": "What goes wrong.", "oneOf": kinds })
    }
}
