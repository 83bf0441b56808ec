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
    /// `None` if the percent-decoded path is not valid UTF-8.
    target: Option<Target<'a>>,
}

/// What a path leads to: its percent-decoded segments, without those that change nothing, which are
/// empty ones and `.` `[I9]`.
struct Target<'a> {
    /// The first segment; empty if there is none.
    version: Cow<'a, str>,
    /// The other segments, joined by slashes.
    below: Cow<'a, str>,
    is_for_tokens: bool,
}

impl<'a> Path<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let target = if is_literal(text) {
            Some(Target::literal(text))
        } else {
            Target::decoded(text)
        };
        Self { text, target }
    }

    pub(crate) fn is_for_tokens(&self) -> bool {
        let target = self.target.as_ref();
        target.is_some_and(|target| target.is_for_tokens)
    }

    /// The version of the tree, if the path names one.
    pub(crate) fn version(&self) -> Option<&str> {
        let (version, _) = self.target()?;
        (!version.is_empty()).then_some(version)
    }

    /// The version of the tree, or nothing, and the path below it. `None` if they are not valid UTF-8.
    pub(crate) fn target(&self) -> Option<(&str, &str)> {
        let target = self.target.as_ref()?;
        Some((&target.version, &target.below))
    }

    pub(crate) fn ends_in_slash(&self) -> bool {
        self.text.ends_with('/')
    }

    /// The path as globs match it: percent-decoded, with repeated slashes reduced to one, and without
    /// `.` segments. A segment that is not UTF-8, or in which a slash is encoded, stays encoded.
    pub(crate) fn normal(&self) -> Cow<'a, str> {
        let is_normal = |text: &str| !["//", "/./", "%"].iter().any(|part| text.contains(part));
        if is_normal(self.text) && !self.text.ends_with("/.") {
            return self.text.into();
        }
        let decode = |segment: &'a str| match percent_decode_str(segment).decode_utf8() {
            Ok(decoded) if !decoded.contains('/') => decoded,
            _ => segment.into(),
        };
        let segments: Vec<Cow<'a, str>> = segments(self.text).map(decode).collect();
        let end = if self.ends_in_slash() && !segments.is_empty() {
            "/"
        } else {
            ""
        };
        format!("/{}{end}", segments.join("/")).into()
    }
}

impl<'a> Target<'a> {
    /// The target of a path that [is literal](is_literal).
    fn literal(text: &'a str) -> Self {
        let text = text.strip_prefix('/').unwrap_or(text);
        let text = text.strip_suffix('/').unwrap_or(text);
        let (version, below) = text.split_once('/').unwrap_or((text, ""));
        Self {
            version: version.into(),
            below: below.into(),
            is_for_tokens: below == "api/token",
        }
    }

    fn decoded(text: &'a str) -> Option<Self> {
        let decode = |segment: &'a str| percent_decode_str(segment).decode_utf8().ok();
        let segments: Vec<Cow<'a, str>> = segments(text).map(decode).collect::<Option<_>>()?;
        let (version, below) = segments.split_first().unzip();
        let below = below.unwrap_or_default();
        Some(Self {
            version: version.cloned().unwrap_or_default(),
            below: below.join("/").into(),
            // A segment can contain a slash that was encoded.
            is_for_tokens: matches!(below, [api, token] if api == "api" && token == "token"),
        })
    }
}

/// Whether a path needs no decoding, and no segment of it changes nothing.
fn is_literal(text: &str) -> bool {
    let mut pairs = text.as_bytes().windows(2);
    !text.contains('%') && !pairs.any(|pair| matches!(pair, b"//" | b"/."))
}

/// The segments, without those that change nothing: empty ones and `.` `[I9]`.
fn segments(text: &str) -> impl Iterator<Item = &str> {
    let segments = text.split('/');
    segments.filter(|segment| !["", "."].contains(segment))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_the_same_target_in_every_notation() {
        for (target, paths) in [
            (
                ("latest", "meta-data/ami-id"),
                &[
                    "/latest/meta-data/ami-id",
                    "/latest/meta-data/ami-id/",
                    "//latest/./meta-data///ami-id/.",
                    "/latest/meta%2Ddata/ami-id",
                    "/%6Catest/meta-data/ami-id/",
                ][..],
            ),
            (("latest", ""), &["/latest", "/latest/", "/./latest//"]),
            (("latest", ".hidden"), &["/latest/.hidden"]),
            (("latest", "."), &["/latest/%2E"]),
            (("", ""), &["", "/", "//", "/.", "/./"]),
        ] {
            for path in paths {
                assert_eq!(Path::new(path).target(), Some(target), "{path}");
            }
        }
        assert_eq!(Path::new("/latest/%ff").target(), None);
    }

    #[test]
    fn only_two_segments_below_a_version_are_for_tokens() {
        for (path, expected) in [
            ("/latest/api/token", true),
            ("/2021-01-03/api/token/", true),
            ("//latest/api/./token", true),
            ("/latest/%61pi/token", true),
            ("/latest/api%2Ftoken", false),
            ("/api/token", false),
            ("/latest/api/token/x", false),
            ("/latest/api/tokens", false),
        ] {
            assert_eq!(Path::new(path).is_for_tokens(), expected, "{path}");
        }
    }
}
