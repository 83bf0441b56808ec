//! Signatures of the identity document `[I60]`.
//!
//! The keys are derived from the seed, so that an emulator with the same seed has the same
//! certificates. They are generated with the first signature, because that takes a moment.

use std::fmt;
use std::str::FromStr as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use cms::cert::IssuerAndSerialNumber;
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo};
use der::asn1::{BitString, Null, ObjectIdentifier, OctetString, SetOfVec, UtcTime};
use der::pem::LineEnding;
use der::{Any, Encode as _, EncodePem as _};
use dsa::BoxedUint;
use hkdf::Hkdf;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rsa::pkcs1v15;
use rsa::signature::{Keypair, SignatureEncoding as _, Signer as _};
use sha2::{Digest as _, Sha256};
use x509_cert::attr::Attribute;
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

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_TIME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.5");
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const DSA_WITH_SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.2");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// The DSA parameters of RFC 5114, section 2.3, because new ones would take minutes to generate.
const DSA_P: &str = "87a8e61db4b6663cffbbd19c651959998ceef608660dd0f25d2ceed4435e3b00\
    e00df8f1d61957d4faf7df4561b2aa3016c3d91134096faa3bf4296d830e9a7c\
    209e0c6497517abd5a8a9d306bcf67ed91f9e6725b4758c022e0b1ef4275bf7b\
    6c5bfc11d45f9088b941f54eb1e59bb8bc39a0bf12307f5c4fdb70c581b23f76\
    b63acae1caa6b7902d52526735488a0ef13c6d9a51bfa4ab3ad8347796524d8e\
    f6a167b5a41825d967e144e5140564251ccacb83e6b486f6b3ca3f7971506026\
    c0b857f689962856ded4010abd0be621c3a3960a54e710c375f26375d7014103\
    a4b54330c198af126116d2276e11715f693877fad7ef09cadb094ae91e1a1597";
const DSA_Q: &str = "8cf83642a709a097b447997640129da299b1a47d1eb3750ba308b0fe64f5fbd3";
const DSA_G: &str = "3fb32c9b73134d0b2e77506660edbd484ca7b18f21ef205407f4793a1a0ba125\
    10dbc15077be463fff4fed4aac0bb555be3a6c1b0c6b47b1bc3773bf7e8c6f62\
    901228f8c28cbb18a55ae31341000a650196f931c77a57f2ddf463e5e9ec144b\
    777de62aaab8a8628ac376d282d6ed3864e67982428ebc831d14348f6f2f9193\
    b5045af2767164e1dfc967c1fb3f2e55a4bd1bffe83b9c80d052b985d182ea0a\
    db2a3b7313d3fe14c8484b1e052588b9b7d2bbd2df016199ecd06e1557cd0915\
    b3353bbb64e0ec377fd028370df92b52c7891428cdc67eb6184b523d1db246c3\
    2f63078490f00ef8d647d148d47954515e2327cfef98c582664b4c0f6cc41659";

/// The certificates are valid from 2000-01-01 to 2100-01-01 (Unix times), because an emulator's
/// clock may show any date.
const VALID: (u64, u64) = (946_684_800, 4_102_444_800);

/// A certificate of the emulator `[I60]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// Verifies `signature` and `rsa2048`: RSA, 2048 bits.
    Rsa,
    /// Verifies `pkcs7` and `dsa2048`: DSA, 2048 bits.
    Dsa,
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
    rsa: Lazy<pkcs1v15::SigningKey<Sha256>>,
    dsa: Lazy<Dsa>,
}

/// A signer and its certificate, or the error that prevented them.
type Lazy<S> = Arc<OnceLock<Result<Certified<S>, IdentityError>>>;

impl Identity {
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        Self {
            seed: *seed,
            rsa: Lazy::default(),
            dsa: Lazy::default(),
        }
    }

    /// The RSA signature of the document's bytes.
    pub(crate) fn signature(&self, document: &[u8]) -> Result<String, IdentityError> {
        Ok(wrapped(&self.rsa()?.signer.sign_bytes(document)?))
    }

    /// The document and its RSA signature, as PKCS #7.
    pub(crate) fn rsa_pkcs7(
        &self,
        document: &[u8],
        at: DateTime<Utc>,
    ) -> Result<String, IdentityError> {
        Ok(wrapped(&self.rsa()?.signed_data(document, at)?))
    }

    /// The document and its DSA signature, as PKCS #7.
    pub(crate) fn dsa_pkcs7(
        &self,
        document: &[u8],
        at: DateTime<Utc>,
    ) -> Result<String, IdentityError> {
        Ok(wrapped(&self.dsa()?.signed_data(document, at)?))
    }

    /// The certificate as PEM.
    pub(crate) fn certificate(&self, certificate: Certificate) -> Result<String, IdentityError> {
        let certificate = match certificate {
            Certificate::Rsa => &self.rsa()?.certificate,
            Certificate::Dsa => &self.dsa()?.certificate,
        };
        certificate.to_pem(LineEnding::LF).map_err(failed)
    }

    fn rsa(&self) -> Result<&Certified<pkcs1v15::SigningKey<Sha256>>, IdentityError> {
        let new = || {
            let mut random = random(&self.seed, b"RSA key");
            let key = rsa::PrivateKey::new(&mut random, 2048).map_err(failed)?;
            Certified::new("CN=IMDS emulator (RSA)", pkcs1v15::SigningKey::new(key))
        };
        self.rsa.get_or_init(new).as_ref().map_err(Clone::clone)
    }

    fn dsa(&self) -> Result<&Certified<Dsa>, IdentityError> {
        let new = || {
            let number = |hex, bits| {
                Option::<BoxedUint>::from(BoxedUint::from_be_hex(hex, bits))
                    .ok_or_else(|| failed("no number"))
            };
            let (p, q, g) = (
                number(DSA_P, 2048)?,
                number(DSA_Q, 256)?,
                number(DSA_G, 2048)?,
            );
            let group = dsa::Components::from_components(p, q, g).map_err(failed)?;
            let mut random = random(&self.seed, b"DSA key");
            let Ok(key) =
                dsa::SigningKey::try_generate_from_rng_with_components(&mut random, group);
            Certified::new("CN=IMDS emulator (DSA)", Dsa(key))
        };
        self.dsa.get_or_init(new).as_ref().map_err(Clone::clone)
    }
}

fn random(seed: &[u8; 32], what: &[u8]) -> ChaCha20Rng {
    let mut own = [0; 32];
    // HKDF only fails for more than 8160 bytes; the keys would be valid even then.
    let _ = Hkdf::<Sha256>::new(None, seed).expand(what, &mut own);
    ChaCha20Rng::from_seed(own)
}

/// Base64 in lines of 64 characters, without a final line feed.
fn wrapped(bytes: &[u8]) -> String {
    let mut text = STANDARD.encode(bytes);
    for end in (64..text.len()).step_by(64).rev() {
        text.insert(end, '\n');
    }
    text
}

/// A signer of any algorithm.
trait Signer: Keypair<VerifyingKey: EncodePublicKey> + DynSignatureAlgorithmIdentifier {
    /// The algorithm as PKCS #7 names it, which can differ from its name in certificates.
    fn algorithm(&self) -> Result<AlgorithmIdentifierOwned, IdentityError>;
    fn sign_bytes(&self, message: &[u8]) -> Result<Vec<u8>, IdentityError>;
}

impl Signer for pkcs1v15::SigningKey<Sha256> {
    fn algorithm(&self) -> Result<AlgorithmIdentifierOwned, IdentityError> {
        Ok(AlgorithmIdentifierOwned {
            oid: RSA_ENCRYPTION,
            parameters: Some(Any::encode_from(&Null).map_err(failed)?),
        })
    }

    fn sign_bytes(&self, message: &[u8]) -> Result<Vec<u8>, IdentityError> {
        Ok(self.try_sign(message).map_err(failed)?.to_vec())
    }
}

/// A DSA key that names the algorithm that it signs with.
struct Dsa(dsa::SigningKey);

impl Keypair for Dsa {
    type VerifyingKey = dsa::VerifyingKey;

    fn verifying_key(&self) -> Self::VerifyingKey {
        self.0.verifying_key().clone()
    }
}

impl DynSignatureAlgorithmIdentifier for Dsa {
    fn signature_algorithm_identifier(
        &self,
    ) -> Result<AlgorithmIdentifierOwned, x509_cert::spki::Error> {
        Ok(AlgorithmIdentifierOwned {
            oid: DSA_WITH_SHA_256,
            parameters: None,
        })
    }
}

impl Signer for Dsa {
    fn algorithm(&self) -> Result<AlgorithmIdentifierOwned, IdentityError> {
        self.signature_algorithm_identifier().map_err(failed)
    }

    fn sign_bytes(&self, message: &[u8]) -> Result<Vec<u8>, IdentityError> {
        Ok(self.0.try_sign(message).map_err(failed)?.to_vec())
    }
}

/// A signer with its own certificate.
struct Certified<S> {
    signer: S,
    certificate: x509_cert::Certificate,
}

impl<S: Signer> Certified<S> {
    fn new(name: &str, signer: S) -> Result<Self, IdentityError> {
        let mut builder = CertificateBuilder::new(
            SelfSigned(Name::from_str(name).map_err(failed)?),
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
            signer,
        })
    }

    /// `document` and its signature as PKCS #7 (RFC 5652), without the certificate.
    fn signed_data(&self, document: &[u8], at: DateTime<Utc>) -> Result<Vec<u8>, IdentityError> {
        let at = Duration::from_secs(at.timestamp().try_into().unwrap_or(0));
        let digest = OctetString::new(Sha256::digest(document).to_vec()).map_err(failed)?;
        let attributes = SetOfVec::try_from(vec![
            attribute(CONTENT_TYPE, Any::encode_from(&DATA))?,
            attribute(SIGNING_TIME, Any::encode_from(&time(at)?))?,
            attribute(MESSAGE_DIGEST, Any::encode_from(&digest))?,
        ])
        .map_err(failed)?;
        let signature = self
            .signer
            .sign_bytes(&attributes.to_der().map_err(failed)?)?;
        let sha_256 = AlgorithmIdentifierOwned {
            oid: SHA_256,
            parameters: None,
        };
        let signer = self.certificate.tbs_certificate();
        let signer = SignerInfo {
            version: CmsVersion::V1,
            sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
                issuer: signer.issuer().clone(),
                serial_number: signer.serial_number().clone(),
            }),
            digest_alg: sha_256.clone(),
            signed_attrs: Some(attributes),
            signature_algorithm: self.signer.algorithm()?,
            signature: OctetString::new(signature).map_err(failed)?,
            unsigned_attrs: None,
        };
        let document = OctetString::new(document).map_err(failed)?;
        let signed = SignedData {
            version: CmsVersion::V1,
            digest_algorithms: SetOfVec::try_from(vec![sha_256]).map_err(failed)?,
            encap_content_info: EncapsulatedContentInfo {
                econtent_type: DATA,
                econtent: Some(Any::encode_from(&document).map_err(failed)?),
            },
            certificates: None,
            crls: None,
            signer_infos: SetOfVec::try_from(vec![signer]).map_err(failed)?.into(),
        };
        ContentInfo {
            content_type: SIGNED_DATA,
            content: Any::encode_from(&signed).map_err(failed)?,
        }
        .to_der()
        .map_err(failed)
    }
}

fn attribute(oid: ObjectIdentifier, value: der::Result<Any>) -> Result<Attribute, IdentityError> {
    let values = SetOfVec::try_from(vec![value.map_err(failed)?]).map_err(failed)?;
    Ok(Attribute { oid, values })
}

/// The time as `UTCTime` if that can express it (RFC 5280, 4.1.2.5).
fn time(since_1970: Duration) -> Result<Time, IdentityError> {
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
}
