//! The instance as one request sees it, for faults to change.

use chrono::{DateTime, TimeDelta, Utc};
use globset::GlobMatcher;

use crate::credentials::Issuer;
use crate::documents::Broken;
use crate::instance::{Iam, MetadataOptions};
use crate::token::Token;

/// The parts of an instance that faults change.
#[derive(Clone)]
pub(crate) struct View {
    pub(crate) options: MetadataOptions,
    pub(crate) iam: Option<Iam>,
    /// The role whose credentials are served.
    pub(crate) role: Option<String>,
    /// Whether the list of roles is served although there is no role.
    pub(crate) role_list_is_empty: bool,
    /// Issues the credentials of the role.
    pub(crate) issuer: Issuer,
    pub(crate) quirks: Quirks,
}

/// What faults change that no configuration can express.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quirks {
    /// How far the clock is off.
    pub(crate) skew: TimeDelta,
    /// How old the responses are.
    pub(crate) age: TimeDelta,
    /// Paths that are listed, but 404.
    pub(crate) missing: Vec<GlobMatcher>,
    /// Paths that are served, but not listed.
    pub(crate) unlisted: Vec<GlobMatcher>,
    /// Damaged fields of the role's credential document.
    pub(crate) broken: Vec<(String, Broken)>,
    /// The longest TTL of a token, in seconds.
    pub(crate) ttl_cap: Option<u32>,
    /// The lifetime of tokens, whatever their TTL.
    pub(crate) token_lifetime: Option<TimeDelta>,
    /// Tokens issued before this moment are rejected.
    pub(crate) tokens_from: Option<DateTime<Utc>>,
    /// All tokens are rejected.
    pub(crate) rejects_tokens: bool,
    /// Whether requests with an `Expect` header are refused, if not as the dialect says `[I61]`.
    pub(crate) refuses_expectations: Option<bool>,
    /// The credentials are those of this moment.
    pub(crate) frozen: Option<DateTime<Utc>>,
    /// The credentials expire at this moment.
    pub(crate) expires: Option<DateTime<Utc>>,
}

impl Quirks {
    /// Whether a valid token is accepted.
    pub(crate) fn accept(&self, token: Token, now: DateTime<Utc>) -> bool {
        !self.rejects_tokens
            && self.tokens_from.is_none_or(|from| token.issued() >= from)
            && self
                .token_lifetime
                .is_none_or(|lifetime| now.signed_duration_since(token.issued()) < lifetime)
    }
}
