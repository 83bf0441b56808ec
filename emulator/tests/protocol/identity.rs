//! `[I59]` `[I60]`: the identity document and its signatures, which are verified here with other
//! code than that which made them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerIdentifier};
use der::asn1::{ObjectIdentifier, OctetString};
use der::{Decode as _, DecodePem as _, Encode as _};
use imds_emulator::imds::Certificate;
use rsa::signature::Verifier as _;
use sha2::{Digest as _, Sha256};
use x509_cert::spki::DecodePublicKey as _;

use crate::bench::Bench;

const FOLDER: &str = "dynamic/instance-identity";

async fn seeded(seed: &str) -> Bench {
    Bench::with(|config| config.server.seed = Some(seed.into())).await
}

/// A key that verifies.
enum Key {
    Rsa(rsa::pkcs1v15::VerifyingKey<Sha256>),
    Dsa(dsa::VerifyingKey),
}

impl Key {
    fn of(bench: &Bench, certificate: Certificate) -> (Self, x509_cert::Certificate) {
        let pem = bench.imds.certificate(certificate).unwrap();
        let x509 = x509_cert::Certificate::from_pem(&pem).unwrap();
        let key = x509.tbs_certificate().subject_public_key_info();
        let der = key.to_der().unwrap();
        let key = match certificate {
            Certificate::Rsa => {
                let key = rsa::PublicKey::from_public_key_der(&der).unwrap();
                Self::Rsa(rsa::pkcs1v15::VerifyingKey::new(key))
            }
            Certificate::Dsa => Self::Dsa(dsa::VerifyingKey::from_public_key_der(&der).unwrap()),
        };
        (key, x509)
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa(key) => {
                let signature = rsa::pkcs1v15::Signature::try_from(signature).unwrap();
                key.verify(message, &signature).is_ok()
            }
            Self::Dsa(key) => {
                let signature = dsa::Signature::try_from(signature).unwrap();
                key.verify(message, &signature).is_ok()
            }
        }
    }
}

fn unwrapped(text: &str) -> Vec<u8> {
    let lines: Vec<&str> = text.split('\n').collect();
    let (last, others) = lines.split_last().unwrap();
    assert!(others.iter().all(|line| line.len() == 64), "{text}");
    assert!((1..=64).contains(&last.len()), "{text}");
    STANDARD.decode(lines.concat()).unwrap()
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
    let document = bench.value(&format!("{FOLDER}/document")).await;
    for (name, certificate) in [
        ("rsa2048", Certificate::Rsa),
        ("pkcs7", Certificate::Dsa),
        ("dsa2048", Certificate::Dsa),
    ] {
        let message = unwrapped(&bench.value(&format!("{FOLDER}/{name}")).await);
        let content = ContentInfo::from_der(&message).unwrap();
        let signed: SignedData = content.content.decode_as().unwrap();
        let carried: OctetString = signed
            .encap_content_info
            .econtent
            .unwrap()
            .decode_as()
            .unwrap();
        assert_eq!(carried.as_bytes(), document.as_bytes(), "{name}");
        let signer = signed.signer_infos.0.get(0).unwrap();
        let (key, x509) = Key::of(&bench, certificate);
        let SignerIdentifier::IssuerAndSerialNumber(id) = &signer.sid else {
            panic!("{name}: by issuer and number");
        };
        assert_eq!(&id.issuer, x509.tbs_certificate().issuer());
        assert_eq!(&id.serial_number, x509.tbs_certificate().serial_number());
        let attributes = signer.signed_attrs.as_ref().unwrap();
        let digest = attributes
            .iter()
            .find(|attribute| attribute.oid == ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4"))
            .and_then(|attribute| attribute.values.get(0))
            .unwrap();
        let digest: OctetString = digest.decode_as().unwrap();
        assert_eq!(
            digest.as_bytes(),
            Sha256::digest(document.as_bytes()).as_slice()
        );
        let message = attributes.to_der().unwrap();
        assert!(
            key.verifies(&message, signer.signature.as_bytes()),
            "{name}"
        );
    }
}

#[tokio::test]
async fn rule_60_certificates_are_self_signed_and_follow_from_the_seed() {
    let bench = seeded("identity").await;
    for certificate in [Certificate::Rsa, Certificate::Dsa] {
        let (key, x509) = Key::of(&bench, certificate);
        let message = x509.tbs_certificate().to_der().unwrap();
        let signature = x509.signature().as_bytes().unwrap();
        assert!(key.verifies(&message, signature));
        let name = format!("CN=IMDS emulator ({certificate:?})").to_uppercase();
        let tbs = x509.tbs_certificate();
        for of in [tbs.subject(), tbs.issuer()] {
            assert_eq!(of.to_string().to_uppercase(), name);
        }
        let pem = |bench: &Bench| bench.imds.certificate(certificate).unwrap();
        assert_eq!(pem(&seeded("identity").await), pem(&bench));
        assert_ne!(pem(&seeded("other").await), pem(&bench));
    }
}
