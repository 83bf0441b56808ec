//! Fuzz targets for everything that parses input, and what must hold for any input.
//!
//! Each target takes bytes, and panics if a condition does not hold. `tests/fuzz` runs them with libFuzzer, and
//! `tests/tests/fuzz.rs` runs them over the corpora and with proptest in `cargo test`.
//!
//! | target | input | code under test |
//! | --- | --- | --- |
//! | `token`, `role_list`, `document`, `identity_document`, `iam_info` | a response of IMDS | the component's `Instance` |
//! | `options` | options, from `arbitrary` | the component's `Config` and `Instance` |
//! | `endpoint` | a URL | the component's `Endpoint` and the host's `Egress` |
//! | `host_settings` | environment variables, one per line | the host's `Builder::settings` |
//! | `profile` | a shared configuration file | the same |
//! | `emulator_config` | a configuration as TOML, or as JSON if it begins with `{` | `Config` and the core, `Imds` |
//! | `emulator_settings` | keys of the configuration and their values, one per line | `Layers` |
//! | `rule` | a rule as TOML, or as JSON if it begins with `{` | `Config` and the core, `Imds` |
//! | `admin` | a method and a path in the first line, then a body | the admin API, over a socket |
//! | `http` | the bytes that a client sends | the emulator's socket |
//! | `scenario` | a scenario as TOML | `Scenario::parse` |
//! | `client_answers` | a client's answer | the parsers of the line protocol and of `credential_process` |

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a target panics to report a failure"
)]

mod component;
mod conformance;
mod emulator;
mod host;
mod sockets;

pub use self::component::{
    document, endpoint, iam_info, identity_document, options, role_list, token,
};
pub use self::conformance::{client_answers, scenario};
pub use self::emulator::{emulator_config, emulator_settings, rule};
pub use self::host::{host_settings, profile};
pub use self::sockets::{admin, http};

/// A target.
pub type Target = fn(&[u8]);

/// All targets, by name.
pub const TARGETS: [(&str, Target); 16] = [
    ("token", token),
    ("role_list", role_list),
    ("document", document),
    ("identity_document", identity_document),
    ("iam_info", iam_info),
    ("options", options),
    ("endpoint", endpoint),
    ("host_settings", host_settings),
    ("profile", profile),
    ("emulator_config", emulator_config),
    ("emulator_settings", emulator_settings),
    ("rule", rule),
    ("admin", admin),
    ("http", http),
    ("scenario", scenario),
    ("client_answers", client_answers),
];

/// The same bytes with other letters and digits in `place`, to check that no output depends on a secret there.
fn disguised(bytes: &[u8], place: std::ops::Range<usize>) -> Vec<u8> {
    let mut other = bytes.to_vec();
    for byte in other.get_mut(place).unwrap_or_default() {
        *byte = match *byte {
            b'a'..=b'y' | b'A'..=b'Y' | b'0'..=b'8' => *byte + 1,
            b'z' | b'Z' => *byte - 25,
            b'9' => b'0',
            other => other,
        };
    }
    other
}
