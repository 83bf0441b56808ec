//! Signatures of the identity document `[I60]`.
//!
//! The keys are derived from the seed, so that an emulator with the same seed has the same
//! certificates. Each is generated with its first signature, because that takes a moment.

mod keys;
mod pkcs7;

use std::fmt;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use der::EncodePem as _;
use der::pem::LineEnding;

use self::keys::Certified;

/// A certificate of the emulator `[I60]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Certificate {
    /// Verifies `signature`: RSA, with as many bits as `instance.signatures.rsa-bits`.
    Rsa,
    /// Verifies `rsa2048`: RSA, 2,048 bits.
    Rsa2048,
    /// Verifies `pkcs7`: DSA, 1,024 bits.
    Dsa,
    /// Verifies `dsa2048`: DSA, 2,048 bits.
    Dsa2048,
}

/// A key that signs the identity document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SigningKey {
    Rsa1024,
    Rsa2048,
    /// Signs with SHA-1.
    Dsa1024,
    Dsa2048,
}

impl SigningKey {
    /// The RSA key with 1,024 bits, or that with 2,048.
    pub(crate) fn rsa(bits: u16) -> Self {
        match bits {
            1024 => Self::Rsa1024,
            _ => Self::Rsa2048,
        }
    }
}

/// A document could not be signed, or a certificate not generated.
#[derive(Clone, Debug)]
pub struct IdentityError(Arc<str>);

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot sign the identity document: {}", self.0)
    }
}

impl std::error::Error for IdentityError {}

/// Turns the errors of four crates into one. A `From` for all of them would accept every type.
fn failed(error: impl fmt::Display) -> IdentityError {
    IdentityError(error.to_string().into())
}

/// Signs the documents of one emulator.
#[derive(Clone)]
pub(crate) struct Identity {
    seed: [u8; 32],
    keys: Arc<Keys>,
}

#[derive(Default)]
struct Keys {
    rsa_1024: Lazy,
    rsa_2048: Lazy,
    dsa_1024: Lazy,
    dsa_2048: Lazy,
}

/// A key with its certificate, or the error that prevented them.
type Lazy = OnceLock<Result<Certified, IdentityError>>;

impl Identity {
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        Self {
            seed: *seed,
            keys: Arc::default(),
        }
    }

    /// The signature of the document's bytes.
    pub(crate) fn signature(
        &self,
        key: SigningKey,
        document: &[u8],
    ) -> Result<String, IdentityError> {
        Ok(wrapped(&self.key(key)?.sign(document)?))
    }

    /// The document and its signature, as PKCS #7.
    pub(crate) fn pkcs7(
        &self,
        key: SigningKey,
        document: &[u8],
        at: DateTime<Utc>,
    ) -> Result<String, IdentityError> {
        Ok(wrapped(&pkcs7::signed_data(self.key(key)?, document, at)?))
    }

    /// The certificate of the key as PEM.
    pub(crate) fn certificate(&self, key: SigningKey) -> Result<String, IdentityError> {
        let certificate = self.key(key)?.certificate();
        certificate.to_pem(LineEnding::LF).map_err(failed)
    }

    fn key(&self, key: SigningKey) -> Result<&Certified, IdentityError> {
        let place = match key {
            SigningKey::Rsa1024 => &self.keys.rsa_1024,
            SigningKey::Rsa2048 => &self.keys.rsa_2048,
            SigningKey::Dsa1024 => &self.keys.dsa_1024,
            SigningKey::Dsa2048 => &self.keys.dsa_2048,
        };
        let made = place.get_or_init(|| Certified::generate(key, &self.seed));
        made.as_ref().map_err(Clone::clone)
    }
}

/// Base64 in lines of 76 characters, without a final line feed.
fn wrapped(bytes: &[u8]) -> String {
    const WIDTH: usize = 76;
    let mut text = STANDARD.encode(bytes);
    for end in (WIDTH..text.len()).step_by(WIDTH).rev() {
        text.insert(end, '\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_could_not_be_done_and_why() {
        assert_eq!(
            failed("no luck").to_string(),
            "cannot sign the identity document: no luck"
        );
    }

    #[test]
    fn no_line_is_longer_than_76_characters_and_none_is_empty() {
        for (bytes, lines) in [(0, 1), (57, 1), (58, 2), (114, 2), (115, 3)] {
            let text = wrapped(&vec![0; bytes]);
            assert_eq!(text.split('\n').count(), lines, "{bytes}");
            assert!(!text.ends_with('\n'), "{bytes}");
            assert!(text.lines().all(|line| line.len() <= 76), "{bytes}");
        }
    }
}
