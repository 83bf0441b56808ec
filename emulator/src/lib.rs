//! An emulator of the EC2 Instance Metadata Service (IMDS), for tests.
//!
//! It answers as IMDS does, for one instance that is [configured](config) as a whole: tokens, the tree
//! of every version, credentials that live and rotate on a [`Clock`] of the test's choice, events, and
//! an identity document that is signed. The credentials are well-formed and worthless.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use imds_emulator::Emulator;
//!
//! let emulator = Emulator::builder().role("web-server").start().await?;
//! // Point a program at it:
//! println!("AWS_EC2_METADATA_SERVICE_ENDPOINT={}", emulator.url());
//! // It stops when the handle is dropped.
//! # Ok::<(), imds_emulator::StartError>(())
//! # }).unwrap();
//! ```
//!
//! It fails on demand ([`fault`]), follows a script ([`timeline`]), and remembers what was asked
//! ([`journal`]). What can be done to it while it runs is in [`Control`].
//!
//! What IMDS does stands in numbered rules in [`protocol`]; code and tests cite them.
//!
//! | module | what lives there | may use |
//! | --- | --- | --- |
//! | [`config`] | what can be configured, with the model of the instance; checked at the door | – |
//! | `tree` | paths, listings, versions, presence | `config` |
//! | [`fault`] | rules: match, when, fault; and what faults make of an answer | `config`, `dialect` |
//! | `documents`, `events` | documents, and how they are written | `config`, `credentials` |
//! | `token`, `credentials`, `identity` | session tokens; the life of credentials; signatures | – |
//! | `dialect` | how answers look on the wire | – |
//! | [`imds`] | the core: a request and a moment in, a decision out; no socket, no clock, no randomness of its own | everything above |
//! | `preset` | faults by name | `config`, [`fault`] |
//! | [`journal`] | what was asked, what was answered, and assertions over it | `config`, [`fault`] |
//! | [`timeline`] | what happens when, or after which requests | everything above |
//! | `clock` | real time, or a test's | – |
//! | `control` | what can be done to a running emulator, and asked of it | everything above |
//! | `wire`, `server` | sockets in, core, sockets out | everything above |
//! | `admin` | `control` over HTTP, on a listener of its own | `control` |

#![forbid(unsafe_code)]

pub mod config;
pub mod fault;
pub mod imds;
pub mod journal;
pub mod timeline;

mod admin;
mod clock;
mod control;
mod credentials;
mod dialect;
mod documents;
mod events;
mod identity;
mod preset;
mod server;
mod token;
mod tree;
mod wire;

pub use self::clock::{Clock, NotManual};
pub use self::control::{Control, FaultGuard, StepError};
pub use self::credentials::RoleKeys;
pub use self::dialect::Dialect;
pub use self::preset::{Preset, UnknownPreset};
pub use self::server::{Builder, Emulator, StartError, variables};

/// The description of the admin API, as OpenAPI 3.1 has it. A running emulator serves it at
/// `/__admin/openapi.json`.
///
/// ```
/// assert_eq!(imds_emulator::openapi()["openapi"], "3.1.0");
/// ```
pub fn openapi() -> serde_json::Value {
    admin::description()
}

#[doc = include_str!("../docs/protocol.md")]
pub mod protocol {}
