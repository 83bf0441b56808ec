//! The length of delays.

use std::time::Duration;

use chrono::TimeDelta;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, LogNormal, Normal, Pareto};

use super::kinds::Distribution;
use crate::value::Span;

/// The longest delay.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// `latency` ± `jitter`, plus a delay that `distribution` draws.
pub(super) fn latency(
    latency: Span,
    jitter: Span,
    distribution: Option<Distribution>,
    random: &mut ChaCha8Rng,
) -> Duration {
    let mut sum = seconds(latency);
    if jitter > Span::default() {
        sum += seconds(jitter) * random.random_range(-1.0..=1.0);
    }
    sum += distribution.map_or(0.0, |distribution| sample(distribution, random));
    duration(sum)
}

fn sample(distribution: Distribution, random: &mut ChaCha8Rng) -> f64 {
    // The parameters were checked when the rule was added, so these constructors do not fail.
    match distribution {
        Distribution::Uniform { lower, upper } => {
            random.random_range(seconds(lower)..=seconds(upper).max(seconds(lower)))
        }
        Distribution::Lognormal { median, sigma } => LogNormal::new(seconds(median).ln(), sigma)
            .map_or(0.0, |distribution| distribution.sample(random)),
        Distribution::Normal { mean, deviation } => Normal::new(seconds(mean), seconds(deviation))
            .map_or(0.0, |distribution| distribution.sample(random)),
        Distribution::Pareto { scale, shape } => Pareto::new(seconds(scale), shape)
            .map_or(0.0, |distribution| distribution.sample(random)),
    }
}

fn seconds(span: Span) -> f64 {
    to_std(span).as_secs_f64()
}

/// The span as a `Duration` of the standard library.
pub(super) fn to_std(span: Span) -> Duration {
    TimeDelta::from(span).to_std().unwrap_or_default()
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0))
        .unwrap_or(LONGEST)
        .min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::occurrence::random;

    fn all(distribution: Distribution) -> Vec<f64> {
        let mut samples: Vec<f64> = (0..2000)
            .map(|nth| {
                let zero = Span::default();
                let mut random = random(7, nth);
                latency(zero, zero, Some(distribution), &mut random).as_secs_f64()
            })
            .collect();
        samples.sort_by(f64::total_cmp);
        samples
    }

    #[test]
    fn delays_are_distributed_as_they_say() {
        let second = Span::seconds(1);
        let uniform = all(Distribution::Uniform {
            lower: second,
            upper: Span::seconds(3),
        });
        assert!(uniform[0] >= 1.0 && uniform[1999] <= 3.0);
        assert!((1.9..2.1).contains(&uniform[1000]), "{}", uniform[1000]);
        let lognormal = all(Distribution::Lognormal {
            median: second,
            sigma: 0.5,
        });
        assert!((0.9..1.1).contains(&lognormal[1000]), "{}", lognormal[1000]);
        assert!(lognormal[1960] > 2.0);
        let normal = all(Distribution::Normal {
            mean: second,
            deviation: Span::seconds(1),
        });
        assert_eq!(normal[0], 0.0, "never negative");
        assert!((0.9..1.1).contains(&normal[1000]));
        let pareto = all(Distribution::Pareto {
            scale: second,
            shape: 2.0,
        });
        assert!(pareto[0] >= 1.0);
        assert!((1.3..1.5).contains(&pareto[1000]), "{}", pareto[1000]);
    }

    #[test]
    fn jitter_goes_both_ways() {
        let (latency_, jitter) = (Span::seconds(2), Span::seconds(1));
        let samples: Vec<f64> = (0..200)
            .map(|nth| latency(latency_, jitter, None, &mut random(1, nth)).as_secs_f64())
            .collect();
        assert!(samples.iter().all(|sample| (1.0..=3.0).contains(sample)));
        assert!(samples.iter().any(|sample| *sample < 1.5));
        assert!(samples.iter().any(|sample| *sample > 2.5));
    }

    #[test]
    fn no_delay_is_longer_than_a_day() {
        let day = Duration::from_secs(86_400);
        let late = |latency_| latency(latency_, Span::default(), None, &mut random(1, 1));
        assert_eq!(
            late(Span::minutes(24 * 60 - 1)),
            day - Duration::from_secs(60)
        );
        assert_eq!(late(Span::minutes(24 * 60 + 1)), day);
    }

    #[test]
    fn the_same_seed_and_number_give_the_same() {
        let draw = |seed, nth| random(seed, nth).random::<u64>();
        assert_eq!(draw(1, 1), draw(1, 1));
        assert_ne!(draw(1, 1), draw(1, 2));
        assert_ne!(draw(1, 1), draw(2, 1));
    }
}
