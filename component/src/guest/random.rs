//! The randomness of `wasi:random`.

use super::bindings::wasi::random::random;
use crate::ports::Random;

#[derive(Clone, Copy, Debug)]
pub(super) struct WasiRandom;

impl Random for WasiRandom {
    fn unit(&mut self) -> f64 {
        // A double has 53 bits of precision. With more bits, the largest numbers would round up to 1.
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let bits = (random::get_random_u64() >> 11) as f64;
        bits / (1_u64 << 53) as f64
    }
}
