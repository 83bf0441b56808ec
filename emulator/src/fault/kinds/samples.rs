use chrono::TimeDelta;
use rand::{Rng, RngExt as _};

use super::Effect;
use crate::value::Span;

/// Draws parameters for samples of faults.
pub(super) struct Draw<'a>(&'a mut dyn Rng);

impl<'a> Draw<'a> {
    pub(super) fn new(random: &'a mut dyn Rng) -> Self {
        Self(random)
    }

    /// One of these values. All are equally likely.
    pub(super) fn of<T, const N: usize>(&mut self, first: T, others: [T; N]) -> T {
        let at = self.0.random_range(0..=N);
        others.into_iter().nth(at).unwrap_or(first)
    }

    /// A time that a client may wait for: a millisecond to eight seconds.
    pub(super) fn short(&mut self) -> Span {
        self.time(8.0)
    }

    /// A time in which credentials and tokens expire: a millisecond to eleven hours.
    pub(super) fn long(&mut self) -> Span {
        self.time(40_000.0)
    }

    pub(super) fn effect(&mut self) -> Effect {
        self.of(
            Effect::NoResponse,
            [
                Effect::Reset,
                Effect::Status(429),
                Effect::Status(503),
                Effect::Status(404),
            ],
        )
    }

    /// A time whose logarithm is uniformly distributed: 1 to 10 milliseconds are as likely as 10 to
    /// 100.
    fn time(&mut self, longest: f64) -> Span {
        const SHORTEST: f64 = 0.001;
        let unit: f64 = self.0.random();
        let seconds = SHORTEST * (longest / SHORTEST).powf(unit);
        TimeDelta::milliseconds(((seconds * 1000.0) as i64).max(1)).into()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng as _;

    use super::super::{Fault, NAMES};
    use crate::fault::Rule;
    use crate::value::Key;

    #[test]
    fn samples_are_of_all_kinds_and_valid_and_are_read_as_they_are_written() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut names = BTreeSet::new();
        for _ in 0..50 {
            for fault in Fault::samples(&mut random) {
                let written = serde_json::to_value(&fault).unwrap();
                let name = written["type"].as_str().unwrap().to_owned();
                assert!(NAMES.contains(&name.as_str()), "{name}");
                names.insert(name);
                let read: Fault = serde_json::from_value(written.clone()).unwrap();
                assert_eq!(read, fault, "{written}");
                let checked = Rule::new("sample", fault).check(&Key::root("rule"));
                assert_eq!(checked, Ok(()), "{written}");
            }
        }
        let schema = schemars::schema_for!(Fault).to_value();
        let kinds = schema["oneOf"].as_array().unwrap();
        assert_eq!(names.len(), kinds.len());
    }
}
