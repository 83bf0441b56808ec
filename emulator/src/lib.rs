//! An emulator of the EC2 Instance Metadata Service (IMDS), for tests.
//!
//! It answers as IMDS does, for one instance, all of which can be [configured](config): tokens, the
//! tree of every version, credentials that rotate and expire on a [`Clock`] that the test chooses,
//! events, and a signed identity document. The credentials are well-formed and worthless.
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
//! It fails on demand ([`fault`]), follows a script ([`timeline`]), and records the requests
//! ([`journal`]). The methods of [`Emulator`] change it while it runs; [`Command`] represents the
//! same operations as data.
//!
//! It is also an [axum router](Builder::router), to mount in an application or to call without a
//! socket. The emulator's own listener serves the same router:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::body::Body;
//! use axum::http::Request;
//! use imds_emulator::Emulator;
//! use imds_emulator::journal::Assertion;
//! use tower::ServiceExt as _;
//!
//! let (router, imds) = Emulator::builder().role("web-server").router()?;
//! let put = Request::put("/latest/api/token")
//!     .header("X-aws-ec2-metadata-token-ttl-seconds", "60")
//!     .body(Body::empty())?;
//! assert_eq!(router.oneshot(put).await?.status(), 200);
//! assert!(imds.verify(&[Assertion::NoImdsv1])?.holds);
//! # Ok(()) }
//! ```
//!
//! [`protocol`] describes IMDS as numbered rules; code and tests cite them.
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `admin` | the admin API: the same operations over HTTP |
//! | `isolation` | `Emulator::command`, `Builder::link_local`: programs that have the address of IMDS compiled in (Linux) |
//! | `report` | what clients did, as text, JSON or an HTML page |
//! | `cli` (default) | the command `imds-emulator`; includes the others |
//!
//! A test that uses the library needs neither; `default-features = false` omits them.
//!
//! | module | what lives there | may use |
//! | --- | --- | --- |
//! | [`protocol`] | the rules of IMDS, as text | – |
//! | `value` | spans, moments, contents; keys of the configuration and what is wrong with their values | – |
//! | `clock`, `identity`, `token` | real time, or a time that the test sets; signatures; session tokens | – |
//! | `request` | what a request says: path, version of IMDS, token | `value`, `token` |
//! | `decision` | how a request is answered | `request` |
//! | `dialect` | how responses look on the wire | `decision` |
//! | `instance` | the model of the instance, its metadata options and its events | `value` |
//! | `credentials` | the life of the role's credentials | `instance` |
//! | `documents` | JSON documents, and how they are written | `instance`, `credentials` |
//! | `events` | documents of events | `value`, `instance`, `documents` |
//! | [`fault`] | rules: match, when, fault; how faults change an instance and a response | `value`, `token`, `request`, `decision`, `dialect`, `instance`, `credentials`, `documents` |
//! | [`journal`] | requests, their outcomes, and assertions about them | `value`, `token`, `request` |
//! | `preset` | faults by name | `value`, `fault` |
//! | [`timeline`] | commands, and scripts of them | `value`, `fault`, `journal`, `preset` |
//! | [`config`] | the configuration: file, environment, flags; checked as a whole | `value`, `dialect`, `instance`, `fault`, `journal`, `preset`, `timeline` |
//! | `tree` | the table of leaves; paths, listings, versions, presence | `value`, `identity`, `dialect`, `instance`, `credentials`, `documents`, `events`, `config` |
//! | [`imds`] | the core: a request and a moment in, a decision out; no socket, no clock, no randomness of its own | `value`, `identity`, `token`, `request`, `decision`, `dialect`, `instance`, `credentials`, `fault`, `config`, `tree` |
//! | `control` | the effect of each command, and queries about a running emulator; plays the timeline | `value`, `clock`, `identity`, `dialect`, `instance`, `credentials`, `fault`, `journal`, `preset`, `timeline`, `config`, `imds` |
//! | [`report`] | what clients did: counts, text, JSON, a page with a timeline | `value`, `request`, `fault`, `journal`, `timeline`, `control` |
//! | `admin` | `control` over HTTP | `value`, `clock`, `instance`, `fault`, `journal`, `preset`, `timeline`, `config`, `control` |
//! | `server` | the router around the core, and the sockets around the router | `clock`, `identity`, `decision`, `dialect`, `instance`, `credentials`, `fault`, `journal`, `preset`, `timeline`, `config`, `imds`, `control`, `admin` |

#![forbid(unsafe_code)]
// A new variant must not break programs. An enum that cannot grow states why.
#![warn(clippy::exhaustive_enums)]

pub mod config;
pub mod fault;
#[doc(hidden)]
pub mod imds;
pub mod journal;
#[cfg(feature = "report")]
pub mod report;
pub mod timeline;

#[cfg(feature = "admin")]
mod admin;
mod clock;
mod control;
mod credentials;
mod decision;
mod dialect;
mod documents;
mod events;
mod identity;
mod instance;
mod preset;
mod request;
mod server;
mod token;
mod tree;
mod value;

pub use self::clock::{Clock, NotManual};
pub use self::control::{Control, ExpectGuard, FaultGuard, StepError};
pub use self::credentials::RoleKeys;
pub use self::dialect::Dialect;
pub use self::identity::{Certificate, IdentityError};
pub use self::preset::{Preset, UnknownPreset};
pub use self::server::{Builder, Emulator, StartError, Variables};
#[cfg(all(feature = "isolation", target_os = "linux"))]
pub use self::server::{
    Isolated, Isolation, IsolationError, LinkLocal, LinkLocalError, OffEc2, Outgoing,
};
pub use self::timeline::{Command, Outcome};
#[doc(hidden)]
pub use self::tree::{LEAVES, Leaf};

#[cfg(feature = "cli")]
#[doc(hidden)]
pub use self::admin::ctl;

/// The description of the admin API, as OpenAPI 3.1. A running emulator serves it at
/// `/__admin/openapi.json`.
///
/// ```
/// assert_eq!(imds_emulator::openapi()["openapi"], "3.1.0");
/// ```
#[cfg(feature = "admin")]
pub fn openapi() -> serde_json::Value {
    admin::description()
}

#[doc = include_str!("../docs/protocol.md")]
pub mod protocol {}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
