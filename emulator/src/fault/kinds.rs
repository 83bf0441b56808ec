//! What can go wrong. Names are those of toxiproxy, WireMock and others, where they have one.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::documents::Broken;
use crate::value::{Shift, Span};

/// What goes wrong.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(
    tag = "type",
    rename_all = "snake_case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
#[non_exhaustive]
pub enum Fault {
    // The connection.
    /// Connections are refused: nothing listens, for both families or for one. It can be limited by
    /// `after`, `duration` and `ttl` alone.
    #[serde(alias = "unreachable")]
    Down {
        /// Default: both.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        family: Option<Family>,
    },
    /// The request is never answered, and the connection stays open.
    #[serde(alias = "timeout")]
    Blackhole {},
    /// The connection is reset.
    #[serde(alias = "CONNECTION_RESET_BY_PEER")]
    ResetPeer {
        /// When. After `accept`, the rule can match a `client` alone.
        #[serde(default)]
        after: ResetAfter,
    },
    /// The connection is closed without a byte.
    #[serde(alias = "EMPTY_RESPONSE")]
    EmptyResponse {},
    /// The answer to a `PUT` does not come through: the client is too many hops away `[I21]`. For
    /// some clients alone with `match.client`.
    HopLimit {},
    /// The connection is closed so long after the answer.
    SlowClose {
        /// How long.
        delay: Span,
    },

    // Time. These delays are real, whatever the emulator's clock shows.
    /// The answer is late.
    #[serde(alias = "delay")]
    Latency {
        /// By how much. Default: no time.
        #[serde(default)]
        latency: Span,
        /// And by up to so much more or less.
        #[serde(default, skip_serializing_if = "super::is_default")]
        jitter: Span,
        /// And by a time that is distributed in this way.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        distribution: Option<Distribution>,
    },
    /// The status line comes, and the other headers come later.
    SlowHeaders {
        /// By how much.
        delay: Span,
    },
    /// The body comes in pieces, over a time.
    #[serde(alias = "dribble")]
    SlowBody {
        /// So many.
        chunks: u32,
        /// From the first one to the last.
        total: Span,
    },
    /// The answer comes in small pieces.
    Slicer {
        /// Bytes of a piece.
        #[serde(alias = "average-size")]
        size: usize,
        /// More or less, up to so many.
        #[serde(default, alias = "size-variation")]
        variation: usize,
        /// Between two pieces.
        delay: Span,
    },
    /// In the body nothing comes any more, and the connection stays open.
    Stall {
        /// After so many bytes of the body.
        #[serde(default, alias = "after-bytes")]
        after: usize,
    },

    // HTTP.
    /// An error instead of the answer.
    #[serde(alias = "error", alias = "abort")]
    Status {
        /// The status, 200 to 999.
        code: u16,
        /// Its body.
        #[serde(default)]
        body: StatusBody,
        /// A `Retry-After`, in whole seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<Span>,
    },
    /// The body ends early.
    #[serde(alias = "limit_data")]
    TruncateBody {
        /// After this share of it, from 0 to 1. Default: half.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fraction: Option<f64>,
        /// Or after so many bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes: Option<usize>,
        /// Whether `Content-Length` says so. If not, it says more than comes.
        #[serde(default)]
        fix_content_length: bool,
    },
    /// The body is longer: so many spaces come after it, and `Content-Length` says so.
    LongBody {
        /// How many. At most 16 MiB.
        bytes: usize,
    },
    /// A chunked body with a chunk that is none.
    #[serde(alias = "MALFORMED_RESPONSE_CHUNK")]
    MalformedChunk {},
    /// Bytes that are no HTTP; then the connection is closed.
    #[serde(alias = "RANDOM_DATA_THEN_CLOSE")]
    RandomDataThenClose {
        /// How many. At most 16 MiB.
        #[serde(default = "default_random_bytes")]
        bytes: usize,
    },
    /// The document is no JSON, or not the one that is expected.
    MalformedJson {
        /// In which way.
        #[serde(default)]
        how: Malformed,
    },
    /// Another answer, or parts of it.
    Replace {
        /// Another status, 200 to 999.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<u16>,
        /// Headers that are added or replaced.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, String>,
        /// Another body.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<String>,
    },
    /// Changes in the JSON document, as RFC 7386 (merge patch) writes them.
    Patch {
        /// The changes.
        json: serde_json::Map<String, serde_json::Value>,
    },
    /// A header is missing.
    DropHeader {
        /// Which one.
        name: String,
    },
    /// `Content-Length` says more, or less, than comes.
    WrongContentLength {
        /// By how much.
        delta: i64,
    },
    /// Another `Content-Type`.
    WrongContentType {
        /// Which one.
        to: String,
    },
    /// A redirect.
    Redirect {
        /// Where to.
        to: String,
        /// 300 to 399. Default: 301.
        #[serde(default = "default_redirect")]
        code: u16,
    },
    /// Another `Server`: this is not AWS.
    WrongServer {
        /// Which one. Default: nginx.
        #[serde(default = "default_server")]
        to: String,
    },

    // Rates.
    /// Too many requests in a second `[I25]`.
    Throttle {
        /// How many are answered in a second, on the emulator's clock. Default: 1024.
        #[serde(default = "default_rate")]
        rate: u32,
        /// And how many at once. Default: as many as in a second.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        burst: Option<u32>,
        /// What becomes of the others.
        #[serde(default)]
        effect: Effect,
    },
    /// Too many connections at a time `[I25]`.
    ConnectionLimit {
        /// How many are served.
        max: u32,
        /// What becomes of requests on the others.
        #[serde(default)]
        effect: Effect,
    },
    /// Too many requests in a time.
    Quota {
        /// How many are answered.
        limit: u64,
        /// In this time, on the emulator's clock, from the first request on.
        window: Span,
        /// What becomes of the others.
        #[serde(default = "Effect::too_many_requests")]
        effect: Effect,
    },

    // Tokens and options.
    /// There are no tokens to be had; requests without one, where they are allowed, and with one from
    /// before are answered.
    TokenUnavailable {
        /// What becomes of the wish for one: a status, `silence` or `reset`. Default: 404.
        #[serde(default = "Effect::not_found", alias = "status")]
        effect: Effect,
    },
    /// Tokens are needed, whatever `HttpTokens` says.
    V1Disabled {},
    /// No tokens are needed, whatever `HttpTokens` says.
    V1Enabled {},
    /// Tokens end earlier than they say.
    TokenExpireEarly {
        /// So long after they were issued.
        after: Span,
    },
    /// All tokens from before the rule are refused.
    TokenRevokeAll {},
    /// Good tokens are refused; with `when.probability`, now and then.
    TokenFlap {},
    /// Tokens are granted for a shorter time than is asked for.
    TtlCap {
        /// At most so long.
        seconds: u32,
    },
    /// Every answer is 403 `[I23]`.
    EndpointDisabled {},
    /// Paths are listed, and yet 404.
    CategoryMissing {
        /// A glob of the paths below the version, like `meta-data/iam/**`.
        path: String,
    },
    /// Paths are served, and yet not listed.
    ListingInconsistent {
        /// A glob of the paths below the version, like `meta-data/ami-id`.
        path: String,
    },
    /// Answers are those of some time ago, as far as they change by themselves: credentials and
    /// events.
    StaleView {
        /// How long ago.
        age: Span,
    },

    // The role.
    /// There is no instance profile: no `iam/` `[I35]`.
    RoleMissing {},
    /// The list of roles is there, and empty.
    RoleEmpty {},
    /// Another role, at once.
    RoleChanged {
        /// Which one.
        to: String,
    },
    /// The document of the role has an error and no credentials `[I48]`.
    CredentialsError {
        /// Its `Code`.
        #[serde(default = "default_code")]
        code: String,
        /// Its `Message`. Default: one that names the role.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// The credentials are over `[I51]`, and no new ones come.
    CredentialsExpired {
        /// So long before the rule was added.
        #[serde(default)]
        by: Span,
    },
    /// No new credentials come.
    CredentialsStuck {},
    /// Credentials live for a short time, and new ones come when they end.
    CredentialsShortLived {
        /// How long.
        lifetime: Span,
    },
    /// New credentials come late.
    CredentialsLateRotation {
        /// So long before the old ones end; `0s`, when they do.
        #[serde(default)]
        before_expiry: Span,
    },
    /// One field of the document of the role is not as it should be.
    CredentialsField {
        /// Which one: `AccessKeyId`, `SecretAccessKey`, `Token`, `Expiration` …
        name: String,
        /// In which way.
        #[serde(default)]
        how: Broken,
    },
    /// The extended path is 404 `[I52]`.
    ExtendedUnavailable {},
    /// The clock of IMDS goes wrong: the `Date` and the dates in documents.
    ClockSkew {
        /// By how much: `5m`, or `-5m`.
        by: Shift,
    },
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Family {
    Ipv4,
    Ipv6,
}

/// When a connection is reset.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ResetAfter {
    /// At once, before a request is read.
    Accept,
    /// After the request was read, before the status line.
    #[default]
    Headers,
    /// After so many bytes of the body.
    #[serde(untagged)]
    Bytes {
        /// How many.
        bytes: usize,
    },
}

/// How delays are distributed.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum Distribution {
    /// All between two times alike.
    Uniform {
        /// The shortest.
        lower: Span,
        /// The longest.
        upper: Span,
    },
    /// The logarithm is normal.
    Lognormal {
        /// Half of all are shorter.
        median: Span,
        /// The deviation of the logarithm.
        sigma: f64,
    },
    /// Around a mean; never below no time.
    Normal {
        /// The mean.
        mean: Span,
        /// The standard deviation.
        deviation: Span,
    },
    /// Few are very long.
    Pareto {
        /// The shortest.
        scale: Span,
        /// The larger, the fewer.
        shape: f64,
    },
}

/// The body of an error.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StatusBody {
    /// The page that IMDS gives with errors `[I33]`.
    #[default]
    Aws,
    /// None.
    Empty,
    /// A text.
    #[serde(untagged)]
    Text {
        /// The text.
        text: String,
    },
}

/// What is no JSON, or not the document.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Malformed {
    /// It ends in the middle.
    #[default]
    Cut,
    /// A comma before the last brace.
    TrailingComma,
    /// A page of HTML.
    Html,
    /// `{}`.
    EmptyObject,
}

/// What becomes of a request that is refused.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It is never answered: its packets are dropped `[I26]`.
    #[default]
    #[serde(alias = "drop", alias = "blackhole")]
    Silence,
    /// The connection is reset.
    Reset,
    /// It is answered with this status, 200 to 999.
    #[serde(untagged)]
    Status(u16),
}

impl Effect {
    fn not_found() -> Self {
        Self::Status(404)
    }

    fn too_many_requests() -> Self {
        Self::Status(429)
    }
}

fn default_random_bytes() -> usize {
    64
}

fn default_redirect() -> u16 {
    301
}

fn default_server() -> String {
    "nginx".into()
}

fn default_rate() -> u32 {
    1024
}

fn default_code() -> String {
    "AssumeRoleUnauthorizedAccess".into()
}
