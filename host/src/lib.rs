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
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! | module | what lives there |
//! | --- | --- |
//! | `provider` | the handle that programs hold; owner of the one component instance |
//! | `sandbox` | engine, linker with what the component needs and no more, store limits |
//! | [`egress`] | which requests leave the sandbox, and the sender that sends them |
//! | `credentials`, `error` | what comes back |
//! | [`inspect`] | what a component imports and exports |

#![forbid(unsafe_code)]

pub mod egress;
pub mod inspect;

mod credentials;
mod error;
mod provider;
mod sandbox;

pub use self::credentials::Credentials;
pub use self::error::{Error, ErrorKind};
pub use self::provider::{Builder, Ec2RoleProvider, Imdsv1Policy, RefreshPolicy};

/// The component that this library was built with.
pub const COMPONENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ec2_role_component.wasm"));
