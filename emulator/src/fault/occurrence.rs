use chrono::{DateTime, Utc};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

/// One application of a rule to a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occurrence {
    /// Tells the rule from all other rules, for as long as the emulator runs.
    pub(crate) rule: u64,
    /// When the rule was added.
    pub(crate) began: DateTime<Utc>,
    /// The seed of the rule's randomness.
    pub(crate) seed: u64,
    /// The number of the request among those that the rule matched, from 0.
    pub(crate) nth: u64,
}

impl Occurrence {
    /// The randomness of the fault for this request.
    pub(crate) fn random(&self) -> ChaCha8Rng {
        use rand::RngExt as _;
        let mut random = random(self.seed, self.nth);
        // The first number decided whether the rule applies.
        let _: f64 = random.random();
        random
    }
}

/// The randomness of a rule for its `nth` request. It follows from the seed, so that a run can be
/// repeated.
pub(super) fn random(seed: u64, nth: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(nth);
    random
}
