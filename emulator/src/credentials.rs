//! Issue, rotation and expiration of credentials `[I47]` to `[I50]`.
//!
//! Credentials come in generations. The seed, the role and the number of the generation determine
//! its keys. All clients thus get the same document until the next rotation, and the emulator need
//! not store it.

use std::fmt;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};

use crate::instance::Iam;

/// When credentials are rotated, and when they expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rotation {
    /// Time from one rotation to the next `[I49]`.
    pub(crate) every: TimeDelta,
    /// Shortest time from the rotation to the expiration.
    pub(crate) lifetime: TimeDelta,
    /// How much longer that time can be: for each rotation another part of this.
    pub(crate) variation: TimeDelta,
}

impl From<&Iam> for Rotation {
    fn from(iam: &Iam) -> Self {
        let lifetime = TimeDelta::from(iam.shortest_lifetime());
        let lead = TimeDelta::from(iam.lead);
        let every = TimeDelta::from(iam.rotation);
        Self {
            every: match lead.is_zero() {
                true => every,
                false => every.min(lifetime - lead),
            },
            lifetime,
            variation: iam.lifetime_variation().into(),
        }
    }
}

impl Default for Rotation {
    fn default() -> Self {
        Self::from(&Iam::default())
    }
}

/// Issues credentials.
#[derive(Clone)]
pub(crate) struct Issuer {
    seed: [u8; 32],
    began: DateTime<Utc>,
    /// The number of the generation that begins at `began`.
    first: i64,
    rotation: Rotation,
}

/// The credentials from one rotation to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation {
    number: i64,
    /// When they were issued.
    pub(crate) issued: DateTime<Utc>,
    /// When they expire.
    pub(crate) expires: DateTime<Utc>,
}

impl Generation {
    /// The generation with the same keys, and its dates shifted.
    pub(crate) fn shifted(self, by: TimeDelta) -> Self {
        let shifted = |moment: DateTime<Utc>| moment.checked_add_signed(by).unwrap_or(moment);
        Self {
            number: self.number,
            issued: shifted(self.issued),
            expires: shifted(self.expires),
        }
    }

    /// When IMDS fetched the document of these credentials, for `Last-Modified` `[I6]`.
    pub(crate) fn fetched(self) -> DateTime<Utc> {
        let before = TimeDelta::seconds(2);
        self.issued
            .checked_sub_signed(before)
            .unwrap_or(self.issued)
    }

    /// The generation with another expiration.
    pub(crate) fn until(self, expires: DateTime<Utc>) -> Self {
        Self {
            expires,
            issued: self.issued.min(expires),
            ..self
        }
    }
}

impl Issuer {
    /// The first generation begins at `began`.
    pub(crate) fn new(seed: [u8; 32], began: DateTime<Utc>, rotation: Rotation) -> Self {
        Self {
            seed,
            began,
            first: 0,
            rotation,
        }
    }

    /// Issues the credentials of the instance itself `[I53]`: at other moments than those of the
    /// role `[I49]`.
    pub(crate) fn of_instance(seed: [u8; 32], now: DateTime<Utc>) -> Self {
        let own = Sha256::new()
            .chain_update(seed)
            .chain_update("ec2-instance");
        let issuer = Self::new(own.finalize().into(), now, Rotation::default());
        Self {
            began: issuer.looked_up("ec2-instance", issuer.generation(now)),
            ..issuer
        }
    }

    /// When IMDS looked up another document that is renewed with `generation`: some seconds off
    /// `[I49]`.
    pub(crate) fn looked_up(&self, document: &str, generation: Generation) -> DateTime<Utc> {
        let seconds = 2 + self.random(document, generation.number) % 105;
        let before = TimeDelta::seconds(i64::try_from(seconds).unwrap_or_default());
        let issued = generation.issued;
        issued.checked_sub_signed(before).unwrap_or(issued)
    }

    /// A number that follows from the seed.
    fn random(&self, what: &str, generation: i64) -> u64 {
        let mut bytes = [0; 8];
        let source = Hkdf::<Sha256>::new(None, &self.seed);
        let done =
            source.expand_multi_info(&[what.as_bytes(), &generation.to_be_bytes()], &mut bytes);
        debug_assert!(done.is_ok());
        u64::from_be_bytes(bytes)
    }

    /// The issuer with `rotation` from `now` on, if that is another rotation.
    pub(crate) fn with(&self, rotation: Rotation, now: DateTime<Utc>) -> Self {
        if self.rotation == rotation {
            return self.clone();
        }
        Self {
            seed: self.seed,
            began: now,
            // No generation number is used twice, so that no keys are.
            first: self.generation(now).number.saturating_add(1),
            rotation,
        }
    }

    /// The issuer with new credentials from `now` on.
    pub(crate) fn rotated(&self, now: DateTime<Utc>) -> Self {
        Self {
            began: now,
            first: self.generation(now).number.saturating_add(1),
            ..self.clone()
        }
    }

    /// The issuer with credentials that expire after `lifetime` and are then replaced, from `began`
    /// on. `mark` keeps their keys apart from all others.
    pub(crate) fn short_lived(&self, lifetime: TimeDelta, began: DateTime<Utc>, mark: u64) -> Self {
        Self {
            seed: self.seed,
            began,
            first: i64::try_from(mark)
                .unwrap_or(i64::MAX)
                .saturating_add(1)
                .saturating_mul(1 << 40),
            rotation: Rotation {
                every: lifetime,
                lifetime,
                variation: TimeDelta::zero(),
            },
        }
    }

    /// The issuer that, from the credentials of `since` on, rotates `before_expiry` before they
    /// expire.
    pub(crate) fn late(&self, before_expiry: TimeDelta, since: DateTime<Utc>) -> Self {
        let present = self.generation(since);
        let lifetime = present.expires - present.issued;
        Self {
            seed: self.seed,
            began: present.issued,
            first: present.number,
            rotation: Rotation {
                every: lifetime - before_expiry.min(lifetime),
                lifetime,
                variation: TimeDelta::zero(),
            },
        }
    }

    /// The credentials of `now`.
    pub(crate) fn generation(&self, now: DateTime<Utc>) -> Generation {
        let every = self.every();
        let count = (now - self.began).num_milliseconds().max(0) / every;
        let issued = self
            .began
            .checked_add_signed(TimeDelta::milliseconds(count.saturating_mul(every)))
            .unwrap_or(now);
        let number = self.first.saturating_add(count);
        Generation {
            number,
            issued,
            expires: issued
                .checked_add_signed(self.lifetime(number))
                .unwrap_or(DateTime::<Utc>::MAX_UTC),
        }
    }

    /// The lifetime of the credentials of that generation.
    fn lifetime(&self, generation: i64) -> TimeDelta {
        let Rotation {
            lifetime,
            variation,
            ..
        } = self.rotation;
        let Ok(most @ 1..) = u64::try_from(variation.num_seconds()) else {
            return lifetime;
        };
        let seconds = self.random("lifetime", generation) % (most + 1);
        lifetime + TimeDelta::seconds(i64::try_from(seconds).unwrap_or_default())
    }

    /// When the next rotation is.
    pub(crate) fn next(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.current(self.generation(now)).end
    }

    /// The time between two rotations in which `generation` is the current one.
    pub(crate) fn current(&self, generation: Generation) -> Range<DateTime<Utc>> {
        let next = generation
            .issued
            .checked_add_signed(TimeDelta::milliseconds(self.every()))
            .unwrap_or(DateTime::<Utc>::MAX_UTC);
        generation.issued..next
    }

    fn every(&self) -> i64 {
        self.rotation.every.num_milliseconds().max(1)
    }

    /// The keys of a generation of `role`.
    pub(crate) fn keys(&self, role: &str, generation: Generation) -> RoleKeys {
        RoleKeys::derive(&self.seed, role, generation.number)
    }
}

/// Keys in the format of AWS. They are worthless. `Debug` hides them all the same, because tests
/// search what clients write for them.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoleKeys {
    /// The access key ID. It is not a secret.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: String,
    /// The session token.
    pub session_token: String,
}

impl fmt::Debug for RoleKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoleKeys")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

impl RoleKeys {
    fn derive(seed: &[u8; 32], role: &str, generation: i64) -> Self {
        let source = Hkdf::<Sha256>::new(None, seed);
        let generation = generation.to_be_bytes();
        let bytes = |what: &[u8], into: &mut [u8]| {
            // HKDF only fails for more than 8160 bytes; the keys would then be zeros.
            let done = source.expand_multi_info(&[what, &generation, role.as_bytes()], into);
            debug_assert!(done.is_ok());
        };
        let (mut id, mut secret, mut token) = ([0; 16], [0; 30], [0; 660]);
        bytes(b"access key id", &mut id);
        bytes(b"secret access key", &mut secret);
        bytes(b"session token", &mut token);
        const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let id: String = id
            .iter()
            .filter_map(|byte| BASE32.get(usize::from(byte % 32)))
            .map(|letter| char::from(*letter))
            .collect();
        Self {
            access_key_id: format!("ASIA{id}"),
            secret_access_key: STANDARD.encode(secret),
            // Session tokens of AWS begin like this.
            session_token: format!("IQoJb3JpZ2luX2Vj{}", STANDARD.encode(token)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::value::Span;

    fn issuer() -> Issuer {
        let began = "2026-01-02T03:04:05.678Z".parse().unwrap();
        Issuer::new([1; 32], began, Rotation::default())
    }

    #[test]
    fn rules_46_and_47_keys_have_the_form_of_those_of_aws() {
        let issuer = issuer();
        let keys = issuer.keys("role", issuer.generation(issuer.began));
        let id = &keys.access_key_id;
        assert!(id.starts_with("ASIA") && id.len() == 20, "{id}");
        assert_eq!(keys.secret_access_key.len(), 40);
        assert_eq!(keys.session_token.len(), 896);
        assert_eq!(
            format!("{keys:?}"),
            format!("RoleKeys {{ access_key_id: {id:?}, .. }}"),
            "no secret in it"
        );
    }

    #[test]
    fn everyone_gets_the_same_until_the_rotation() {
        let issuer = issuer();
        let began = issuer.began;
        let first = issuer.generation(began);
        let later = began + TimeDelta::milliseconds(3_599_999);
        assert_eq!(issuer.generation(later), first);
        assert_eq!(issuer.next(later), began + TimeDelta::hours(1));
        let second = issuer.generation(began + TimeDelta::hours(1));
        assert_eq!(second.issued, began + TimeDelta::hours(1));
        assert_ne!(second.number, first.number);
        assert_eq!(
            issuer.generation(began - TimeDelta::hours(1)),
            first,
            "a clock before the beginning"
        );
    }

    #[test]
    fn rule_49_new_credentials_come_before_the_old_ones_end() {
        let mut iam = Iam {
            lifetime: Some(Span::minutes(15)),
            ..Iam::default()
        };
        assert_eq!(Rotation::from(&iam).every, TimeDelta::minutes(10));
        iam.lead = Span::seconds(0);
        assert_eq!(Rotation::from(&iam).every, TimeDelta::minutes(60));
    }

    #[test]
    fn rule_49_each_rotation_has_a_lifetime_of_its_own() {
        let (issuer, own) = (issuer(), Issuer::of_instance([1; 32], issuer().began));
        let lifetimes = |issuer: &Issuer| -> Vec<i64> {
            let generations = (0..50).map(|hour| issuer.began + TimeDelta::hours(hour));
            let lifetime = |now| {
                let generation = issuer.generation(now);
                (generation.expires - generation.issued).num_seconds()
            };
            generations.map(lifetime).collect()
        };
        let of_role = lifetimes(&issuer);
        assert!(
            of_role
                .iter()
                .all(|seconds| (21_600..=23_760).contains(seconds))
        );
        let distinct: HashSet<i64> = of_role.iter().copied().collect();
        assert!(distinct.len() > 40, "{of_role:?}");
        assert_eq!(lifetimes(&issuer), of_role, "they follow from the seed");
        assert_ne!(lifetimes(&own), of_role);
        let fixed = Rotation::from(&Iam {
            lifetime: Some(Span::minutes(380)),
            ..Iam::default()
        });
        let fixed = Issuer::new([1; 32], issuer.began, fixed);
        assert_eq!(lifetimes(&fixed), [22_800; 50], "a configured one is exact");
    }

    #[test]
    fn rule_49_each_document_has_a_moment_of_its_own() {
        let issuer = issuer();
        let generation = issuer.generation(issuer.began);
        let before = |document| {
            let off = generation.issued - issuer.looked_up(document, generation);
            off.num_seconds()
        };
        for document in ["iam/info", "identity-credentials/ec2/info"] {
            assert!((2..=106).contains(&before(document)), "{document}");
        }
        assert_ne!(before("iam/info"), before("identity-credentials/ec2/info"));
        let own = Issuer::of_instance([1; 32], issuer.began);
        assert!((2..=106).contains(&(issuer.began - own.began).num_seconds()));
    }

    #[test]
    fn no_two_generations_roles_or_seeds_share_a_key() {
        let began = issuer().began;
        let mut seen = HashSet::new();
        let mut letters = HashSet::new();
        for seed in [[1; 32], [2; 32]] {
            for role in ["role", "other"] {
                let issuer = Issuer::new(seed, began, Rotation::default());
                for hour in 0..100 {
                    let generation = issuer.generation(began + TimeDelta::hours(hour));
                    let keys = issuer.keys(role, generation);
                    letters.extend(keys.access_key_id.chars().skip(4));
                    assert!(seen.insert(keys.access_key_id));
                    assert!(seen.insert(keys.secret_access_key));
                    assert!(seen.insert(keys.session_token));
                }
            }
        }
        assert_eq!(letters.len(), 32, "all that an id can have");
    }

    #[test]
    fn another_rotation_brings_new_keys() {
        let issuer = issuer();
        let now = issuer.began + TimeDelta::minutes(90);
        let rotation = Rotation {
            every: TimeDelta::minutes(1),
            lifetime: TimeDelta::minutes(2),
            variation: TimeDelta::zero(),
        };
        assert_eq!(issuer.with(Rotation::default(), now).began, issuer.began);
        let other = issuer.with(rotation, now);
        assert_eq!(other.generation(now).issued, now);
        assert_eq!(other.generation(now).number, 2);
    }

    #[test]
    fn credentials_rotated_by_hand_have_new_keys() {
        let issuer = issuer();
        let now = issuer.began + TimeDelta::minutes(1);
        let rotated = issuer.rotated(now);
        let (old, new) = (issuer.generation(now), rotated.generation(now));
        assert_eq!(new.issued, now);
        assert_ne!(issuer.keys("role", old), rotated.keys("role", new));
        let again = rotated.rotated(now);
        let newest = again.generation(now);
        assert!(![old.number, new.number].contains(&newest.number));
    }

    #[test]
    fn short_lived_credentials_never_have_the_keys_of_others() {
        let issuer = issuer();
        let began = issuer.began;
        let year = began + TimeDelta::days(365);
        let short = |mark| issuer.short_lived(TimeDelta::seconds(1), began, mark);
        let number = |issuer: &Issuer, now| issuer.generation(now).number;
        assert!(number(&issuer, year) < number(&short(0), began));
        assert!(number(&short(0), year) < number(&short(1), began));
        let later = began + TimeDelta::seconds(1);
        assert_eq!(number(&short(0), later), number(&short(0), began) + 1);
    }

    #[test]
    fn late_credentials_come_so_long_before_the_old_ones_end() {
        let issuer = issuer();
        let since = issuer.began + TimeDelta::minutes(90);
        let present = issuer.generation(since);
        let late = issuer.late(TimeDelta::minutes(1), since);
        assert_eq!(late.generation(since), present);
        assert_eq!(late.next(since), present.expires - TimeDelta::minutes(1));
    }

    #[test]
    fn an_end_that_is_moved_leaves_the_beginning_before_it() {
        let issuer = issuer();
        let generation = issuer.generation(issuer.began);
        let later = generation.expires + TimeDelta::hours(1);
        assert_eq!(generation.until(later).expires, later);
        assert_eq!(generation.until(later).issued, generation.issued);
        let earlier = generation.issued - TimeDelta::hours(1);
        assert_eq!(generation.until(earlier).expires, earlier);
        assert_eq!(generation.until(earlier).issued, earlier);
    }
}
