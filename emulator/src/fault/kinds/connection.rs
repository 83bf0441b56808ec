//! Faults of the connection.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::samples::Draw;
use super::{Deliver, Kind, Nature, Refusal, Requests, group, no_parameters};
use crate::decision::{Delivery, Step};
use crate::fault::delay::to_std;
use crate::fault::draft::Draft;
use crate::value::Span;

group! {
    /// Faults of the connection.
    Connection(ConnectionFault), "Connection":
    Down = "down" | "unreachable", down();
    Prohibited = "prohibited", prohibited();
    ResetPeer = "reset_peer" | "CONNECTION_RESET_BY_PEER", reset_peer(after: ResetAfter);
    Blackhole = "blackhole" | "timeout", blackhole();
    EmptyResponse = "empty_response" | "EMPTY_RESPONSE", empty_response();
    HopLimit = "hop_limit", hop_limit();
    SlowClose = "slow_close", slow_close(delay: impl Into<Span>);
}

/// Refuses new connections, as if nothing listened. Open connections are not affected. The rule
/// cannot have a `match`, and its `when` can have only `after`, `duration` and `ttl`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Down {
    /// Address family: `ipv4` or `ipv6`. Default: both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
}

impl Down {
    /// Refuses connections over both address families.
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses connections over one address family only.
    #[must_use]
    pub fn family(mut self, family: impl Into<Option<Family>>) -> Self {
        self.family = family.into();
        self
    }
}

impl Kind for Down {
    fn nature(&self) -> Nature<'_> {
        Nature::Listener(self.family, Refusal::Refused)
    }

    fn samples(_: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new()]
    }
}

/// Makes `connect` fail with EACCES ("permission denied"), as the `prohibit` route of systemd-imdsd
/// does, which keeps programs from IMDS. Open connections stall. Only for isolated commands and with
/// `--link-local`, `--netns` or `--join`; connections to other addresses of the emulator are refused.
/// The rule cannot have a `match`, and its `when` can have only `after`, `duration` and `ttl`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Prohibited {
    /// Address family: `ipv4` or `ipv6`. Default: both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
}

impl Prohibited {
    /// Prohibits the routes of both address families.
    pub fn new() -> Self {
        Self::default()
    }

    /// Prohibits the route of one address family only.
    #[must_use]
    pub fn family(mut self, family: impl Into<Option<Family>>) -> Self {
        self.family = family.into();
        self
    }
}

impl Kind for Prohibited {
    fn nature(&self) -> Nature<'_> {
        Nature::Listener(self.family, Refusal::Prohibited)
    }

    fn samples(_: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new()]
    }
}

/// An address family. IP has no third family, so programs can match both.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
#[expect(clippy::exhaustive_enums, reason = "IP has no third family")]
pub enum Family {
    Ipv4,
    Ipv6,
}

/// Resets the connection.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ResetPeer {
    /// `accept` (once the connection is accepted, before a request is read; the rule can match by
    /// `client` and `process` only), `request` (once the request is read) or `{ bytes = NUM }` (once
    /// NUM bytes of the body are sent). Default: `request`.
    #[serde(default)]
    pub after: ResetAfter,
}

impl ResetPeer {
    /// Resets the connection at this point.
    pub fn new(after: ResetAfter) -> Self {
        Self { after }
    }
}

impl Kind for ResetPeer {
    fn nature(&self) -> Nature<'_> {
        match self.after {
            ResetAfter::Accept => Nature::Accept,
            ResetAfter::Request | ResetAfter::Bytes { .. } => Nature::Delivery(Requests::All, self),
        }
    }

    fn samples(draw: &mut Draw<'_>) -> Vec<Self> {
        let bytes = draw.of(0, [7, 300]);
        [
            ResetAfter::Request,
            ResetAfter::Accept,
            ResetAfter::Bytes { bytes },
        ]
        .map(Self::new)
        .into()
    }
}

impl Deliver for ResetPeer {
    fn deliver(&self, draft: Draft) -> Delivery {
        match self.after {
            ResetAfter::Accept | ResetAfter::Request => Delivery::Script(vec![Step::Reset]),
            ResetAfter::Bytes { bytes } => draft.cut(bytes, Step::Reset),
        }
    }
}

/// When a connection is reset.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(
    expecting = "expected `accept`, `request` or `{ bytes = NUM }`",
    rename_all = "lowercase"
)]
#[non_exhaustive]
pub enum ResetAfter {
    /// Once the connection is accepted, before a request is read.
    Accept,
    /// Once the request is read, before the status line is sent.
    #[default]
    #[serde(alias = "headers")]
    Request,
    /// Once this number of bytes of the body has been sent.
    #[serde(untagged)]
    Bytes {
        /// Number of bytes.
        bytes: usize,
    },
}

no_parameters! {
    /// Sends no response. The connection stays open.
    Blackhole: Delivery(All);
}

impl Deliver for Blackhole {
    fn deliver(&self, _: Draft) -> Delivery {
        Delivery::NoResponse
    }
}

no_parameters! {
    /// Closes the connection without sending a byte.
    EmptyResponse: Delivery(All);
}

impl Deliver for EmptyResponse {
    fn deliver(&self, _: Draft) -> Delivery {
        Delivery::Script(vec![Step::Close])
    }
}

/// Drops the responses to `PUT` requests for a token, as if the client were more network hops away
/// than `HttpPutResponseHopLimit` allows `[I21]`. `match.client` limits it to some clients.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct HopLimit {
    /// Time after which the connection is reset. Default: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_after: Option<Span>,
}

impl HopLimit {
    /// Drops the responses, and leaves the connection open.
    pub fn new() -> Self {
        Self::default()
    }

    /// Resets the connection after this time.
    #[must_use]
    pub fn reset_after(mut self, time: impl Into<Span>) -> Self {
        self.reset_after = Some(time.into());
        self
    }
}

impl Kind for HopLimit {
    fn nature(&self) -> Nature<'_> {
        Nature::Delivery(Requests::Tokens, self)
    }

    fn samples(draw: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new(), Self::new().reset_after(draw.short())]
    }
}

impl Deliver for HopLimit {
    fn deliver(&self, _: Draft) -> Delivery {
        match self.reset_after {
            None => Delivery::NoResponse,
            Some(time) => Delivery::Script(vec![Step::Wait(to_std(time)), Step::Reset]),
        }
    }
}

/// Sends the whole response, and closes the connection late.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct SlowClose {
    /// Time from the end of the response to the close.
    pub delay: Span,
}

impl SlowClose {
    fn new(delay: impl Into<Span>) -> Self {
        Self {
            delay: delay.into(),
        }
    }
}

impl Kind for SlowClose {
    fn nature(&self) -> Nature<'_> {
        Nature::Delivery(Requests::All, self)
    }

    fn samples(draw: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new(draw.short())]
    }
}

impl Deliver for SlowClose {
    fn deliver(&self, draft: Draft) -> Delivery {
        let response: Bytes = draft.written().whole();
        Delivery::Script(vec![
            Step::Send(response),
            Step::Wait(to_std(self.delay)),
            Step::Close,
        ])
    }
}
