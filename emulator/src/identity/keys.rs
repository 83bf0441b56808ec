//! Keys and their certificates.

use std::str::FromStr as _;
use std::time::Duration;

use der::Any;
use der::asn1::{BitString, Null, ObjectIdentifier, UtcTime};
use dsa::BoxedUint;
use hkdf::Hkdf;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rsa::pkcs1v15;
use rsa::signature::{Keypair, SignatureEncoding as _, Signer as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder as _, CertificateBuilder};
use x509_cert::certificate::TbsCertificate;
use x509_cert::ext::Extension;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{
    AlgorithmIdentifierOwned, DynSignatureAlgorithmIdentifier, EncodePublicKey,
    SubjectPublicKeyInfo, SubjectPublicKeyInfoRef,
};
use x509_cert::time::{Time, Validity};

use super::{IdentityError, SigningKey, failed};

const SHA_1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const DSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10040.4.1");
const DSA_WITH_SHA_1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10040.4.3");
const DSA_WITH_SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.2");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// The parameters that DSA keys share. New ones would take minutes to generate.
struct Group {
    p: &'static str,
    q: &'static str,
    g: &'static str,
    /// The number of bits of `p`, and that of `q` rounded up to whole words.
    bits: (u32, u32),
}

/// RFC 5114, section 2.1. Zeros fill the last word of `q`.
const GROUP_1024: Group = Group {
    p: "b10b8f96a080e01dde92de5eae5d54ec52c99fbcfb06a3c69a6a9dca52d23b61\
        6073e28675a23d189838ef1e2ee652c013ecb4aea906112324975c3cd49b83bf\
        accbdd7d90c4bd7098488e9c219a73724effd6fae5644738faa31a4ff55bccc0\
        a151af5f0dc8b4bd45bf37df365c1a65e68cfda76d4da708df1fb2bc2e4a4371",
    q: "00000000f518aa8781a8df278aba4e7d64b7cb9d49462353",
    g: "a4d1cbd5c3fd34126765a442efb99905f8104dd258ac507fd6406cff14266d31\
        266fea1e5c41564b777e690f5504f213160217b4b01b886a5e91547f9e2749f4\
        d7fbd7d3b9a92ee1909d0d2263f80a76a6a24c087a091f531dbf0a0169b6a28a\
        d662a4d18e73afa32d779d5918d08bc8858f4dcef97c2a24855e6eeb22b3b2e5",
    bits: (1024, 192),
};

/// RFC 5114, section 2.3.
const GROUP_2048: Group = Group {
    p: "87a8e61db4b6663cffbbd19c651959998ceef608660dd0f25d2ceed4435e3b00\
        e00df8f1d61957d4faf7df4561b2aa3016c3d91134096faa3bf4296d830e9a7c\
        209e0c6497517abd5a8a9d306bcf67ed91f9e6725b4758c022e0b1ef4275bf7b\
        6c5bfc11d45f9088b941f54eb1e59bb8bc39a0bf12307f5c4fdb70c581b23f76\
        b63acae1caa6b7902d52526735488a0ef13c6d9a51bfa4ab3ad8347796524d8e\
        f6a167b5a41825d967e144e5140564251ccacb83e6b486f6b3ca3f7971506026\
        c0b857f689962856ded4010abd0be621c3a3960a54e710c375f26375d7014103\
        a4b54330c198af126116d2276e11715f693877fad7ef09cadb094ae91e1a1597",
    q: "8cf83642a709a097b447997640129da299b1a47d1eb3750ba308b0fe64f5fbd3",
    g: "3fb32c9b73134d0b2e77506660edbd484ca7b18f21ef205407f4793a1a0ba125\
        10dbc15077be463fff4fed4aac0bb555be3a6c1b0c6b47b1bc3773bf7e8c6f62\
        901228f8c28cbb18a55ae31341000a650196f931c77a57f2ddf463e5e9ec144b\
        777de62aaab8a8628ac376d282d6ed3864e67982428ebc831d14348f6f2f9193\
        b5045af2767164e1dfc967c1fb3f2e55a4bd1bffe83b9c80d052b985d182ea0a\
        db2a3b7313d3fe14c8484b1e052588b9b7d2bbd2df016199ecd06e1557cd0915\
        b3353bbb64e0ec377fd028370df92b52c7891428cdc67eb6184b523d1db246c3\
        2f63078490f00ef8d647d148d47954515e2327cfef98c582664b4c0f6cc41659",
    bits: (2048, 256),
};

/// The certificates are valid from 2000-01-01 to 2100-01-01 (Unix times), because an emulator's
/// clock may show any date.
const VALID: (u64, u64) = (946_684_800, 4_102_444_800);

/// A key with its own certificate.
pub(super) struct Certified {
    signer: Box<dyn Signer + Send + Sync>,
    certificate: x509_cert::Certificate,
}

impl Certified {
    /// The key that follows from the seed.
    pub(super) fn generate(key: SigningKey, seed: &[u8; 32]) -> Result<Self, IdentityError> {
        match key {
            SigningKey::Rsa1024 => Self::new(
                "RSA-1024",
                rsa(1024, &mut random(seed, b"RSA key, 1024 bits"))?,
            ),
            SigningKey::Rsa2048 => Self::new("RSA-2048", rsa(2048, &mut random(seed, b"RSA key"))?),
            SigningKey::Dsa1024 => {
                let key = dsa(&GROUP_1024, &mut random(seed, b"DSA key, 1024 bits"))?;
                Self::new("DSA-1024", DsaWithSha1(key))
            }
            SigningKey::Dsa2048 => {
                let key = dsa(&GROUP_2048, &mut random(seed, b"DSA key"))?;
                Self::new("DSA-2048", DsaWithSha256(key))
            }
        }
    }

    fn new<S>(name: &str, signer: S) -> Result<Self, IdentityError>
    where
        S: Signer
            + Keypair<VerifyingKey: EncodePublicKey>
            + DynSignatureAlgorithmIdentifier
            + Send
            + Sync
            + 'static,
    {
        let name = Name::from_str(&format!("CN=IMDS emulator ({name})")).map_err(failed)?;
        let mut builder = CertificateBuilder::new(
            SelfSigned(name),
            SerialNumber::from(1_u32),
            Validity::new(
                time(Duration::from_secs(VALID.0))?,
                time(Duration::from_secs(VALID.1))?,
            ),
            SubjectPublicKeyInfo::from_key(&signer.verifying_key()).map_err(failed)?,
        )
        .map_err(failed)?;
        let signature = signer.sign_bytes(&builder.finalize(&signer).map_err(failed)?)?;
        let signature = BitString::from_bytes(&signature).map_err(failed)?;
        Ok(Self {
            certificate: builder.assemble(signature, &signer).map_err(failed)?,
            signer: Box::new(signer),
        })
    }

    pub(super) fn certificate(&self) -> &x509_cert::Certificate {
        &self.certificate
    }

    /// The signature of a message.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, IdentityError> {
        self.signer.sign_bytes(message)
    }

    /// The digest of a message, with the hash that the key signs with.
    pub(super) fn digest(&self, message: &[u8]) -> Vec<u8> {
        self.signer.digest(message)
    }

    /// The hash, as PKCS #7 names it.
    pub(super) fn hash_algorithm(&self) -> Result<AlgorithmIdentifierOwned, IdentityError> {
        with_null(self.signer.hash())
    }

    /// The signature algorithm, as PKCS #7 names it, which can differ from its name in certificates.
    pub(super) fn signature_algorithm(&self) -> Result<AlgorithmIdentifierOwned, IdentityError> {
        self.signer.algorithm()
    }
}

/// A signer of any algorithm.
trait Signer {
    fn hash(&self) -> ObjectIdentifier;
    fn digest(&self, message: &[u8]) -> Vec<u8>;
    /// The signature algorithm as PKCS #7 names it.
    fn algorithm(&self) -> Result<AlgorithmIdentifierOwned, IdentityError>;
    fn sign_bytes(&self, message: &[u8]) -> Result<Vec<u8>, IdentityError>;
}

impl Signer for pkcs1v15::SigningKey<Sha256> {
    fn hash(&self) -> ObjectIdentifier {
        SHA_256
    }

    fn digest(&self, message: &[u8]) -> Vec<u8> {
        Sha256::digest(message).to_vec()
    }

    fn algorithm(&self) -> Result<AlgorithmIdentifierOwned, IdentityError> {
        with_null(RSA_ENCRYPTION)
    }

    fn sign_bytes(&self, message: &[u8]) -> Result<Vec<u8>, IdentityError> {
        Ok(self.try_sign(message).map_err(failed)?.to_vec())
    }
}

/// Declares a DSA key that signs with one hash.
macro_rules! dsa_key {
    ($(#[$meta:meta])* $name:ident, $digest:ty, $hash:ident, $certificate:ident, $pkcs7:ident) => {
        $(#[$meta])*
        struct $name(dsa::SigningKey);

        impl Keypair for $name {
            type VerifyingKey = dsa::VerifyingKey;

            fn verifying_key(&self) -> Self::VerifyingKey {
                self.0.verifying_key().clone()
            }
        }

        impl DynSignatureAlgorithmIdentifier for $name {
            fn signature_algorithm_identifier(
                &self,
            ) -> Result<AlgorithmIdentifierOwned, x509_cert::spki::Error> {
                Ok(without_parameters($certificate))
            }
        }

        impl Signer for $name {
            fn hash(&self) -> ObjectIdentifier {
                $hash
            }

            fn digest(&self, message: &[u8]) -> Vec<u8> {
                <$digest>::digest(message).to_vec()
            }

            fn algorithm(&self) -> Result<AlgorithmIdentifierOwned, IdentityError> {
                Ok(without_parameters($pkcs7))
            }

            fn sign_bytes(&self, message: &[u8]) -> Result<Vec<u8>, IdentityError> {
                let digest = self.digest(message);
                let signature = self.0.sign_prehashed_rfc6979::<$digest>(&digest);
                Ok(signature.map_err(failed)?.to_vec())
            }
        }
    };
}

dsa_key!(
    /// What AWS signs `pkcs7` with.
    DsaWithSha1, Sha1, SHA_1, DSA_WITH_SHA_1, DSA_WITH_SHA_1
);
dsa_key!(
    /// Verifiers know few names for DSA in PKCS #7. That of the key type is among them.
    DsaWithSha256, Sha256, SHA_256, DSA_WITH_SHA_256, DSA
);

fn rsa(
    bits: usize,
    random: &mut ChaCha20Rng,
) -> Result<pkcs1v15::SigningKey<Sha256>, IdentityError> {
    let key = rsa::PrivateKey::new(random, bits).map_err(failed)?;
    Ok(pkcs1v15::SigningKey::new(key))
}

fn dsa(group: &Group, random: &mut ChaCha20Rng) -> Result<dsa::SigningKey, IdentityError> {
    let number = |hex, bits| {
        Option::<BoxedUint>::from(BoxedUint::from_be_hex(hex, bits))
            .ok_or_else(|| failed("invalid DSA parameters"))
    };
    let (of_p, of_q) = group.bits;
    let (p, q, g) = (
        number(group.p, of_p)?,
        number(group.q, of_q)?,
        number(group.g, of_p)?,
    );
    let group = dsa::Components::from_components(p, q, g).map_err(failed)?;
    let Ok(key) = dsa::SigningKey::try_generate_from_rng_with_components(random, group);
    Ok(key)
}

fn random(seed: &[u8; 32], what: &[u8]) -> ChaCha20Rng {
    let mut own = [0; 32];
    // HKDF only fails for more than 8160 bytes; the keys would be valid even then.
    let _ = Hkdf::<Sha256>::new(None, seed).expand(what, &mut own);
    ChaCha20Rng::from_seed(own)
}

fn with_null(oid: ObjectIdentifier) -> Result<AlgorithmIdentifierOwned, IdentityError> {
    Ok(AlgorithmIdentifierOwned {
        oid,
        parameters: Some(Any::encode_from(&Null).map_err(failed)?),
    })
}

fn without_parameters(oid: ObjectIdentifier) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned {
        oid,
        parameters: None,
    }
}

/// The time as `UTCTime` if that can express it (RFC 5280, 4.1.2.5).
pub(super) fn time(since_1970: Duration) -> Result<Time, IdentityError> {
    let time = der::DateTime::from_unix_duration(since_1970).map_err(failed)?;
    Ok(match UtcTime::from_date_time(time) {
        Ok(time) => Time::UtcTime(time),
        Err(_) => Time::GeneralTime(time.into()),
    })
}

/// No extensions, as AWS's own certificates have none.
struct SelfSigned(Name);

impl BuilderProfile for SelfSigned {
    fn get_issuer(&self, subject: &Name) -> Name {
        subject.clone()
    }

    fn get_subject(&self) -> Name {
        self.0.clone()
    }

    fn build_extensions(
        &self,
        _: SubjectPublicKeyInfoRef<'_>,
        _: SubjectPublicKeyInfoRef<'_>,
        _: &TbsCertificate,
    ) -> x509_cert::builder::Result<Vec<Extension>> {
        Ok(Vec::new())
    }
}
