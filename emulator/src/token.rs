//! Session tokens `[I10]` to `[I17]`.
//!
//! A token contains its expiration and a seal (HMAC) that only this instance can make. The emulator
//! thus need not store tokens, and after a restart with the same seed it still accepts them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The TTLs that can be requested, in seconds `[I10]`. A token with a TTL of 0 has expired when it is
/// issued.
pub(crate) const TTL_RANGE: std::ops::RangeInclusive<u32> = 0..=21_600;

/// The number of bytes at the beginning of a token that do not depend on the token.
const PREFIX: usize = 4;
/// How tokens begin: those of `nitro`, and those of `xen` `[I11]`.
pub(crate) const BEGINNINGS: [&str; 2] = ["AQAEA", "AQAAA"];
/// Expiration (Unix time in milliseconds) and TTL (in seconds).
const LIFE: usize = 8 + 4;
/// Distinguishes tokens that were issued at the same moment.
const NUMBER: usize = 4;
const SEAL: usize = 20;
const LENGTH: usize = PREFIX + LIFE + NUMBER + SEAL;

/// The content of a token that this instance issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    issued: DateTime<Utc>,
    ends: DateTime<Utc>,
}

impl Token {
    /// When the token was issued.
    pub(crate) fn issued(self) -> DateTime<Utc> {
        self.issued
    }

    /// The whole seconds until the token expires, or `None` if it has expired.
    pub(crate) fn remaining(self, now: DateTime<Utc>) -> Option<u32> {
        let left = self.ends.signed_duration_since(now);
        (left > TimeDelta::zero()).then(|| u32::try_from(left.num_seconds()).ok())?
    }
}

/// How the tokens of a dialect begin. With it, the 40 bytes of a token become a text of 56
/// characters that starts with one of [`BEGINNINGS`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prefix([u8; PREFIX]);

impl Prefix {
    pub(crate) const NITRO: Self = Self([1, 0, 4, 0]);
    pub(crate) const XEN: Self = Self([1, 0, 0, 0]);
}

/// Issues and recognises tokens.
#[derive(Clone)]
pub(crate) struct Tokens {
    seal: Hmac<Sha256>,
}

impl Tokens {
    /// The tokens of `instance` after this number of revocations.
    pub(crate) fn new(seed: &[u8; 32], instance: &str, revocations: u32) -> Self {
        // HMAC pads a short key with zeros. A key that is padded here makes the constructor
        // infallible.
        let mut block = [0; 64];
        let (begin, _) = block.split_at_mut(seed.len());
        begin.copy_from_slice(seed);
        let mut key = [0; 64];
        let (begin, _) = key.split_at_mut(32);
        begin.copy_from_slice(
            &Hmac::<Sha256>::new(&block.into())
                .chain_update(b"session tokens")
                .chain_update(revocations.to_be_bytes())
                .chain_update(instance)
                .finalize()
                .into_bytes(),
        );
        Self {
            seal: Hmac::new(&key.into()),
        }
    }

    /// Issues a token with a TTL of `ttl` seconds. `number` is the number of the request.
    pub(crate) fn issue(
        &self,
        ttl: u32,
        now: DateTime<Utc>,
        number: u64,
        prefix: Prefix,
    ) -> String {
        let end = now
            .checked_add_signed(TimeDelta::seconds(ttl.into()))
            .unwrap_or(DateTime::<Utc>::MAX_UTC);
        let mut token = Vec::with_capacity(LENGTH);
        token.extend(prefix.0);
        token.extend(end.timestamp_millis().to_be_bytes());
        token.extend(ttl.to_be_bytes());
        // By the time the number wraps around, the earlier tokens have expired.
        token.extend(number.to_be_bytes().iter().skip(8 - NUMBER));
        let seal = self
            .seal
            .clone()
            .chain_update(&token)
            .finalize()
            .into_bytes();
        token.extend(seal.iter().take(SEAL));
        URL_SAFE.encode(token)
    }

    /// The content of `token`, if this instance issued it `[I15]`.
    pub(crate) fn read(&self, token: &str) -> Option<Token> {
        let mut bytes = [0; LENGTH.next_multiple_of(3)];
        let length = URL_SAFE.decode_slice(token, &mut bytes).ok()?;
        let token: &[u8; LENGTH] = bytes.get(..length)?.try_into().ok()?;
        let (sealed, seal) = token.split_at_checked(LENGTH - SEAL)?;
        self.seal
            .clone()
            .chain_update(sealed)
            .verify_truncated_left(seal)
            .ok()?;
        let (_, life) = sealed.split_at_checked(PREFIX)?;
        let (end, ttl) = life.split_first_chunk()?;
        let ttl = u32::from_be_bytes(*ttl.first_chunk()?);
        let ends = DateTime::from_timestamp_millis(i64::from_be_bytes(*end))?;
        Some(Token {
            issued: ends - TimeDelta::seconds(ttl.into()),
            ends,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn remaining(tokens: &Tokens, token: &str, now: DateTime<Utc>) -> Option<u32> {
        tokens.read(token)?.remaining(now)
    }

    fn tokens(seed: u8) -> Tokens {
        Tokens::new(&[seed; 32], "i-1", 0)
    }

    #[test]
    fn a_token_looks_like_those_of_imds() {
        for (prefix, beginning) in [Prefix::NITRO, Prefix::XEN].into_iter().zip(BEGINNINGS) {
            let ours = tokens(7);
            let token = ours.issue(21_600, at(1_700_000_000), 1, prefix);
            assert_eq!(token.len(), 56);
            assert!(token.starts_with(beginning), "{token}");
            assert!(token.ends_with("=="), "{token}");
            assert!(ours.read(&token).is_some(), "{prefix:?}");
        }
    }

    #[test]
    fn a_token_lives_for_its_time_and_not_longer() {
        let ours = tokens(7);
        let token = ours.issue(60, at(1_000), 1, Prefix::NITRO);
        assert_eq!(remaining(&ours, &token, at(1_000)), Some(60));
        assert_eq!(ours.read(&token).unwrap().issued(), at(1_000));
        assert_eq!(remaining(&ours, &token, at(1_059)), Some(1));
        assert_eq!(remaining(&ours, &token, at(1_060)), None);
        assert_eq!(
            remaining(&tokens(7), &token, at(1_000)),
            Some(60),
            "the same seed"
        );
    }

    #[test]
    fn tokens_of_one_moment_differ() {
        let ours = tokens(7);
        let [one, other] = [1, 2].map(|number| ours.issue(60, at(1_000), number, Prefix::NITRO));
        assert_ne!(one, other);
        for token in [one, other] {
            assert_eq!(remaining(&ours, &token, at(1_000)), Some(60));
        }
    }

    #[test]
    fn what_this_instance_did_not_issue_is_no_token() {
        let ours = tokens(7);
        let token = ours.issue(60, at(1_000), 1, Prefix::NITRO);
        assert_eq!(
            remaining(&tokens(8), &token, at(1_000)),
            None,
            "another seed"
        );
        for (instance, revocations) in [("i-2", 0), ("i-1", 1)] {
            let others = Tokens::new(&[7; 32], instance, revocations);
            assert_eq!(
                remaining(&others, &token, at(1_000)),
                None,
                "{instance} {revocations}"
            );
        }
        for wrong in [
            "",
            "AQAEA==",
            "nonsense",
            "\u{f6}",
            &token[..55],
            &format!("{token}A"),
            &token.repeat(2),
        ] {
            assert_eq!(remaining(&ours, wrong, at(1_000)), None, "{wrong}");
        }
        let mut bytes = URL_SAFE.decode(&token).unwrap();
        for at_byte in 0..bytes.len() {
            bytes[at_byte] ^= 1;
            assert_eq!(
                remaining(&ours, &URL_SAFE.encode(&bytes), at(1_000)),
                None,
                "byte {at_byte}"
            );
            bytes[at_byte] ^= 1;
        }
    }
}
