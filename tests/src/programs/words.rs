//! What was measured, in words, for the tables and the page.

use std::fmt;

use super::{Measured, Reaction, Speaks};

/// Where nothing applies.
pub(super) const NONE: &str = "–";

/// All that was measured of a program but the paths, as pairs of what and how.
pub(super) fn facts(program: &Measured) -> impl Iterator<Item = (&'static str, String)> {
    let cold = &program.cold;
    let rows = [
        ("finds IMDS", program.finds.to_string()),
        (
            "a cold use",
            format!(
                "{} requests, {} of them for tokens, on {} connections, {} packets, {}",
                cold.requests,
                cold.token_requests,
                cold.connections,
                cold.packets,
                cold.milliseconds.map_or_else(
                    || stopped(program),
                    |milliseconds| format!("in {}", seconds(milliseconds))
                )
            ),
        ),
        ("token lifetime", lifetimes(program)),
        ("first request", cold.first.clone()),
        ("User-Agent", cold.user_agents.join(", ")),
        (
            "token refused",
            without_tokens(program, &program.token_refused),
        ),
        (
            "hop limit of 1",
            without_tokens(program, &program.hop_limit),
        ),
        ("token revoked", token_revoked(program).to_owned()),
        ("expired credentials", expired(program).to_owned()),
        ("credentials expire soon", expire_soon(program).to_owned()),
        ("run again, rotated", rotated(program).to_owned()),
        (
            "second use",
            program.again.as_ref().map_or("", again).to_owned(),
        ),
        (
            "off EC2",
            format!(
                "refused: {}; no route: {}; no response: {}",
                time(program, &program.refused),
                time(program, &program.unreachable),
                time(program, &program.silent)
            ),
        ),
    ];
    rows.into_iter()
        .filter(|(_, value)| !value.is_empty() && value != NONE)
}

/// The package that the program is in, or the program in it, with its version.
pub(super) fn title(program: &Measured) -> String {
    let name = match program.version {
        Some(_) => &program.name,
        None => package(program).0,
    };
    format!("{name} {}", version(program)).trim_end().to_owned()
}

/// The version of the program.
pub(super) fn version(program: &Measured) -> &str {
    match &program.version {
        Some(version) => version,
        None => package(program).1,
    }
}

/// The package that has the name of the program, the first whose name contains it, or the first:
/// others are what it depends on. The name of an earlier version ends with its version.
fn package(program: &Measured) -> (&str, &str) {
    let name = program.name.as_str();
    let name = match name.rsplit_once('-') {
        Some((name, version)) if version.starts_with(|first: char| first.is_ascii_digit()) => name,
        _ => name,
    };
    let packages = || program.packages.iter().map(|package| split(package));
    packages()
        .find(|(package, _)| *package == name)
        .or_else(|| packages().find(|(package, _)| package.contains(name)))
        .or_else(|| packages().next())
        .unwrap_or((name, ""))
}

/// A package and its version. PyPI writes `minio==8.0.7`, npm `minio@8.0.7`, RubyGems `minio:8.0.7`
/// and the installer, for Debian, `minio 8.0.7`.
fn split(package: &str) -> (&str, &str) {
    package
        .split_once("==")
        .or_else(|| package.split_once(' '))
        // The name of a package of npm may begin with @.
        .or_else(|| {
            package
                .rsplit_once('@')
                .filter(|(name, _)| !name.is_empty())
        })
        .or_else(|| package.rsplit_once(':'))
        .unwrap_or((package, ""))
}

pub(super) fn lifetimes(program: &Measured) -> String {
    let lifetimes = program.cold.token_lifetimes.iter();
    let lifetimes: Vec<String> = lifetimes.copied().map(lifetime).collect();
    lifetimes.join(", ")
}

pub(super) fn lifetime(seconds: u32) -> String {
    match seconds % 3600 {
        0 => format!("{} h", seconds / 3600),
        _ => format!("{seconds} s"),
    }
}

pub(super) fn seconds(milliseconds: u64) -> String {
    format!("{:.1} s", milliseconds as f64 / 1e3)
}

/// What a program did off EC2, each by itself.
pub(super) fn off_ec2(program: &Measured) -> [&Reaction; 3] {
    [&program.refused, &program.unreachable, &program.silent]
}

/// The longest that a program ran off EC2, in milliseconds, until it ended or was stopped.
pub(super) fn longest(program: &Measured) -> u64 {
    let times = off_ec2(program).map(|reaction| reaction.milliseconds);
    let times = times.map(|time| time.unwrap_or(program.limit.saturating_mul(1000)));
    times.into_iter().max().unwrap_or_default()
}

/// How long a program took.
pub(super) fn time(program: &Measured, reaction: &Reaction) -> String {
    time_of(program, reaction.milliseconds)
}

fn time_of(program: &Measured, milliseconds: Option<u64>) -> String {
    milliseconds.map_or_else(|| stopped(program), seconds)
}

/// What is said of a program that ran until it was stopped.
fn stopped(program: &Measured) -> String {
    format!("stopped after {} s", program.limit)
}

/// What a program did with an IMDS that issues no tokens.
pub(super) fn without_tokens(program: &Measured, reaction: &Reaction) -> String {
    let how = match (reaction.succeeded, reaction.without_token) {
        (true, 0) => "succeeds",
        (true, _) => "IMDSv1",
        (false, 0) => "fails",
        (false, _) => "fails, with IMDSv1",
    };
    format!("{how}, {}", time(program, reaction))
}

/// What a program did with a token that was revoked.
pub(super) fn token_revoked(program: &Measured) -> &'static str {
    let Some(reaction) = &program.token_revoked else {
        return NONE;
    };
    match reaction {
        Reaction {
            succeeded: false, ..
        } => "fails",
        Reaction { rejected: 0, .. } => "never used that token",
        _ if reaction.token_requests > program.cold.token_requests => "requests a new token",
        Reaction {
            without_token: 1.., ..
        } => "continues without a token",
        _ => "uses another token that it has",
    }
}

/// What a program did with credentials that had expired.
pub(super) fn expired(program: &Measured) -> &'static str {
    let Some(reaction) = &program.credentials_expired else {
        return NONE;
    };
    match (asks_again(program, reaction), reaction.went_on) {
        (false, Some(true)) => "uses them",
        (true, Some(true)) => "asks again, then uses them",
        (false, Some(false)) => "fails",
        (true, Some(false)) => "asks again, then fails",
        (_, None) if reaction.milliseconds.is_none() => "runs until it is stopped",
        (false, None) => "does not ask again",
        (true, None) => "asks again",
    }
}

/// What a program did with credentials that expire within two minutes.
pub(super) fn expire_soon(program: &Measured) -> &'static str {
    let Some(reaction) = &program.credentials_expire_soon else {
        return NONE;
    };
    match (asks_again(program, reaction), reaction.went_on) {
        (false, Some(false)) => "fails",
        (true, Some(false)) => "asks again, then fails",
        (false, _) => "uses them",
        (true, _) => "asks again",
    }
}

/// Whether a program asked more often than for fresh credentials.
fn asks_again(program: &Measured, reaction: &Reaction) -> bool {
    reaction.asked > program.cold.asked
}

/// What a program did when it was started again after its credentials were rotated.
pub(super) fn rotated(program: &Measured) -> &'static str {
    match &program.credentials_rotated {
        None => NONE,
        Some(Reaction { asked: 0, .. }) => "keeps the old ones",
        Some(_) => "asks again",
    }
}

/// What a program did when it used IMDS again.
pub(super) fn again(reaction: &Reaction) -> &'static str {
    match reaction {
        Reaction {
            asked: 0,
            went_on: Some(true),
            ..
        } => "uses the old ones",
        Reaction {
            succeeded: false, ..
        } => "fails",
        Reaction {
            rejected: 0,
            token_requests: 0,
            ..
        } => "asks without a token",
        Reaction { rejected: 0, .. } => "requests a token each time",
        Reaction {
            token_requests: 0, ..
        } => "continues without a token",
        _ => "requests a new token",
    }
}

impl fmt::Display for Speaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V2 => "IMDSv2",
            Self::FallsBack => "IMDSv2, falls back",
            Self::Both => "both",
            Self::V1 => "IMDSv1 only",
        })
    }
}
