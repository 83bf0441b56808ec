//! AWS credentials from the EC2 Instance Metadata Service (IMDS), through a sandboxed WASI
//! component.
//!
//! The component `ec2-role-component` speaks to IMDS. This library runs it with wasmtime, in a
//! sandbox that can reach the metadata endpoint and nothing else, and hands its credentials to Rust
//! programs.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use ec2_role_host::Ec2RoleProvider;
//!
//! // On EC2 there is no need to name an endpoint. Here an emulator plays IMDS.
//! let imds = imds_emulator::Emulator::builder().start().await?;
//! let provider = Ec2RoleProvider::builder().endpoint(imds.url()).build().await?;
//!
//! let credentials = provider.credentials().await?;
//! assert_eq!(credentials.source(), "EC2RoleProvider");
//! assert_eq!(provider.metadata().get("instance-type").await?, "t3.micro");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! Programs without a runtime have [`Builder::build_blocking`],
//! [`Ec2RoleProvider::credentials_blocking`], and [`wait`] for everything else.
//!
//! | module | what lives there |
//! | --- | --- |
//! | `provider` | the handle that programs hold, and the owner of the one component instance |
//! | [`config`] | settings from the environment and the profile |
//! | `sandbox` | engine, linker with what the component imports and no more, limits |
//! | [`egress`] | which requests leave the sandbox |
//! | [`transport`] | how they are sent |
//! | `compiled`, `kept` | compiled components and credentials on disk, in `private` folders |
//! | `runtime` | the thread that everything runs on |
//! | `credentials`, `metadata`, `status`, `error` | what comes back |
//! | [`telemetry`] | names of events, spans and metrics |
//! | `aws_sdk` | the provider as the AWS SDK for Rust wants one (feature `aws-sdk`) |
//! | [`inspect`] | what a component imports and exports |

#![deny(unsafe_code)]

pub mod config;
pub mod egress;
pub mod inspect;
pub mod telemetry;
pub mod transport;

#[cfg(feature = "aws-sdk")]
mod aws_sdk;
mod clock;
mod compiled;
mod credentials;
mod error;
mod kept;
mod limits;
mod metadata;
mod private;
mod provider;
mod runtime;
mod sandbox;
mod status;

pub use self::clock::Clock;
#[cfg(feature = "profile")]
pub use self::config::AssumeRole;
pub use self::config::{Environment, Settings};
pub use self::credentials::Credentials;
pub use self::error::{Error, ErrorKind, Step};
pub use self::limits::Limits;
pub use self::metadata::{IamInfo, IdentityDocument, Metadata};
pub use self::provider::{Builder, Ec2RoleProvider, EndpointMode, Imdsv1Policy, RefreshPolicy};
pub use self::runtime::wait;
pub use self::status::{Event, Events, ImdsVersion, PastFailure, RequestCounts, Status};

/// The component that this library was built with.
pub const COMPONENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ec2_role_component.wasm"));
