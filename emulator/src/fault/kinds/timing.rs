//! Faults of timing. Delays are real time, whatever the emulator's clock shows.

use std::time::Duration;

use rand::RngExt as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::samples::Draw;
use super::{Delay, Deliver, Kind, Nature, Requests, group};
use crate::decision::{Delivery, Step};
use crate::fault::delay::{self, to_std};
use crate::fault::draft::{Draft, Written, pieces};
use crate::fault::occurrence::Occurrence;
use crate::value::{Invalid, Key, Span, all};

group! {
    /// Faults of timing.
    Timing(TimingFault), "Timing":
    Latency = "latency" | "delay", latency(latency: impl Into<Span>);
    SlowHeaders = "slow_headers", slow_headers(delay: impl Into<Span>);
    SlowBody = "slow_body" | "dribble", slow_body(chunks: u32, total: impl Into<Span>);
    Slicer = "slicer", slicer(size: usize, delay: impl Into<Span>);
    Stall = "stall", stall(after: usize);
}

/// Delays the response. The delays of several rules add up.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Latency {
    /// Length of the delay. Default: `0s`.
    #[serde(default)]
    pub latency: Span,
    /// Maximum that is added to or subtracted from the delay at random. Default: `0s`.
    #[serde(default, skip_serializing_if = "crate::fault::is_default")]
    pub jitter: Span,
    /// Distribution of a random delay in addition: `{ type = "uniform", lower, upper }`, `{ type =
    /// "lognormal", median, sigma }`, `{ type = "normal", mean, deviation }` or `{ type = "pareto",
    /// scale, shape }`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
}

impl Latency {
    /// Delays the response by `latency`.
    pub fn new(latency: impl Into<Span>) -> Self {
        Self {
            latency: latency.into(),
            jitter: Span::default(),
            distribution: None,
        }
    }

    /// Adds a random amount from `-jitter` to `jitter`.
    #[must_use]
    pub fn jitter(mut self, jitter: impl Into<Span>) -> Self {
        self.jitter = jitter.into();
        self
    }

    /// Adds a random delay.
    #[must_use]
    pub fn distribution(mut self, distribution: Distribution) -> Self {
        self.distribution = Some(distribution);
        self
    }
}

impl Kind for Latency {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        self.distribution.map_or(Ok(()), |distribution| {
            distribution.check(&key.field("distribution"))
        })
    }

    fn nature(&self) -> Nature<'_> {
        Nature::Delay(Requests::All, self)
    }

    fn samples(draw: &mut Draw<'_>) -> Vec<Self> {
        let pareto = Distribution::Pareto {
            scale: milliseconds(20),
            shape: 1.1,
        };
        vec![
            Self::new(draw.short()),
            Self::new(milliseconds(300)).jitter(milliseconds(290)),
            Self::new(Span::default()).distribution(pareto),
        ]
    }
}

impl Delay for Latency {
    fn delay(&self, occurrence: &Occurrence) -> Duration {
        let Self {
            latency,
            jitter,
            distribution,
        } = *self;
        delay::latency(latency, jitter, distribution, &mut occurrence.random())
    }
}

fn milliseconds(milliseconds: u64) -> Span {
    Duration::from_millis(milliseconds).into()
}

/// How a random delay is distributed.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
#[non_exhaustive]
pub enum Distribution {
    /// Uniform between two delays.
    Uniform {
        /// The shortest delay.
        lower: Span,
        /// The longest delay.
        upper: Span,
    },
    /// Log-normal: the logarithm of the delay is normally distributed.
    Lognormal {
        /// Half of all delays are shorter.
        median: Span,
        /// The standard deviation of the logarithm.
        sigma: f64,
    },
    /// Normal around a mean. Negative delays count as zero.
    Normal {
        /// The mean.
        mean: Span,
        /// The standard deviation.
        deviation: Span,
    },
    /// Pareto: most delays are short, a few are very long.
    Pareto {
        /// The shortest delay.
        scale: Span,
        /// The larger the shape, the fewer delays are long.
        shape: f64,
    },
}

impl Distribution {
    fn check(self, key: &Key) -> Result<(), Invalid> {
        let positive = |name: &str, number: f64| {
            key.field(name).unless(
                number.is_finite() && number > 0.0,
                number,
                "a number above 0",
            )
        };
        let longer_than_zero = |name: &str, span: Span| key.field(name).longer_than_zero(span);
        match self {
            Self::Uniform { lower, upper } => key
                .field("upper")
                .compared_with(&key.field("lower"))
                .unless(lower <= upper, upper, format_args!("{lower} or more")),
            Self::Lognormal { median, sigma } => {
                all([longer_than_zero("median", median), positive("sigma", sigma)])
            }
            Self::Normal { .. } => Ok(()),
            Self::Pareto { scale, shape } => {
                all([longer_than_zero("scale", scale), positive("shape", shape)])
            }
        }
    }
}

/// Sends the status line at once, and the other headers late.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct SlowHeaders {
    /// Time from the status line to the headers.
    pub delay: Span,
}

impl SlowHeaders {
    fn new(delay: impl Into<Span>) -> Self {
        Self {
            delay: delay.into(),
        }
    }
}

impl Kind for SlowHeaders {
    fn nature(&self) -> Nature<'_> {
        Nature::Delivery(Requests::All, self)
    }

    fn samples(draw: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new(draw.short())]
    }
}

impl Deliver for SlowHeaders {
    fn deliver(&self, draft: Draft) -> Delivery {
        let Written { mut head, body } = draft.written();
        let line = head
            .windows(2)
            .position(|two| two == b"\r\n")
            .map_or(0, |at| at + 2);
        let line = head.split_to(line);
        Delivery::Script(vec![
            Step::Send(line.freeze()),
            Step::Wait(to_std(self.delay)),
            Step::Send(head.freeze()),
            Step::Send(body),
            Step::Close,
        ])
    }
}

/// Sends the body in chunks of equal size, spread evenly over a time.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct SlowBody {
    /// Number of chunks, 1 or more.
    pub chunks: u32,
    /// Time from the headers to the last chunk.
    pub total: Span,
}

impl SlowBody {
    fn new(chunks: u32, total: impl Into<Span>) -> Self {
        Self {
            chunks,
            total: total.into(),
        }
    }
}

impl Kind for SlowBody {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        let Self { chunks, .. } = self;
        key.field("chunks").unless(*chunks > 0, chunks, "1 or more")
    }

    fn nature(&self) -> Nature<'_> {
        Nature::Delivery(Requests::All, self)
    }

    fn samples(draw: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new(5, draw.short())]
    }
}

impl Deliver for SlowBody {
    fn deliver(&self, draft: Draft) -> Delivery {
        let Written { head, body } = draft.written();
        let count = (self.chunks as usize).clamp(1, body.len().max(1));
        let size = body.len().div_ceil(count);
        let pause = to_std(self.total) / u32::try_from(count).unwrap_or(u32::MAX);
        let mut steps = vec![Step::Send(head.freeze())];
        for piece in pieces(body, || size) {
            steps.push(Step::Wait(pause));
            steps.push(Step::Send(piece));
        }
        steps.push(Step::Close);
        Delivery::Script(steps)
    }
}

/// Sends the whole response, headers and body, in small slices.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Slicer {
    /// Average size of a slice in bytes, 1 or more.
    #[serde(alias = "average-size")]
    pub size: usize,
    /// Maximum number of bytes by which a slice is larger or smaller at random; less than `size`.
    /// Default: `0`.
    #[serde(default, alias = "size-variation")]
    pub variation: usize,
    /// Time between two slices.
    pub delay: Span,
}

impl Slicer {
    /// Sends slices of `size` bytes.
    pub fn new(size: usize, delay: impl Into<Span>) -> Self {
        Self {
            size,
            variation: 0,
            delay: delay.into(),
        }
    }

    /// Makes slices larger or smaller at random, by up to this number of bytes.
    #[must_use]
    pub fn variation(mut self, variation: usize) -> Self {
        self.variation = variation;
        self
    }
}

impl Kind for Slicer {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        let Self {
            size, variation, ..
        } = self;
        all([
            key.field("size").unless(*size > 0, size, "1 or more"),
            key.field("variation")
                .compared_with(&key.field("size"))
                .unless(
                    *size == 0 || variation < size,
                    variation,
                    format_args!("less than the size, {size}"),
                ),
        ])
    }

    fn nature(&self) -> Nature<'_> {
        Nature::Delivery(Requests::All, self)
    }

    fn samples(_: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new(40, milliseconds(30))]
    }
}

impl Deliver for Slicer {
    fn deliver(&self, draft: Draft) -> Delivery {
        let mut random = draft.occurrence.random();
        let (least, most) = (
            self.size - self.variation,
            self.size.saturating_add(self.variation),
        );
        let mut steps = Vec::new();
        for slice in pieces(draft.written().whole(), || {
            random.random_range(least..=most)
        }) {
            steps.push(Step::Send(slice));
            steps.push(Step::Wait(to_std(self.delay)));
        }
        steps.push(Step::Close);
        Delivery::Script(steps)
    }
}

/// Stops sending within the body. The connection stays open.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Stall {
    /// Number of bytes of the body that are sent. Default: `0`.
    #[serde(default, alias = "after-bytes")]
    pub after: usize,
}

impl Stall {
    fn new(after: usize) -> Self {
        Self { after }
    }
}

impl Kind for Stall {
    fn nature(&self) -> Nature<'_> {
        Nature::Delivery(Requests::All, self)
    }

    fn samples(draw: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new(draw.of(0, [20, 400]))]
    }
}

impl Deliver for Stall {
    fn deliver(&self, draft: Draft) -> Delivery {
        draft.cut(self.after, Step::Stall)
    }
}
