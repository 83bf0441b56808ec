//! The policy `classic`: `aws.CredentialsCache` of the AWS SDK for Go v2, with the two strategies of
//! its EC2 role provider `[B5.5]`, `[B4.5]`, `[B4.6]`.
//!
//! Credentials are due when they expire. A window makes them expire earlier, an extension later.

use core::time::Duration;

use super::{Decision, Settings};
use crate::credentials::Credentials;
use crate::error::Error;
use crate::ports::Random;
use crate::provider::{self, Shift};
use crate::time::UnixTime;

/// A window leaves credentials valid for at least this long, if they were before `[B5.5]`. This is also
/// the shortest extension.
const MINIMUM_LIFETIME: Duration = provider::EXTENSION;

pub(super) fn accept(
    settings: &Settings,
    credentials: Credentials,
    now: UnixTime,
    random: &mut impl Random,
) -> Decision {
    let Some(window) = settings.window.filter(|window| !window.is_zero()) else {
        return until_expiration(credentials);
    };
    let least = credentials
        .expires
        .min(Some(now.saturating_add(MINIMUM_LIFETIME).floor()));
    let window = settings.jittered(window, random);
    let shift = Shift::Earlier(window);
    #[cfg(feature = "planted-faults")]
    let shift = match crate::planted::is_active(crate::planted::Planted::WindowTheWrongWay) {
        true => Shift::Later(window),
        false => shift,
    };
    let adjusted = provider::adjust_expires_by(credentials, shift, now);
    until_expiration(Credentials {
        expires: adjusted.expires.max(least),
        ..adjusted
    })
}

pub(super) fn extend(
    previous: Credentials,
    cause: Error,
    now: UnixTime,
    random: &mut impl Random,
) -> Result<Decision, Error> {
    let expires = previous.expires;
    let decision = until_expiration(provider::handle_fail_to_refresh(
        Some(previous),
        cause,
        now,
        random,
    )?);
    if decision.credentials.expires != expires {
        return Ok(decision);
    }
    // The credentials are due although they are valid for longer than an extension: the wall clock
    // was set back. They stay unchanged, and the next attempt comes after the length of an extension.
    Ok(Decision {
        due: decision
            .due
            .min(now.saturating_add(provider::extension(random))),
        ..decision
    })
}

fn until_expiration(credentials: Credentials) -> Decision {
    Decision {
        due: credentials.expires.unwrap_or(UnixTime::MAX),
        credentials,
    }
}
