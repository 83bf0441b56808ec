//! What all faults of the network do to packets together.

use std::time::Duration;

use super::kinds::Impairment;

/// What becomes of packets to and from IMDS, by all rules together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Conditions {
    /// The fraction of packets that are lost.
    pub(crate) loss: f64,
    pub(crate) delay: Duration,
    /// The maximum that is added to or subtracted from the delay.
    pub(crate) jitter: Duration,
    /// The number of bytes per second.
    pub(crate) bandwidth: Option<u64>,
}

impl Conditions {
    /// Adds what another rule does.
    pub(crate) fn add(&mut self, impairment: Impairment) {
        match impairment {
            // A packet arrives if it gets through both.
            Impairment::Loss(fraction) => {
                self.loss = 1.0 - (1.0 - self.loss) * (1.0 - fraction);
            }
            Impairment::Delay { delay, jitter } => {
                self.delay = self.delay.saturating_add(delay);
                self.jitter = self.jitter.saturating_add(jitter);
            }
            Impairment::Bandwidth(rate) => {
                self.bandwidth = Some(self.bandwidth.map_or(rate, |other| other.min(rate)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_rules_act_together() {
        let mut conditions = Conditions::default();
        let (delay, jitter) = (Duration::from_millis(20), Duration::from_millis(5));
        for impairment in [
            Impairment::Loss(0.5),
            Impairment::Loss(0.5),
            Impairment::Delay { delay, jitter },
            Impairment::Delay { delay, jitter },
            Impairment::Bandwidth(3_000),
            Impairment::Bandwidth(2_000),
            Impairment::Bandwidth(4_000),
        ] {
            conditions.add(impairment);
        }
        assert_eq!(
            conditions,
            Conditions {
                loss: 0.75,
                delay: 2 * delay,
                jitter: 2 * jitter,
                bandwidth: Some(2_000),
            }
        );
    }
}
