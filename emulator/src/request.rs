//! What a request says: its path, its token, and the version of IMDS that it is for.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use globset::{Glob, GlobBuilder, GlobSetBuilder};
use http::HeaderName;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::token::{Token, Tokens};
use crate::value::{Invalid, Key};

const TOKEN: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");

/// What a client uses.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(rename_all = "lowercase")]
pub enum ImdsVersion {
    /// No token.
    V1,
    /// A token, or the wish for one.
    V2,
}

/// What the token of a request is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenState {
    /// There is none.
    None,
    /// It is good.
    Valid,
    /// It was good.
    Expired,
    /// This emulator did not issue it, or has revoked it.
    Invalid,
}

/// The token of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SentToken {
    None,
    Ours(Token),
    Foreign,
}

impl SentToken {
    pub(crate) fn new(request: &Parts, tokens: &Tokens) -> Self {
        let Some(token) = request.headers.get(TOKEN) else {
            return Self::None;
        };
        let token = token.to_str().ok().and_then(|token| tokens.read(token));
        token.map_or(Self::Foreign, Self::Ours)
    }

    pub(crate) fn state(self, now: DateTime<Utc>) -> TokenState {
        match self {
            Self::None => TokenState::None,
            Self::Foreign => TokenState::Invalid,
            Self::Ours(token) if token.remaining(now).is_some() => TokenState::Valid,
            Self::Ours(_) => TokenState::Expired,
        }
    }
}

/// Whether a path is that of tokens, under whatever version.
pub(crate) fn is_for_tokens(path: &str) -> bool {
    Path::new(path).is_for_tokens()
}

/// A path as it was asked for.
pub(crate) struct Path<'a> {
    pub(crate) text: &'a str,
    /// Without the empty ones `[I9]`.
    segments: Vec<&'a str>,
    /// The segments with their escapes undone, if they are UTF-8 then.
    pub(crate) decoded: Option<Vec<Cow<'a, str>>>,
    pub(crate) ends_in_slash: bool,
}

impl<'a> Path<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let segments: Vec<&str> = text
            .split('/')
            .filter(|segment| !segment.is_empty())
            .collect();
        let decode = |segment: &&'a str| percent_decode_str(segment).decode_utf8().ok();
        Self {
            text,
            decoded: segments.iter().map(decode).collect(),
            segments,
            ends_in_slash: text.ends_with('/'),
        }
    }

    pub(crate) fn is_for_tokens(&self) -> bool {
        let segments = self.decoded.as_deref();
        matches!(segments, Some([_, api, token]) if api == "api" && token == "token")
    }

    pub(crate) fn version(&self) -> Option<&str> {
        self.decoded.as_ref()?.first().map(AsRef::as_ref)
    }

    /// The whole with repeated slashes made one.
    pub(crate) fn normal(&self) -> Cow<'a, str> {
        if !self.text.contains("//") {
            return self.text.into();
        }
        let end = if self.ends_in_slash && !self.segments.is_empty() {
            "/"
        } else {
            ""
        };
        format!("/{}{end}", self.segments.join("/")).into()
    }
}

/// A path with wildcards: `*` stays in its segment.
pub(crate) fn glob(pattern: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(pattern).literal_separator(true).build()
}

/// A text with wildcards: `*` is anything.
pub(crate) fn text_glob(pattern: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(pattern).case_insensitive(true).build()
}

pub(crate) fn check_glob(key: &Key, pattern: &str) -> Result<(), Invalid> {
    // Braces can be deeper in each other than a regular expression may be.
    let compiles = |glob| GlobSetBuilder::new().add(glob).build().is_ok();
    key.unless(
        pattern.len() <= 1024 && glob(pattern).is_ok_and(compiles),
        pattern,
        "a glob with * ** ? [a-z] {a,b}",
    )
}
