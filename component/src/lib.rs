//! AWS credentials from the EC2 Instance Metadata Service (IMDS).
//!
//! Built for `wasm32-unknown-unknown`, this crate is a WASI component that exports the interfaces of
//! `wit/credentials.wit`. Built for any other target, it is only the component's logic: a library
//! without I/O, for tests and simulation.
//!
//! The logic is generic over three [`ports`]: an HTTP exchange, the clocks, and randomness. It
//! consists of `async` functions, and the ports decide when these are ready. On WASI 0.2 a port
//! blocks until it has its result, so every future is ready at the first poll. In a simulation, the
//! ports wait on a virtual clock.
//!
//! Messages are put together with `concat`, because `format!` would add 3 kB to the component.
//!
//! Programs can match the public enums exhaustively. Those that mirror the WIT package cannot grow
//! within a version of the package, and only this workspace uses the others.
//!
//! Comments cite the rules of `docs/behaviour.md` as `[B2.5]`.
//!
//! | module | what lives there | may use |
//! | --- | --- | --- |
//! | [`time`], [`secret`], [`error`], `json`, `planted` | values and helpers | – |
//! | [`ports`] | what the logic needs from outside | `time` |
//! | [`credentials`] | a set of credentials | `secret`, `time` |
//! | [`metadata`] | a look-up: its client, its result, its statistics | `error` |
//! | [`imds`] | the built-in IMDS client: endpoint, session token, retries, documents | `error`, `json`, `metadata`, `ports`, `secret`, `time` |
//! | [`provider`] | role list, credentials document, expiration; over any [`metadata::MetadataClient`] | `credentials`, `error`, `json`, `metadata`, `ports`, `secret`, `time` |
//! | [`cache`] | the held credentials, and when to refresh them | `credentials`, `error`, `metadata`, `planted`, `ports`, `provider`, `time` |
//! | [`config`] | the settings of all of these, checked | `cache`, `error`, `imds`, `provider` |
//! | [`instance`] | one provider: configuration, client and cache together | `cache`, `config`, `credentials`, `error`, `imds`, `metadata`, `ports`, `provider` |
//! | [`custom_client`] | an IMDS client that the embedder provides, in place of the built-in one | `config`, `error`, `imds`, `instance`, `metadata`, `ports` |
//! | `guest` (WebAssembly only) | the component: its exports, and the ports on WASI | `config`, `credentials`, `custom_client`, `error`, `imds`, `instance`, `ports`, `provider`, `secret`, `time` |

#![no_std]
#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]

extern crate alloc;
// wit-bindgen's support for WASI 0.3 needs `std`.
#[cfg(any(not(target_arch = "wasm32"), feature = "wasi-0-3"))]
extern crate std;

pub mod cache;
pub mod config;
pub mod credentials;
pub mod custom_client;
pub mod error;
pub mod imds;
pub mod instance;
mod json;
pub mod metadata;
#[cfg(feature = "planted-faults")]
pub mod planted;
pub mod ports;
pub mod provider;
pub mod secret;
pub mod time;

#[cfg(target_arch = "wasm32")]
mod guest;
