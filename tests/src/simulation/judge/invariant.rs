//! The invariants, and their violations.

use std::fmt;
use std::time::Duration;

use crate::simulation::schedule::Readable;

/// A violation of an invariant.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// The invariant.
    pub invariant: Invariant,
    /// When it was seen, since the start of the world.
    pub at: Duration,
    /// The client.
    pub client: usize,
    /// What was seen.
    pub seen: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            invariant,
            at,
            client,
            seen,
        } = self;
        write!(
            f,
            "at {}, client {client}: {invariant}: {seen}",
            Readable(*at)
        )
    }
}

/// A condition that must hold after every call, whatever fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Invariant {
    /// No caller receives expired credentials, except that `windowed` extends credentials while refreshes
    /// fail, up to the bound.
    NothingExpired,
    /// Credentials are extended only when IMDS issues none.
    NoExtensionInHealth,
    /// A client recovers within a quarter of an hour after everything is healthy.
    Recovery,
    /// No more requests than a token bucket allows.
    BoundedRequests,
    /// No IMDSv1 where it is disabled.
    NoImdsv1,
    /// No secret in an error, a status or a log.
    NoSecrets,
    /// Every result matches the model.
    Model,
    /// A response of the emulator that no fault affects is what IMDS would send.
    Emulator,
    /// The sandbox does not run out of memory, handles or time.
    Sandbox,
    /// The memory that a client holds does not grow.
    FlatMemory,
    /// Every call ends.
    NoHang,
    /// No caller receives credentials that IMDS did not issue.
    Known,
    /// With refreshes in the background, no caller triggers one while IMDS is healthy.
    Background,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingExpired => "no expired credentials",
            Self::NoExtensionInHealth => "no extension while IMDS is healthy",
            Self::Recovery => "recovery in time",
            Self::BoundedRequests => "bounded requests",
            Self::NoImdsv1 => "no IMDSv1 where it is disabled",
            Self::NoSecrets => "no secret in errors, status and logs",
            Self::Model => "agreement with the model",
            Self::Emulator => "responses of the emulator as IMDS sends them",
            Self::Sandbox => "a healthy sandbox",
            Self::FlatMemory => "flat memory",
            Self::NoHang => "no hanging call",
            Self::Known => "only credentials that IMDS issued",
            Self::Background => "refresh in the background before credentials are due",
        })
    }
}
