//! Faults that limit how many requests are answered, on the emulator's clock.

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::samples::Draw;
use super::{Effect, Kind, Limit, Nature, Requests, group};
use crate::value::{Invalid, Key, Span, all};

group! {
    /// Faults that limit how many requests are answered.
    Rate(RateFault), "Rate":
    Throttle = "throttle", throttle(rate: u32);
    ConnectionLimit = "connection_limit", connection_limit(max: u32);
    Quota = "quota", quota(limit: u64, window: impl Into<Span>);
}

/// Counts the requests of a rule.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// When the meter was last refilled.
    at: Option<DateTime<Utc>>,
    /// The number of requests until the limit.
    left: f64,
}

impl Meter {
    /// Counts a request. Returns whether the request is within the limit.
    fn take(&mut self) -> bool {
        let is_within = self.left >= 1.0;
        if is_within {
            self.left -= 1.0;
        }
        is_within
    }
}

/// Limits the requests per second, as a token bucket does `[I25]`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Throttle {
    /// Requests per second that are answered, 1 or more. Default: `1024`.
    #[serde(default = "packets_of_imds")]
    pub rate: u32,
    /// Requests that are answered at once after a pause, 1 or more. Default: as many as `rate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// What happens to requests above the rate: `no-response`, `reset` (of the
    /// connection) or a status code, 200 to 999. Default: `no-response`.
    #[serde(default)]
    pub effect: Effect,
}

impl Throttle {
    /// Sets the number of requests that are answered per second.
    pub fn new(rate: u32) -> Self {
        Self {
            rate,
            burst: None,
            effect: Effect::NoResponse,
        }
    }

    /// Sets the number of requests that are answered at once after a pause.
    #[must_use]
    pub fn burst(mut self, burst: u32) -> Self {
        self.burst = Some(burst);
        self
    }

    /// Sets what happens to requests above the limit.
    #[must_use]
    pub fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }
}

impl Kind for Throttle {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        let burst = self.burst.unwrap_or(1);
        all([
            key.field("rate")
                .unless(self.rate > 0, self.rate, "1 or more"),
            key.field("burst").unless(burst > 0, burst, "1 or more"),
            self.effect.check(&key.field("effect")),
        ])
    }

    fn nature(&self) -> Nature<'_> {
        Nature::Rate(Requests::All, self)
    }

    fn samples(draw: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new(draw.of(1, [2])).effect(draw.effect())]
    }
}

impl Limit for Throttle {
    fn is_exceeded(&self, meter: &mut Meter, _: usize, now: DateTime<Utc>) -> bool {
        let rate = f64::from(self.rate);
        let since = meter.at.map_or(TimeDelta::MAX, |at| now - at);
        let seconds = since.num_milliseconds().max(0) as f64 / 1000.0;
        let most = self.burst.map_or(rate, f64::from);
        meter.left = (meter.left + seconds * rate).min(most);
        meter.at = Some(now);
        !meter.take()
    }

    fn effect(&self) -> &Effect {
        &self.effect
    }
}

/// The number of packets that a network interface can send to IMDS per second `[I26]`.
fn packets_of_imds() -> u32 {
    1024
}

/// Limits the connections that are open at the same time `[I25]`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ConnectionLimit {
    /// Connections that are served.
    pub max: u32,
    /// What happens to requests on further connections: `no-response`, `reset` (of the
    /// connection) or a status code, 200 to 999. Default: `no-response`.
    #[serde(default)]
    pub effect: Effect,
}

impl ConnectionLimit {
    /// Sets the number of connections that are served.
    pub fn new(max: u32) -> Self {
        Self {
            max,
            effect: Effect::NoResponse,
        }
    }

    /// Sets what happens to requests above the limit.
    #[must_use]
    pub fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }
}

impl Kind for ConnectionLimit {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        self.effect.check(&key.field("effect"))
    }

    fn nature(&self) -> Nature<'_> {
        Nature::Rate(Requests::All, self)
    }

    fn samples(draw: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new(0).effect(draw.effect())]
    }
}

impl Limit for ConnectionLimit {
    fn is_exceeded(&self, _: &mut Meter, connections: usize, _: DateTime<Utc>) -> bool {
        connections > self.max as usize
    }

    fn counts_connections(&self) -> bool {
        true
    }

    fn effect(&self) -> &Effect {
        &self.effect
    }
}

/// Limits the requests per window of time.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Quota {
    /// Requests that are answered per window.
    pub limit: u64,
    /// Length of a window. The first request opens a window, and so does the first request after
    /// its end.
    pub window: Span,
    /// What happens to further requests in the window: `no-response`, `reset` (of the
    /// connection) or a status code, 200 to 999. Default: `429`.
    #[serde(default = "too_many_requests")]
    pub effect: Effect,
}

impl Quota {
    /// Answers `limit` requests per window.
    pub fn new(limit: u64, window: impl Into<Span>) -> Self {
        Self {
            limit,
            window: window.into(),
            effect: too_many_requests(),
        }
    }

    /// Sets what happens to requests above the limit.
    #[must_use]
    pub fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }
}

impl Kind for Quota {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        all([
            key.field("window").longer_than_zero(self.window),
            self.effect.check(&key.field("effect")),
        ])
    }

    fn nature(&self) -> Nature<'_> {
        Nature::Rate(Requests::All, self)
    }

    fn samples(draw: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new(draw.of(1, [2]), Span::minutes(10)).effect(draw.effect())]
    }
}

impl Limit for Quota {
    fn is_exceeded(&self, meter: &mut Meter, _: usize, now: DateTime<Utc>) -> bool {
        if meter.at.is_none_or(|at| now - at >= self.window.into()) {
            meter.at = Some(now);
            meter.left = self.limit as f64;
        }
        !meter.take()
    }

    fn effect(&self) -> &Effect {
        &self.effect
    }
}

fn too_many_requests() -> Effect {
    Effect::Status(429)
}
