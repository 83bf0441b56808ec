//! A signed document as PKCS #7 (RFC 5652), without the certificate `[I60]`.
//!
//! IMDS writes the outer layers in BER with indefinite lengths, and the document as an octet string
//! of parts. A parser that knows only DER fails on it, as it does on an instance.

use std::time::Duration;

use chrono::{DateTime, Utc};
use cms::cert::IssuerAndSerialNumber;
use cms::content_info::CmsVersion;
use cms::signed_data::{SignerIdentifier, SignerInfo};
use der::asn1::{ContextSpecific, ObjectIdentifier, OctetString, SetOfVec};
use der::{Any, Encode, Tag, TagMode, TagNumber};
use x509_cert::attr::Attribute;

use super::keys::{Certified, time};
use super::{IdentityError, failed};

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_TIME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.5");
/// RFC 6211.
const ALGORITHM_PROTECTION: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.52");

/// The first bytes of what has an indefinite length.
const SEQUENCE: u8 = 0x30;
const CONTENT: u8 = 0xa0;
const OCTET_STRING_OF_PARTS: u8 = 0x24;

/// `document`, signed with `key` at the moment `at`.
pub(super) fn signed_data(
    key: &Certified,
    document: &[u8],
    at: DateTime<Utc>,
) -> Result<Vec<u8>, IdentityError> {
    let hash = key.hash_algorithm()?;
    let signer = signer(key, document, at)?;
    let part = der(&OctetString::new(document).map_err(failed)?)?;
    let content = [
        der(&DATA)?,
        indefinite(CONTENT, &indefinite(OCTET_STRING_OF_PARTS, &part)),
    ];
    let signed_data = [
        der(&CmsVersion::V1)?,
        der(&SetOfVec::try_from(vec![hash]).map_err(failed)?)?,
        indefinite(SEQUENCE, &content.concat()),
        der(&SetOfVec::try_from(vec![signer]).map_err(failed)?)?,
    ];
    let content_info = [
        der(&SIGNED_DATA)?,
        indefinite(CONTENT, &indefinite(SEQUENCE, &signed_data.concat())),
    ];
    Ok(indefinite(SEQUENCE, &content_info.concat()))
}

fn signer(
    key: &Certified,
    document: &[u8],
    at: DateTime<Utc>,
) -> Result<SignerInfo, IdentityError> {
    let at = Duration::from_secs(at.timestamp().try_into().unwrap_or(0));
    let digest = OctetString::new(key.digest(document)).map_err(failed)?;
    let attributes = SetOfVec::try_from(vec![
        attribute(CONTENT_TYPE, Any::encode_from(&DATA))?,
        attribute(SIGNING_TIME, Any::encode_from(&time(at)?))?,
        attribute(ALGORITHM_PROTECTION, Ok(algorithm_protection(key)?))?,
        attribute(MESSAGE_DIGEST, Any::encode_from(&digest))?,
    ])
    .map_err(failed)?;
    let signature = key.sign(&der(&attributes)?)?;
    let certificate = key.certificate().tbs_certificate();
    Ok(SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
            issuer: certificate.issuer().clone(),
            serial_number: certificate.serial_number().clone(),
        }),
        digest_alg: key.hash_algorithm()?,
        signed_attrs: Some(attributes),
        signature_algorithm: key.signature_algorithm()?,
        signature: OctetString::new(signature).map_err(failed)?,
        unsigned_attrs: None,
    })
}

/// The algorithms once more, where the signature covers them.
fn algorithm_protection(key: &Certified) -> Result<Any, IdentityError> {
    let signature = ContextSpecific {
        tag_number: TagNumber(1),
        tag_mode: TagMode::Implicit,
        value: key.signature_algorithm()?,
    };
    let algorithms = [der(&key.hash_algorithm()?)?, der(&signature)?];
    Any::new(Tag::Sequence, algorithms.concat()).map_err(failed)
}

fn attribute(oid: ObjectIdentifier, value: der::Result<Any>) -> Result<Attribute, IdentityError> {
    let values = SetOfVec::try_from(vec![value.map_err(failed)?]).map_err(failed)?;
    Ok(Attribute { oid, values })
}

fn der(value: &impl Encode) -> Result<Vec<u8>, IdentityError> {
    value.to_der().map_err(failed)
}

/// BER with an indefinite length: the tag, the content, and the two zeros that end it.
fn indefinite(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag, 0x80], content, &[0, 0]].concat()
}
