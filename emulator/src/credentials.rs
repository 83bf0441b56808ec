//! The life of the role's credentials (rules 47 to 50).
//!
//! Credentials come in generations. Everything about a generation follows from the seed, the role
//! and its number, so that the same document is given to everyone until the next rotation, without
//! anything being remembered.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use hkdf::Hkdf;
use sha2::Sha256;

/// When credentials are replaced, and how long they live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// New ones come after this time (rule 49).
    pub every: TimeDelta,
    /// They live for this time. At least five minutes longer than `every`, for real IMDS.
    pub lifetime: TimeDelta,
}

impl Default for Rotation {
    fn default() -> Self {
        Self {
            every: TimeDelta::hours(1),
            lifetime: TimeDelta::minutes(6 * 60 + 20),
        }
    }
}

/// Makes the credentials of one role.
#[derive(Clone)]
pub(crate) struct Issuer {
    seed: [u8; 32],
    role: String,
    began: DateTime<Utc>,
    rotation: Rotation,
}

impl Issuer {
    /// The first generation begins at `began`.
    pub(crate) fn new(
        seed: [u8; 32],
        role: String,
        began: DateTime<Utc>,
        rotation: Rotation,
    ) -> Self {
        Self {
            seed,
            role,
            began,
            rotation,
        }
    }

    /// The name of the role.
    pub(crate) fn role(&self) -> &str {
        &self.role
    }

    /// The document of the generation of `now` (rule 47).
    pub(crate) fn document(&self, now: DateTime<Utc>) -> String {
        let every = self.rotation.every.num_milliseconds().max(1);
        let generation = (now - self.began).num_milliseconds().max(0) / every;
        let issued = self
            .began
            .checked_add_signed(TimeDelta::milliseconds(generation.saturating_mul(every)))
            .unwrap_or(now);
        let expires = issued
            .checked_add_signed(self.rotation.lifetime)
            .unwrap_or(DateTime::<Utc>::MAX_UTC);
        let keys = Keys::derive(&self.seed, &self.role, generation);
        object(&[
            ("Code", "Success"),
            ("LastUpdated", &written(issued)),
            ("Type", "AWS-HMAC"),
            ("AccessKeyId", &keys.access_key_id),
            ("SecretAccessKey", &keys.secret_access_key),
            ("Token", &keys.session_token),
            ("Expiration", &written(expires)),
        ])
    }
}

/// Keys of the form that those of AWS have.
struct Keys {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
}

impl Keys {
    fn derive(seed: &[u8; 32], role: &str, generation: i64) -> Self {
        let source = Hkdf::<Sha256>::new(None, seed);
        let generation = generation.to_be_bytes();
        let bytes = |what: &[u8], into: &mut [u8]| {
            // HKDF fails for more than 8160 bytes alone, and then the keys would be of zeros.
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
            // Those of AWS begin like this.
            session_token: format!("IQoJb3JpZ2luX2Vj{}", STANDARD.encode(token)),
        }
    }
}

fn written(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// An object as IMDS writes it (rule 47).
fn object(fields: &[(&str, &str)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("  \"{name}\" : {}", serde_json::Value::from(*value)))
        .collect();
    format!("{{\n{}\n}}", fields.join(",\n"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn issuer() -> Issuer {
        let began = "2026-01-02T03:04:05.678Z".parse().unwrap();
        Issuer::new([1; 32], "role".into(), began, Rotation::default())
    }

    fn field(document: &str, name: &str) -> String {
        let document: serde_json::Value = serde_json::from_str(document).unwrap();
        document[name].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_document_is_laid_out_as_by_imds() {
        let document = issuer().document(issuer().began);
        let lines: Vec<&str> = document.lines().collect();
        assert_eq!(lines.len(), 9);
        assert_eq!(lines[0], "{");
        assert_eq!(lines[1], "  \"Code\" : \"Success\",");
        assert_eq!(lines[2], "  \"LastUpdated\" : \"2026-01-02T03:04:05Z\",");
        assert_eq!(lines[3], "  \"Type\" : \"AWS-HMAC\",");
        assert_eq!(lines[7], "  \"Expiration\" : \"2026-01-02T09:24:05Z\"");
        assert_eq!(lines[8], "}");
        let id = field(&document, "AccessKeyId");
        assert!(id.starts_with("ASIA") && id.len() == 20, "{id}");
        assert_eq!(field(&document, "SecretAccessKey").len(), 40);
        assert_eq!(field(&document, "Token").len(), 896);
    }

    #[test]
    fn everyone_gets_the_same_document_until_the_rotation() {
        let issuer = issuer();
        let first = issuer.document(issuer.began);
        assert_eq!(
            issuer.document(issuer.began + TimeDelta::milliseconds(3_599_999)),
            first
        );
        let second = issuer.document(issuer.began + TimeDelta::hours(1));
        assert_ne!(second, first);
        assert_eq!(field(&second, "LastUpdated"), "2026-01-02T04:04:05Z");
        assert_eq!(
            issuer.document(issuer.began - TimeDelta::hours(1)),
            first,
            "a clock before the beginning"
        );
    }

    #[test]
    fn no_two_generations_roles_or_seeds_share_a_key() {
        let began = issuer().began;
        let mut keys = HashSet::new();
        for seed in [[1; 32], [2; 32]] {
            for role in ["role", "other"] {
                let issuer = Issuer::new(seed, role.into(), began, Rotation::default());
                for hour in 0..100 {
                    let document = issuer.document(began + TimeDelta::hours(hour));
                    assert!(keys.insert(field(&document, "AccessKeyId")));
                    assert!(keys.insert(field(&document, "SecretAccessKey")));
                    assert!(keys.insert(field(&document, "Token")));
                }
            }
        }
    }
}
