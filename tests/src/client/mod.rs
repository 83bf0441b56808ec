//! Clients under test: anything that gets credentials from IMDS.
//!
//! A [`Driver`] starts a [`Client`] for each scenario. There are drivers for the component with and without
//! its host ([`component`]), for `aws-config`, and for any command ([`process`]). To test another client
//! written in Rust, implement the two traits:
//!
//! ```
//! use futures_util::future::BoxFuture;
//! use imds_conformance::client::{Answer, Client, Driver, Given, Offers, Time, Unable, World};
//!
//! /// Always returns the same credentials.
//! struct Stubborn;
//!
//! impl Driver for Stubborn {
//!     fn name(&self) -> &str {
//!         "stubborn"
//!     }
//!
//!     fn offers(&self) -> Offers {
//!         Offers { session: true, ..Offers::default() }
//!     }
//!
//!     fn start<'a>(&'a self, _: &'a World) -> BoxFuture<'a, Result<Box<dyn Client>, Unable>> {
//!         Box::pin(async { Ok(Box::new(Self) as Box<dyn Client>) })
//!     }
//! }
//!
//! impl Client for Stubborn {
//!     fn get(&mut self, callers: usize) -> BoxFuture<'_, Vec<Answer>> {
//!         let given = Given { access_key_id: "ASIAEXAMPLE".into(), expires: None };
//!         Box::pin(async move { vec![Ok(given); callers] })
//!     }
//! }
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use imds_emulator::Emulator;
use serde::Serialize;

use crate::clock::Shared;

#[cfg(feature = "aws-config")]
pub mod aws_config;
pub mod component;
pub mod process;

/// Starts clients of one kind.
pub trait Driver: Send + Sync {
    /// The client's name in reports.
    fn name(&self) -> &str;

    /// What its clients support.
    fn offers(&self) -> Offers;

    /// Starts a client in this world. It must not send a request before the first call.
    fn start<'a>(&'a self, world: &'a World) -> BoxFuture<'a, Result<Box<dyn Client>, Unable>>;
}

/// Something that gets credentials from IMDS.
pub trait Client: Send {
    /// Asks for credentials with this number of concurrent callers, and returns one answer for each.
    fn get(&mut self, callers: usize) -> BoxFuture<'_, Vec<Answer>>;

    /// Reads a path below `/latest/meta-data/`.
    fn metadata(&mut self, path: &str) -> BoxFuture<'_, Result<String, Failed>> {
        let _ = path;
        Box::pin(async { Err(Failed::unsupported("metadata")) })
    }

    /// Reports that AWS rejected the credentials with this access key ID.
    fn reject(&mut self, access_key_id: &str) -> BoxFuture<'_, Result<(), Failed>> {
        let _ = access_key_id;
        Box::pin(async { Err(Failed::unsupported("reject")) })
    }

    /// Reports that the clock was moved, for clients that do not use the world's clock.
    fn moved(&mut self, by: TimeDelta) -> BoxFuture<'_, Result<(), Failed>> {
        let _ = by;
        Box::pin(async { Ok(()) })
    }

    /// Returns the logs and error messages that the client wrote. They must not contain a secret.
    fn said(&mut self) -> BoxFuture<'_, String> {
        Box::pin(async { String::new() })
    }
}

/// The surroundings of a client.
#[derive(Clone, Debug)]
pub struct World {
    /// The URL of IMDS.
    pub endpoint: String,
    /// The environment variables for the client, including those that point AWS SDKs at the endpoint. The
    /// client must ignore the environment of this process.
    pub env: BTreeMap<String, String>,
    /// The clock of IMDS.
    pub clock: Shared,
    /// The seed for everything random.
    pub seed: u64,
    /// The emulator, if commands run in a network in which it has the addresses of IMDS, and which has
    /// nothing else. They then need no variable that points them at the endpoint.
    pub isolated: Option<Arc<Emulator>>,
}

/// What the clients of a driver support.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Offers {
    /// More than one question.
    pub session: bool,
    /// The clock that the client uses.
    pub time: Time,
    /// Concurrent callers.
    pub concurrent: bool,
    /// Reports of rejected credentials.
    pub reject: bool,
    /// Reading metadata.
    pub metadata: bool,
    /// Reading its settings from the world's environment.
    pub settings: bool,
}

/// The clock that a client uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Time {
    /// The clock of this machine, which cannot be moved.
    #[default]
    Machine,
    /// The world's clock, or a clock that moves with it.
    World,
}

/// What a caller receives.
pub type Answer = Result<Given, Failed>;

/// Credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Given {
    /// The access key ID.
    pub access_key_id: String,
    /// The expiration, if the client states it.
    pub expires: Option<DateTime<Utc>>,
}

/// An error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Failed {
    /// Its kind, one of [`KINDS`](crate::scenario::KINDS), if the client states it.
    pub kind: Option<String>,
    /// Its message.
    pub message: String,
    /// Whether there was no valid answer: the client died, panicked, or wrote something else. A scenario
    /// never expects this.
    pub broken: bool,
}

impl Failed {
    /// An error that the client reports.
    pub fn new(kind: Option<&str>, message: impl Into<String>) -> Self {
        Self {
            kind: kind.map(str::to_owned),
            message: message.into(),
            broken: false,
        }
    }

    /// No valid answer.
    pub fn broken(message: impl Into<String>) -> Self {
        Self {
            broken: true,
            ..Self::new(None, message)
        }
    }

    fn unsupported(what: &str) -> Self {
        Self::new(
            Some("unsupported"),
            format!("the client does not support `{what}`"),
        )
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Some(kind) => write!(f, "{kind}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// Why a client cannot be tested at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unable(pub String);

impl fmt::Display for Unable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unable {}
