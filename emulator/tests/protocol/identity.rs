//! `[I59]` `[I60]`: the identity document and its signatures, which are verified here with other
//! code than that which made them.

use std::collections::BTreeSet;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cms::signed_data::{SignerIdentifier, SignerInfo};
use der::asn1::{ObjectIdentifier, OctetString, SetOfVec};
use der::{Decode as _, DecodePem as _, Encode as _};
use imds_emulator::imds::Certificate;
use rsa::signature::Verifier as _;
use rsa::signature::hazmat::PrehashVerifier as _;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use x509_cert::spki::{AlgorithmIdentifierOwned, DecodePublicKey as _};

use crate::bench::Bench;

const FOLDER: &str = "dynamic/instance-identity";

async fn seeded(seed: &str) -> Bench {
    Bench::with(|config| config.server.seed = Some(seed.into())).await
}

/// A key that verifies.
enum Key {
    Rsa(rsa::pkcs1v15::VerifyingKey<Sha256>),
    DsaWithSha1(dsa::VerifyingKey),
    DsaWithSha256(dsa::VerifyingKey),
}

impl Key {
    fn of(bench: &Bench, certificate: Certificate) -> (Self, x509_cert::Certificate) {
        let pem = bench.imds.certificate(certificate).unwrap();
        let x509 = x509_cert::Certificate::from_pem(&pem).unwrap();
        let key = x509.tbs_certificate().subject_public_key_info();
        let der = key.to_der().unwrap();
        let dsa = || dsa::VerifyingKey::from_public_key_der(&der).unwrap();
        let key = match certificate {
            Certificate::Rsa | Certificate::Rsa2048 => {
                let key = rsa::PublicKey::from_public_key_der(&der).unwrap();
                Self::Rsa(rsa::pkcs1v15::VerifyingKey::new(key))
            }
            Certificate::Dsa => Self::DsaWithSha1(dsa()),
            Certificate::Dsa2048 => Self::DsaWithSha256(dsa()),
            other => unreachable!("no key of this test is for {other:?}"),
        };
        (key, x509)
    }

    /// What the key signs of a message.
    fn digest(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Rsa(_) | Self::DsaWithSha256(_) => Sha256::digest(message).to_vec(),
            Self::DsaWithSha1(_) => Sha1::digest(message).to_vec(),
        }
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa(key) => {
                let signature = rsa::pkcs1v15::Signature::try_from(signature).unwrap();
                key.verify(message, &signature).is_ok()
            }
            Self::DsaWithSha1(key) | Self::DsaWithSha256(key) => {
                let signature = dsa::Signature::try_from(signature).unwrap();
                key.verify_prehash(&self.digest(message), &signature)
                    .is_ok()
            }
        }
    }
}

/// The bytes of base64 in lines of 76.
fn unwrapped(text: &str) -> Vec<u8> {
    let lines: Vec<&str> = text.split('\n').collect();
    let (last, others) = lines.split_last().unwrap();
    assert!(others.iter().all(|line| line.len() == 76), "{text}");
    assert!((1..=76).contains(&last.len()), "{text}");
    STANDARD.decode(lines.concat()).unwrap()
}

/// Removes the head of what is in BER with an indefinite length, and the two zeros at the end of all
/// that is left.
fn open<'a>(head: &[u8], bytes: &'a [u8]) -> &'a [u8] {
    let rest = bytes.strip_prefix(head);
    rest.unwrap().strip_suffix(&[0, 0]).unwrap()
}

/// The document and the signer of PKCS #7 as an instance writes it: the outer layers in BER.
fn parsed(message: &[u8]) -> (Vec<u8>, SignerInfo) {
    const SIGNED_DATA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
    const DATA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
    let rest = open(&[0x30, 0x80], message);
    let rest = open(&[0xa0, 0x80], rest.strip_prefix(SIGNED_DATA).unwrap());
    let rest = open(&[0x30, 0x80], rest);
    let rest = rest.strip_prefix(&[2, 1, 1]).unwrap();
    let (algorithms, rest) = SetOfVec::<AlgorithmIdentifierOwned>::from_der_partial(rest).unwrap();
    let rest = rest.strip_prefix(&[0x30, 0x80]).unwrap();
    let rest = rest.strip_prefix(DATA).unwrap();
    let rest = rest.strip_prefix(&[0xa0, 0x80, 0x24, 0x80]).unwrap();
    let (document, rest) = OctetString::from_der_partial(rest).unwrap();
    let rest = rest.strip_prefix(&[0; 6]).unwrap();
    let signers = SetOfVec::<SignerInfo>::from_der(rest).unwrap();
    let signer = signers.get(0).unwrap();
    assert_eq!(algorithms.get(0), Some(&signer.digest_alg));
    (document.as_bytes().to_vec(), signer.clone())
}

#[tokio::test]
async fn rule_59_the_instance_started_once_whatever_faults_apply() {
    let fault = "[[faults]]\nname = 'any'\nfault = { type = 'v1_disabled' }";
    let bench = Bench::configured(fault).await;
    bench
        .imds
        .change(|config| config.instance.pending_time = None)
        .unwrap();
    let document = bench.value(&format!("{FOLDER}/document")).await;
    assert!(document.contains("\"pendingTime\" : \"2026-01-02T03:04:05Z\""));
    bench.pass(60);
    assert_eq!(bench.value(&format!("{FOLDER}/document")).await, document);
}

#[tokio::test]
async fn rule_59_the_document_agrees_with_the_tree() {
    let bench = Bench::new().await;
    assert_eq!(
        bench.value(&format!("{FOLDER}/document")).await,
        r#"{
  "accountId" : "123456789012",
  "architecture" : "x86_64",
  "availabilityZone" : "us-east-1a",
  "billingProducts" : null,
  "devpayProductCodes" : null,
  "marketplaceProductCodes" : null,
  "imageId" : "ami-0123456789abcdef0",
  "instanceId" : "i-0a1b2c3d4e5f67890",
  "instanceType" : "t3.micro",
  "kernelId" : null,
  "pendingTime" : "2026-01-02T02:59:05Z",
  "privateIp" : "172.31.16.10",
  "ramdiskId" : null,
  "region" : "us-east-1",
  "version" : "2017-09-30"
}"#
    );
    assert_eq!(
        bench.value("meta-data/placement/availability-zone").await,
        "us-east-1a"
    );
    assert_eq!(bench.value("meta-data/local-ipv4").await, "172.31.16.10");
}

#[tokio::test]
async fn rule_60_the_signature_is_of_the_documents_bytes() {
    let bench = seeded("identity").await;
    let document = bench.value(&format!("{FOLDER}/document")).await;
    let signature = unwrapped(&bench.value(&format!("{FOLDER}/signature")).await);
    let (key, _) = Key::of(&bench, Certificate::Rsa);
    assert!(key.verifies(document.as_bytes(), &signature));
    let other = document.replace("t3.micro", "t3.large");
    assert!(!key.verifies(other.as_bytes(), &signature));
    let (other, _) = Key::of(&seeded("other").await, Certificate::Rsa);
    assert!(!other.verifies(document.as_bytes(), &signature));
}

#[tokio::test]
async fn rule_60_pkcs7_and_rsa2048_carry_the_document_and_verify() {
    let bench = seeded("identity").await;
    bench
        .imds
        .change(|config| config.instance.signatures.dsa2048 = true)
        .unwrap();
    let document = bench.value(&format!("{FOLDER}/document")).await;
    for (name, certificate, algorithm) in [
        ("rsa2048", Certificate::Rsa2048, "1.2.840.113549.1.1.1"),
        ("pkcs7", Certificate::Dsa, "1.2.840.10040.4.3"),
        ("dsa2048", Certificate::Dsa2048, "1.2.840.10040.4.1"),
    ] {
        let text = bench.value(&format!("{FOLDER}/{name}")).await;
        assert!(text.starts_with("MIAGCSqGSIb3DQEHAqCAMIACAQEx"), "{name}");
        let (carried, signer) = parsed(&unwrapped(&text));
        assert_eq!(carried, document.as_bytes(), "{name}");
        let (key, x509) = Key::of(&bench, certificate);
        let SignerIdentifier::IssuerAndSerialNumber(id) = &signer.sid else {
            panic!("{name}: by issuer and number");
        };
        assert_eq!(&id.issuer, x509.tbs_certificate().issuer());
        assert_eq!(&id.serial_number, x509.tbs_certificate().serial_number());
        assert_eq!(signer.signature_algorithm.oid.to_string(), algorithm);
        let attributes = signer.signed_attrs.as_ref().unwrap();
        let last_parts = attributes.iter().map(|it| it.oid.arcs().last().unwrap());
        let last_parts: BTreeSet<u32> = last_parts.collect();
        assert_eq!(last_parts, BTreeSet::from([3, 4, 5, 52]), "{name}");
        let value = |oid| {
            let attribute = attributes.iter().find(|attribute| attribute.oid == oid);
            attribute.unwrap().values.get(0).unwrap()
        };
        let digest = value(ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4"));
        let digest: OctetString = digest.decode_as().unwrap();
        assert_eq!(digest.as_bytes(), key.digest(document.as_bytes()));
        let protected = value(ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.52"));
        let mut signature = signer.signature_algorithm.to_der().unwrap();
        signature[0] = 0xa1;
        let expected = [signer.digest_alg.to_der().unwrap(), signature].concat();
        assert_eq!(protected.value(), expected, "{name}");
        let message = attributes.to_der().unwrap();
        assert!(
            key.verifies(&message, signer.signature.as_bytes()),
            "{name}"
        );
    }
}

#[tokio::test]
async fn rule_60_the_signature_can_be_as_short_as_on_an_instance() {
    let bench = seeded("identity").await;
    let path = format!("{FOLDER}/signature");
    assert_eq!(unwrapped(&bench.value(&path).await).len(), 256);
    bench
        .imds
        .change(|config| config.instance.signatures.rsa_bits = 1024)
        .unwrap();
    let text = bench.value(&path).await;
    assert_eq!(text.len(), 174, "three lines");
    let document = bench.value(&format!("{FOLDER}/document")).await;
    let (key, _) = Key::of(&bench, Certificate::Rsa);
    assert!(key.verifies(document.as_bytes(), &unwrapped(&text)));
    let (carried, signer) = parsed(&unwrapped(&bench.value(&format!("{FOLDER}/rsa2048")).await));
    assert_eq!(carried, document.as_bytes());
    assert_eq!(signer.signature.as_bytes().len(), 256);
}

#[tokio::test]
async fn rule_60_certificates_are_self_signed_and_follow_from_the_seed() {
    let bench = seeded("identity").await;
    for (certificate, name) in [
        (Certificate::Rsa, "RSA-2048"),
        (Certificate::Rsa2048, "RSA-2048"),
        (Certificate::Dsa, "DSA-1024"),
        (Certificate::Dsa2048, "DSA-2048"),
    ] {
        let (key, x509) = Key::of(&bench, certificate);
        let message = x509.tbs_certificate().to_der().unwrap();
        let signature = x509.signature().as_bytes().unwrap();
        assert!(key.verifies(&message, signature));
        let tbs = x509.tbs_certificate();
        for of in [tbs.subject(), tbs.issuer()] {
            assert_eq!(of.to_string(), format!("CN=IMDS emulator ({name})"));
        }
        let pem = |bench: &Bench| bench.imds.certificate(certificate).unwrap();
        assert_eq!(pem(&seeded("identity").await), pem(&bench));
        assert_ne!(pem(&seeded("other").await), pem(&bench));
    }
}

/// The commands of AWS's guide, where there is an `openssl`.
#[tokio::test]
async fn rule_60_openssl_verifies_all_signatures() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("there is no openssl here");
        return;
    }
    let bench = seeded("identity").await;
    bench
        .imds
        .change(|config| {
            config.instance.signatures.dsa2048 = true;
            config.instance.signatures.rsa_bits = 1024;
        })
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.into_os_string().into_string().unwrap()
    };
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        output.stdout
    };
    let document = bench.value(&format!("{FOLDER}/document")).await;
    let pem = |certificate| {
        let pem = bench.imds.certificate(certificate).unwrap();
        file("certificate.pem", pem.as_bytes())
    };
    for (name, certificate) in [
        ("pkcs7", Certificate::Dsa),
        ("rsa2048", Certificate::Rsa2048),
        ("dsa2048", Certificate::Dsa2048),
    ] {
        let text = bench.value(&format!("{FOLDER}/{name}")).await;
        let text = format!("-----BEGIN PKCS7-----\n{text}\n-----END PKCS7-----\n");
        let message = file(name, text.as_bytes());
        let certificate = pem(certificate);
        for command in ["smime", "cms"] {
            let verified = openssl(&[
                command,
                "-verify",
                "-in",
                &message,
                "-inform",
                "PEM",
                "-certfile",
                &certificate,
                "-noverify",
                "-binary",
            ]);
            assert_eq!(verified, document.as_bytes(), "{command} {name}");
        }
    }
    let signature = unwrapped(&bench.value(&format!("{FOLDER}/signature")).await);
    let key = openssl(&["x509", "-pubkey", "-noout", "-in", &pem(Certificate::Rsa)]);
    let (key, signature, document) = (
        file("key.pem", &key),
        file("signature", &signature),
        file("document", document.as_bytes()),
    );
    let verified = openssl(&[
        "dgst",
        "-sha256",
        "-verify",
        &key,
        "-signature",
        &signature,
        &document,
    ]);
    assert_eq!(verified, b"Verified OK\n");
}
