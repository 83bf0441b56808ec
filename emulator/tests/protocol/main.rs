//! What the emulator answers, rule by rule of `docs/protocol.md`, as bytes on a socket.
//!
//! | rules | tests |
//! | --- | --- |
//! | 2 to 11, 16, 19, 20, 23, 31, 33, 61 | [`dialects`] (whole responses, byte for byte), [`transport`] |
//! | 7 to 19, 21 | [`tokens`] |
//! | 22 | about clients |
//! | 1, 23, 24, 36 | [`options`] |
//! | 25, 26 | throttling: not emulated |
//! | 27 to 33 | [`paths`] |
//! | 34 to 43 | [`categories`] |
//! | 44 to 53 | [`iam`] |
//! | 54 to 58 | [`events`] |
//! | 59, 60 | [`identity`] |
//! | 67, 68 | [`placement`] |
//! | what programs ask for; 69 and other recipes | [`programs`], [`recipes`] |
//! | 64 to 66, and kinds of instances | [`instance`] |

#![expect(clippy::unwrap_used, reason = "a test")]

mod bench;
mod categories;
mod dialects;
mod events;
#[path = "../full/mod.rs"]
mod full;
mod iam;
mod identity;
mod instance;
mod options;
mod paths;
mod placement;
mod programs;
mod recipes;
mod tokens;
mod transport;
