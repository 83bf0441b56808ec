//! The identity document and its signatures.

use chrono::Utc;
use futures_util::FutureExt as _;
use imds_emulator::config::Zone;
use serde_json::{Map, Value};

use crate::scenario::Weight::{May, Must, Should};

use super::credentials::{date, has_texts, json, text};
use super::wire::Response;
use super::{Check, Judged, META_DATA, NotPassed, Server, expect, not_applicable};

const FOLDER: &str = "/latest/dynamic/instance-identity";
const DOCUMENT: &str = "/latest/dynamic/instance-identity/document";

pub(super) fn checks() -> Vec<Check> {
    vec![
        Check::new(
            "identity/document",
            Must,
            "The identity document is JSON",
            &["I59"],
            |imds| document(imds).boxed(),
        ),
        Check::new(
            "identity/fields",
            Must,
            "The identity document names the instance, its type, account, zone and region",
            &["I59"],
            |imds| fields(imds).boxed(),
        ),
        Check::new(
            "identity/nulls",
            May,
            "The identity document has all fields in order, with null where there is no value",
            &["I59"],
            |imds| nulls(imds).boxed(),
        ),
        Check::new(
            "identity/account",
            Should,
            "accountId is a string of twelve digits",
            &["I59"],
            |imds| account(imds).boxed(),
        ),
        Check::new(
            "identity/pending-time",
            Should,
            "pendingTime is a date in the past, with Z",
            &["I59"],
            |imds| pending_time(imds).boxed(),
        ),
        Check::new(
            "identity/region",
            Must,
            "The region is that of the availability zone",
            &["I40", "I59", "I67"],
            |imds| region(imds).boxed(),
        ),
        Check::new(
            "identity/matches-metadata",
            Should,
            "The identity document matches the metadata",
            &["I40", "I59"],
            |imds| agrees(imds).boxed(),
        )
        .formerly(&["identity/agrees"]),
        Check::new(
            "identity/stable",
            Must,
            "The identity document has the same bytes every time",
            &["I60"],
            |imds| same(imds).boxed(),
        )
        .formerly(&["identity/same"]),
        Check::new(
            "identity/signature",
            Should,
            "The signature is base64 of 128 or 256 bytes, as RSA produces",
            &["I60"],
            |imds| signature(imds).boxed(),
        ),
        Check::new(
            "identity/pkcs7",
            Should,
            "pkcs7 and rsa2048 are base64 in lines of 76 characters, without PEM markers",
            &["I60"],
            |imds| pkcs7(imds).boxed(),
        ),
        Check::new(
            "identity/pkcs7-ber",
            May,
            "pkcs7 and rsa2048 are in BER, with indefinite lengths, as parsers meet them on EC2",
            &["I60"],
            |imds| ber(imds).boxed(),
        ),
    ]
}

async fn document(imds: &Server) -> Judged {
    let response = imds.get(DOCUMENT).await?;
    response.has_status(200)?;
    expect(json(&response).is_some(), "a JSON object", response.told())
}

async fn read(imds: &Server) -> Result<(Response, Map<String, Value>), NotPassed> {
    let response = imds.if_there(DOCUMENT).await?;
    match json(&response) {
        Some(document) => Ok((response, document)),
        None => not_applicable("the identity document is not JSON"),
    }
}

/// A field. The check identity/fields verifies that it is there.
fn field<'a>(document: &'a Map<String, Value>, name: &str) -> Result<&'a str, NotPassed> {
    text(document, name).ok_or_else(|| NotPassed::NotApplicable(format!("there is no {name}")))
}

async fn fields(imds: &Server) -> Judged {
    let (_, document) = read(imds).await?;
    let names = [
        "accountId",
        "architecture",
        "availabilityZone",
        "imageId",
        "instanceId",
        "instanceType",
        "pendingTime",
        "region",
        "version",
    ];
    has_texts(&document, &names)
}

const ALL: [&str; 15] = [
    "accountId",
    "architecture",
    "availabilityZone",
    "billingProducts",
    "devpayProductCodes",
    "marketplaceProductCodes",
    "imageId",
    "instanceId",
    "instanceType",
    "kernelId",
    "pendingTime",
    "privateIp",
    "ramdiskId",
    "region",
    "version",
];

async fn nulls(imds: &Server) -> Judged {
    let (response, _) = read(imds).await?;
    let body = response.text();
    let mut places = Vec::new();
    for name in ALL {
        let Some(place) = body.find(&format!("\"{name}\"")) else {
            return expect(false, format!("a field {name}"), "none");
        };
        places.push(place);
    }
    expect(places.is_sorted(), ALL.join(", "), "a different order")
}

async fn account(imds: &Server) -> Judged {
    let (_, document) = read(imds).await?;
    let account = document.get("accountId").cloned().unwrap_or_default();
    let digits = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    expect(
        account.as_str().is_some_and(digits),
        "a string of twelve digits",
        account.to_string(),
    )
}

async fn pending_time(imds: &Server) -> Judged {
    let (_, document) = read(imds).await?;
    let seen = field(&document, "pendingTime")?;
    expect(
        date(&document, "pendingTime").is_some_and(|launched| launched <= Utc::now()),
        "a date in the past like 2026-01-02T03:04:05Z",
        seen,
    )
}

async fn region(imds: &Server) -> Judged {
    let (_, document) = read(imds).await?;
    let region = field(&document, "region")?;
    let zone = field(&document, "availabilityZone")?;
    expect(
        is_zone_of(zone, region),
        format!("a zone of {region}"),
        zone,
    )
}

/// `us-east-1a` of `us-east-1`, and so are `us-east-1-bos-1a`, a Local Zone, and
/// `us-east-1-wl1-bos-wlz-1`, a Wavelength Zone.
pub(super) fn is_zone_of(zone: &str, region: &str) -> bool {
    Zone::parse(zone).is_some_and(|zone| zone.region() == region)
}

async fn agrees(imds: &Server) -> Judged {
    let (_, document) = read(imds).await?;
    for (name, path) in [
        ("instanceId", "instance-id"),
        ("instanceType", "instance-type"),
        ("imageId", "ami-id"),
        ("availabilityZone", "placement/availability-zone"),
        ("region", "placement/region"),
        ("privateIp", "local-ipv4"),
    ] {
        let response = imds.get(&format!("{META_DATA}/{path}")).await?;
        if let (200, Some(value)) = (response.status, text(&document, name)) {
            expect(
                response.text().trim() == value,
                format!("{path}, as {name} in the document: {value}"),
                response.told(),
            )?;
        }
    }
    Ok(())
}

async fn same(imds: &Server) -> Judged {
    let (first, _) = read(imds).await?;
    for _ in 0..3 {
        let next = imds.get(DOCUMENT).await?;
        expect(
            next.body == first.body,
            "the same bytes",
            "different bytes, which no signature can match",
        )?;
    }
    Ok(())
}

/// The length of the lines of base64.
const LINE: usize = 76;

/// The number of bytes that `text` decodes to, if it is base64 in lines of at most [`LINE`]
/// characters.
fn wrapped(text: &str) -> Option<usize> {
    let lines: Vec<&str> = text.trim_end().split('\n').collect();
    let (last, others) = lines.split_last()?;
    let fits = others.iter().all(|line| line.len() == LINE) && (1..=LINE).contains(&last.len());
    let whole = lines.concat();
    let letters = whole.trim_end_matches('=');
    let base64 = letters
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/');
    let padded = whole.len().is_multiple_of(4) && whole.len() - letters.len() <= 2;
    (fits && base64 && padded).then_some(letters.len() * 3 / 4)
}

async fn signature(imds: &Server) -> Judged {
    let response = imds.get(&format!("{FOLDER}/signature")).await?;
    response.has_status(200)?;
    // RSA with 1024 bits, as AWS uses in most regions, or with 2048.
    expect(
        matches!(wrapped(&response.text()), Some(128 | 256)),
        "base64 of 128 or 256 bytes",
        response.told(),
    )
}

async fn pkcs7(imds: &Server) -> Judged {
    for name in ["pkcs7", "rsa2048"] {
        let response = imds.get(&format!("{FOLDER}/{name}")).await?;
        response.has_status(200)?;
        let text = response.text();
        // An ASN.1 SEQUENCE whose length takes two bytes.
        let sequence = text.starts_with("MI");
        expect(
            sequence && wrapped(&text).is_some_and(|bytes| bytes > 256),
            format!("base64 of PKCS #7, in lines of {LINE}"),
            response.told(),
        )?;
    }
    Ok(())
}

async fn ber(imds: &Server) -> Judged {
    for name in ["pkcs7", "rsa2048"] {
        let response = imds.if_there(&format!("{FOLDER}/{name}")).await?;
        // A SEQUENCE of indefinite length with the identifier of signed data, and so on.
        expect(
            response.text().starts_with("MIAGCSqGSIb3DQEHAqCAMIACAQEx"),
            format!("{name} with indefinite lengths: MIAGCSqGSIb3DQEHAqCAMIACAQEx…"),
            response.told(),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_of_their_region() {
        for (zone, region) in [
            ("us-east-1a", "us-east-1"),
            ("us-west-2-lax-1a", "us-west-2"),
            ("us-east-1-wl1-bos-wlz-1", "us-east-1"),
            ("us-gov-west-1b", "us-gov-west-1"),
        ] {
            assert!(is_zone_of(zone, region), "{zone}");
        }
        for (zone, region) in [
            ("us-east-1", "us-east-1"),
            ("us-east-1a", "us-east-2"),
            ("us-east-11a", "us-east-1"),
            ("", ""),
        ] {
            assert!(!is_zone_of(zone, region), "{zone}");
        }
    }

    #[test]
    fn base64_is_known_by_its_lines() {
        let line = "A".repeat(76);
        assert_eq!(wrapped(&format!("{line}\n{line}\nAAA=")), Some(116));
        assert_eq!(wrapped("AA=="), Some(1));
        for odd in [
            "",
            "AAA",
            "A-A=",
            "A===",
            "-----BEGIN PKCS7-----",
            &"A".repeat(80),
        ] {
            assert_eq!(wrapped(odd), None, "{odd}");
        }
    }
}
