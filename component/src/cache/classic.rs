//! The policy `classic`: `aws.CredentialsCache` of the AWS SDK for Go v2 with the provider's two
//! strategies (5.5, 4.5, 4.6).
//!
//! Credentials are due when they end. A window makes them end earlier, and an extension later.

use core::time::Duration;

use super::{Kept, Settings};
use crate::credentials::Credentials;
use crate::error::Error;
use crate::ports::Random;
use crate::provider::{self, Shift};
use crate::time::UnixTime;

/// However large the window, so much is left of credentials that had more (5.5): what an extension
/// gives at least.
const LEAST: Duration = provider::EXTENSION;

pub(super) fn accept(
    settings: &Settings,
    credentials: Credentials,
    now: UnixTime,
    random: &mut impl Random,
) -> Kept {
    let Some(window) = settings.window.filter(|window| !window.is_zero()) else {
        return until_they_end(credentials);
    };
    let least = credentials
        .expires
        .min(Some(now.saturating_add(LEAST).floor()));
    let window = settings.jittered(window, random);
    let shift = Shift::Sooner(window);
    #[cfg(feature = "planted-faults")]
    let shift = match crate::planted::is(crate::planted::Planted::WindowTheWrongWay) {
        true => Shift::Later(window),
        false => shift,
    };
    let adjusted = provider::adjust_expires_by(credentials, shift, now);
    until_they_end(Credentials {
        expires: adjusted.expires.max(least),
        ..adjusted
    })
}

pub(super) fn go_on(
    previous: Credentials,
    cause: Error,
    now: UnixTime,
    random: &mut impl Random,
) -> Result<Kept, Error> {
    let end = previous.expires;
    let kept = until_they_end(provider::handle_fail_to_refresh(
        Some(previous),
        cause,
        now,
        random,
    )?);
    if kept.credentials.expires != end {
        return Ok(kept);
    }
    // They last longer than an extension, and are due all the same: the wall clock was set back.
    // They go on unchanged, and IMDS has its rest.
    Ok(Kept {
        due: kept
            .due
            .min(now.saturating_add(provider::extension(random))),
        ..kept
    })
}

fn until_they_end(credentials: Credentials) -> Kept {
    Kept {
        due: credentials.expires.unwrap_or(UnixTime::MAX),
        credentials,
    }
}
