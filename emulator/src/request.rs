//! What a request says: its path, its token, and the version of IMDS that the client uses.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use globset::{Glob, GlobBuilder, GlobMatcher, GlobSetBuilder};
use http::HeaderName;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::token::{Token, Tokens};
use crate::value::{Invalid, Key};

const TOKEN: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");

/// The version of IMDS that a client uses.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ImdsVersion {
    /// IMDSv1: the request has no token.
    V1,
    /// IMDSv2: the request has a token, or is a request for one.
    V2,
}

/// The state of a request's token.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TokenState {
    /// The request has no token.
    None,
    /// The token is valid.
    Valid,
    /// The token has expired.
    Expired,
    /// The emulator did not issue the token, or has revoked it.
    Invalid,
}

/// The token that came with a request.
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

/// The path of a request.
pub(crate) struct Path<'a> {
    pub(crate) text: &'a str,
    /// The segments, without those that change nothing: empty ones and `.` `[I9]`.
    segments: Vec<&'a str>,
    /// The percent-decoded segments, if all are valid UTF-8.
    pub(crate) decoded: Option<Vec<Cow<'a, str>>>,
    pub(crate) ends_in_slash: bool,
}

impl<'a> Path<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let segments: Vec<&str> = text
            .split('/')
            .filter(|segment| !["", "."].contains(segment))
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

    /// The path as globs match it: percent-decoded, with repeated slashes reduced to one, and without
    /// `.` segments. A segment that is not UTF-8, or in which a slash is encoded, stays encoded.
    pub(crate) fn normal(&self) -> Cow<'a, str> {
        let is_normal = |text: &str| !["//", "/./", "%"].iter().any(|part| text.contains(part));
        if is_normal(self.text) && !self.text.ends_with("/.") {
            return self.text.into();
        }
        let end = if self.ends_in_slash && !self.segments.is_empty() {
            "/"
        } else {
            ""
        };
        let decode = |segment: &&'a str| match percent_decode_str(segment).decode_utf8() {
            Ok(decoded) if !decoded.contains('/') => decoded,
            _ => (*segment).into(),
        };
        let segments: Vec<_> = self.segments.iter().map(decode).collect();
        format!("/{}{end}", segments.join("/")).into()
    }
}

/// A glob of paths: `*` matches within one segment, `**` across segments.
pub(crate) fn glob(pattern: &str) -> Result<Glob, globset::Error> {
    // IMDS lists a folder for its path with and without the final slash, and clients use both.
    let folder = pattern
        .strip_suffix('/')
        .filter(|folder| !folder.is_empty() && !folder.ends_with(['/', '\\', '*']));
    let either = folder.map(|folder| format!("{folder}{{,/}}"));
    GlobBuilder::new(either.as_deref().unwrap_or(pattern))
        .literal_separator(true)
        .empty_alternates(true)
        .build()
}

/// A glob of texts, without regard to case: `*` matches anything.
pub(crate) fn text_glob(pattern: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(pattern).case_insensitive(true).build()
}

pub(crate) fn check_glob(key: &Key, pattern: &str) -> Result<(), Invalid> {
    // Braces can be nested deeper than the regular expression that they become may be.
    let compiles = |glob| GlobSetBuilder::new().add(glob).build().is_ok();
    key.unless(
        pattern.len() <= 1024 && glob(pattern).is_ok_and(compiles),
        pattern,
        "a glob with * ** ? [a-z] {a,b}",
    )
}

/// A glob of paths: `*` matches within one segment, `**` across segments.
#[derive(Clone, Deserialize, Serialize)]
#[serde(from = "String", into = "String")]
pub struct PathGlob {
    pattern: String,
    /// The compiled pattern, once it was used.
    matcher: OnceLock<Option<GlobMatcher>>,
}

impl PathGlob {
    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.pattern
    }

    pub(crate) fn check(&self, key: &Key) -> Result<(), Invalid> {
        check_glob(key, &self.pattern)
    }

    /// The compiled pattern, if the pattern is valid.
    pub(crate) fn matcher(&self) -> Option<&GlobMatcher> {
        let compile = || Some(glob(&self.pattern).ok()?.compile_matcher());
        self.matcher.get_or_init(compile).as_ref()
    }
}

impl From<String> for PathGlob {
    fn from(pattern: String) -> Self {
        Self {
            pattern,
            matcher: OnceLock::new(),
        }
    }
}

impl From<&str> for PathGlob {
    fn from(pattern: &str) -> Self {
        pattern.to_owned().into()
    }
}

impl From<PathGlob> for String {
    fn from(glob: PathGlob) -> Self {
        glob.pattern
    }
}

impl fmt::Debug for PathGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pattern.fmt(f)
    }
}

impl PartialEq for PathGlob {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern
    }
}

impl Eq for PathGlob {}

impl JsonSchema for PathGlob {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PathGlob".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}
