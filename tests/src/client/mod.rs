//! What is measured: anything that gets credentials from IMDS.
//!
//! A [`Driver`] starts a [`Client`] for each scenario. There are drivers for the component in its host and
//! without one ([`component`]), for `aws-config`, and for any command ([`process`]); a test of one's own
//! implements the two traits:
//!
//! ```
//! use futures_util::future::BoxFuture;
//! use imds_conformance::client::{Answer, Client, Driver, Given, Offers, Time, Unable, World};
//!
//! /// Gives what it was given first, for ever.
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

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use serde::Serialize;

use crate::clock::Shared;

#[cfg(feature = "aws-config")]
pub mod aws_config;
pub mod component;
pub mod process;

/// Starts clients of one kind.
pub trait Driver: Send + Sync {
    /// What it is called in reports.
    fn name(&self) -> &str;

    /// What its clients can do.
    fn offers(&self) -> Offers;

    /// Starts a client in this world. No request may be sent before the first question.
    fn start<'a>(&'a self, world: &'a World) -> BoxFuture<'a, Result<Box<dyn Client>, Unable>>;
}

/// Something that gets credentials from IMDS.
pub trait Client: Send {
    /// So many callers ask for credentials at once. Each is given an answer.
    fn get(&mut self, callers: usize) -> BoxFuture<'_, Vec<Answer>>;

    /// What is below `/latest/meta-data/`.
    fn metadata(&mut self, path: &str) -> BoxFuture<'_, Result<String, Failed>> {
        let _ = path;
        Box::pin(async { Err(Failed::unsupported("metadata")) })
    }

    /// AWS did not accept the credentials with this key.
    fn reject(&mut self, access_key_id: &str) -> BoxFuture<'_, Result<(), Failed>> {
        let _ = access_key_id;
        Box::pin(async { Err(Failed::unsupported("reject")) })
    }

    /// The clock was moved, for clients that do not go by the world's.
    fn moved(&mut self, by: TimeDelta) -> BoxFuture<'_, Result<(), Failed>> {
        let _ = by;
        Box::pin(async { Ok(()) })
    }

    /// All that it has written beside its answers: logs and messages, in which there must be no secret.
    fn said(&mut self) -> BoxFuture<'_, String> {
        Box::pin(async { String::new() })
    }
}

/// What a client finds when it starts.
#[derive(Clone, Debug)]
pub struct World {
    /// The URL of IMDS.
    pub endpoint: String,
    /// The environment variables that are set, with those that point AWS SDKs at the endpoint. Nothing else of
    /// the machine's environment is for the client.
    pub env: BTreeMap<String, String>,
    /// The clock of IMDS.
    pub clock: Shared,
    /// What decides on all that is random.
    pub seed: u64,
}

/// What clients of one kind can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Offers {
    /// Answer more than one question.
    pub session: bool,
    /// Go by another time than the machine's.
    pub time: Time,
    /// Answer many callers at once.
    pub concurrent: bool,
    /// Take note that credentials were rejected.
    pub reject: bool,
    /// Read the metadata tree.
    pub metadata: bool,
    /// Take all settings from the world's environment.
    pub settings: bool,
}

/// What time a client goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Time {
    /// The machine's, which cannot be moved.
    #[default]
    Machine,
    /// The world's, or one that is moved with it.
    World,
}

/// What a caller is given.
pub type Answer = Result<Given, Failed>;

/// Credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Given {
    /// The id of the access key.
    pub access_key_id: String,
    /// When they end, if the client says so.
    pub expires: Option<DateTime<Utc>>,
}

/// An error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Failed {
    /// What it is about, one of [`KINDS`](crate::scenario::KINDS), if the client tells.
    pub kind: Option<String>,
    /// Its text.
    pub message: String,
    /// Whether it is no answer at all: the client died, panicked, or said what cannot be understood. That
    /// is never what was expected.
    pub broken: bool,
}

impl Failed {
    /// An error that the client tells.
    pub fn new(kind: Option<&str>, message: impl Into<String>) -> Self {
        Self {
            kind: kind.map(str::to_owned),
            message: message.into(),
            broken: false,
        }
    }

    /// No answer at all.
    pub fn broken(message: impl Into<String>) -> Self {
        Self {
            broken: true,
            ..Self::new(None, message)
        }
    }

    fn unsupported(what: &str) -> Self {
        Self::new(
            Some("unsupported"),
            format!("this client does not know {what:?}"),
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

/// A client that cannot be started: that says nothing of its conformance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unable(pub String);

impl fmt::Display for Unable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unable {}
