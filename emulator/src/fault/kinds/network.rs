//! Faults of the network below the connection. They are real time, whatever the emulator's clock
//! shows.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::samples::Draw;
use super::{Impairment, Kind, Nature, group};
use crate::fault::delay::to_std;
use crate::value::{Invalid, Key, Span, all};

/// The longest delay of a packet.
const LONGEST: Duration = Duration::from_secs(60);
/// The bandwidths that the kernel can keep to, in bytes per second.
const RATES: std::ops::RangeInclusive<u64> = 1_000..=1_000_000_000;

group! {
    /// Faults of the network.
    Network(NetworkFault), "Network":
    PacketLoss = "packet_loss", packet_loss(fraction: f64);
    PacketDelay = "packet_delay", packet_delay(delay: impl Into<Span>);
    Bandwidth = "bandwidth", bandwidth(rate: u64);
}

/// Loses packets to and from IMDS at random. TCP retransmits them, after 0.2 seconds or more. Several
/// rules act one after the other: two with a `fraction` of 0.5 lose 0.75 of the packets.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PacketLoss {
    /// Fraction of the packets of each direction, more than 0, at most 1.
    pub fraction: f64,
}

impl PacketLoss {
    fn new(fraction: f64) -> Self {
        Self { fraction }
    }
}

impl Kind for PacketLoss {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        key.field("fraction").unless(
            self.fraction > 0.0 && self.fraction <= 1.0,
            self.fraction,
            "more than 0, at most 1",
        )
    }

    fn nature(&self) -> Nature<'_> {
        Nature::Network(Impairment::Loss(self.fraction))
    }

    fn samples(_: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new(0.1), Self::new(1.0)]
    }
}

/// Delays each packet to and from IMDS, which adds twice `delay` to each round trip. The delays of
/// several rules add up.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PacketDelay {
    /// Length of the delay, at most `60s`.
    pub delay: Span,
    /// Maximum that is added to or subtracted from the delay at random, at most as long as the delay.
    /// Packets can overtake each other then. Default: `0s`.
    #[serde(default, skip_serializing_if = "crate::fault::is_default")]
    pub jitter: Span,
}

impl PacketDelay {
    /// Delays each packet by `delay`.
    pub fn new(delay: impl Into<Span>) -> Self {
        Self {
            delay: delay.into(),
            jitter: Span::default(),
        }
    }

    /// Adds a random amount from `-jitter` to `jitter`.
    #[must_use]
    pub fn jitter(mut self, jitter: impl Into<Span>) -> Self {
        self.jitter = jitter.into();
        self
    }
}

impl Kind for PacketDelay {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        let delay = key.field("delay");
        all([
            delay.longer_than_zero(self.delay),
            delay.unless(to_std(self.delay) <= LONGEST, self.delay, "at most 60s"),
            key.field("jitter").compared_with(&delay).unless(
                self.jitter <= self.delay,
                self.jitter,
                "at most as long as the delay",
            ),
        ])
    }

    fn nature(&self) -> Nature<'_> {
        Nature::Network(Impairment::Delay {
            delay: to_std(self.delay),
            jitter: to_std(self.jitter),
        })
    }

    fn samples(_: &mut Draw<'_>) -> Vec<Self> {
        let delay = Self::new(Duration::from_millis(50));
        vec![delay.clone(), delay.jitter(Duration::from_millis(20))]
    }
}

/// Limits the bandwidth of the network: packets to and from IMDS wait until it is their turn. Of
/// several rules, the lowest limit applies. IPv4 and IPv6 share this rate. After a pause, packets pass
/// at once until they have 1,600 bytes together, or as many as the rate allows in 10 ms if that is
/// more.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Bandwidth {
    /// Total rate for both directions, in bytes per second, headers included: 1000 to 1000000000.
    pub rate: u64,
}

impl Bandwidth {
    fn new(rate: u64) -> Self {
        Self { rate }
    }
}

impl Kind for Bandwidth {
    fn check(&self, key: &Key) -> Result<(), Invalid> {
        key.field("rate").unless(
            RATES.contains(&self.rate),
            self.rate,
            "1000 to 1000000000 bytes per second",
        )
    }

    fn nature(&self) -> Nature<'_> {
        Nature::Network(Impairment::Bandwidth(self.rate))
    }

    fn samples(_: &mut Draw<'_>) -> Vec<Self> {
        vec![Self::new(1_000), Self::new(100_000)]
    }
}
