//! The atlas: what real programs do with IMDS.
//!
//! Each program has a file in `tests/programs`, which says how it is installed and what makes it use
//! IMDS. It is run unmodified in an isolated network, several times: with IMDS as it should be, and
//! in each situation in which programs differ.

mod bench;
mod chart;
mod compare;
mod file;
mod install;
mod measure;
mod page;
mod situation;
mod table;
mod text;
mod words;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use self::chart::chart;
pub use self::file::{FileError, Finds, Install, Kind, Program, Use, built_in, folder, parse};
pub use self::install::{InstallError, Installed, install};
pub use self::measure::{MeasureError, measure};
pub use self::page::page;
pub use self::table::markdown;
pub use self::text::text;

/// All measurements, newest of each program.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Atlas {
    /// The programs, by name.
    pub programs: Vec<Measured>,
    /// The programs that could not be measured, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_measured: Vec<NotMeasured>,
}

impl Atlas {
    /// Replaces the measurement of a program, or adds it.
    pub fn put(&mut self, measured: Measured) {
        self.not_measured
            .retain(|other| other.name != measured.name);
        self.programs.retain(|other| other.name != measured.name);
        self.programs.push(measured);
        self.programs
            .sort_by(|one, other| one.name.cmp(&other.name));
    }

    /// Says why a program could not be measured, unless there is an earlier measurement.
    pub fn put_failure(&mut self, failure: NotMeasured) {
        self.not_measured.retain(|other| other.name != failure.name);
        if self.get(&failure.name).is_none() {
            self.not_measured.push(failure);
            self.not_measured
                .sort_by(|one, other| one.name.cmp(&other.name));
        }
    }

    /// The measurement of a program.
    pub fn get(&self, name: &str) -> Option<&Measured> {
        self.programs.iter().find(|measured| measured.name == name)
    }
}

/// A program that could not be measured.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct NotMeasured {
    /// The name of the program's file.
    pub name: String,
    /// What it is.
    pub about: String,
    /// When it was tried.
    pub at: DateTime<Utc>,
    /// Why it could not be measured.
    pub why: String,
}

/// What a program did.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Measured {
    /// The name of the program's file.
    pub name: String,
    /// What it is.
    pub about: String,
    /// The language that it is written in.
    pub language: String,
    /// What kind of program it is.
    pub kind: Kind,
    /// How it finds IMDS.
    pub finds: Finds,
    /// The program whose earlier version this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_of: Option<String>,
    /// The version of the program, if it comes in a package of another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The time in seconds after which it was stopped in each situation.
    #[serde(default = "file::three_minutes")]
    pub limit: u64,
    /// The packages that were installed, with their versions.
    pub packages: Vec<String>,
    /// When it was measured.
    pub at: DateTime<Utc>,
    /// The path that it is run for.
    pub asks: String,
    /// The version of IMDS that it speaks.
    pub speaks: Speaks,
    /// Its first use, with IMDS as it should be.
    pub cold: Cold,
    /// With IMDS that answers 403 to requests for tokens, as it does to requests from a proxy.
    pub token_refused: Reaction,
    /// Two hops away from an instance whose responses with tokens travel one hop.
    pub hop_limit: Reaction,
    /// With an IMDS that revokes the first token as soon as it has issued it. Absent if the program
    /// requests no tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_revoked: Option<Reaction>,
    /// With credentials that expired an hour ago. This situation and the next two are absent if the
    /// program does not ask for credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_expired: Option<Reaction>,
    /// With credentials that expire within two minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_expire_soon: Option<Reaction>,
    /// The second of two runs with the same home, between which the credentials were rotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_rotated: Option<Reaction>,
    /// The second of two uses in one process, between which the token was revoked and the
    /// credentials expired. Absent if the program's file has no script for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<Reaction>,
    /// With a closed port at the address of IMDS.
    pub refused: Reaction,
    /// With no route to the address of IMDS.
    pub unreachable: Reaction,
    /// With an address of IMDS that never answers, as outside EC2 in most networks.
    pub silent: Reaction,
}

/// The version of IMDS that a program speaks.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Speaks {
    /// IMDSv2, and nothing else in any situation that was tried.
    V2,
    /// IMDSv2, and IMDSv1 if it gets no token.
    FallsBack,
    /// IMDSv1 and IMDSv2 in one use.
    Both,
    /// IMDSv1 only.
    V1,
}

/// The first use of a program.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Cold {
    /// The first request: method and path.
    pub first: String,
    /// The requests, without those for tokens: paths in the order of their first request.
    pub paths: Vec<String>,
    /// All requests.
    pub requests: u64,
    /// Those for tokens.
    pub token_requests: u64,
    /// Those for the path that the program is run for.
    pub asked: u64,
    /// The lifetimes of tokens that it asked for, in seconds.
    pub token_lifetimes: BTreeSet<u32>,
    /// The connections.
    pub connections: u64,
    /// The packets that it sent on them, of which EC2 allows an instance 1,024 per second.
    pub packets: u64,
    /// The values of `User-Agent`, with `RELEASE` for the release of the kernel.
    pub user_agents: Vec<String>,
    /// The time from the start of the program to its end, in milliseconds. Absent if it was stopped
    /// because it ran on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milliseconds: Option<u64>,
}

/// What a program did in a situation.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reaction {
    /// The time from the start of the program to its end, in milliseconds. Absent if it was stopped
    /// because it ran on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milliseconds: Option<u64>,
    /// The requests that reached IMDS.
    pub requests: u64,
    /// Those for tokens.
    pub token_requests: u64,
    /// Those for the path that the program is run for.
    pub asked: u64,
    /// Those that were answered with 401, as requests with a revoked token are.
    pub rejected: u64,
    /// Those without a token.
    pub without_token: u64,
    /// Whether it got what it asks for.
    pub succeeded: bool,
    /// Whether it then did what it does with a healthy IMDS: it ended with the exit status 0, and
    /// printed something if it then does, or, if it never succeeds because its service is not there,
    /// tried to connect to the service. Absent if that cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub went_on: Option<bool>,
}
