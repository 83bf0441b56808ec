//! The instance profile, and the instance's own credentials.

use chrono::Utc;
use futures_util::FutureExt as _;

use crate::scenario::Weight::{Must, Should};

use super::credentials::{date, good, has_date, has_texts, json, role, text};
use super::{Check, Judged, META_DATA, Server, expect, not_applicable};

const INFO: &str = "/latest/meta-data/iam/info";
const OF_INSTANCE: &str =
    "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance";

pub(super) fn checks() -> Vec<Check> {
    vec![
        Check::new(
            "credentials/info",
            Should,
            "iam/info describes the instance profile",
            &["I44"],
            |imds| info(imds).boxed(),
        ),
        Check::new(
            "credentials/profile-arn",
            Should,
            "The instance profile has an ARN in the account of the instance",
            &["I44", "I59"],
            |imds| profile_arn(imds).boxed(),
        ),
        Check::new(
            "instance-credentials/info",
            Should,
            "The info of the instance's own credentials states their account",
            &["I53"],
            |imds| own_info(imds).boxed(),
        ),
        Check::new(
            "instance-credentials/document",
            Should,
            "The instance has its own credentials, and they have not expired",
            &["I53"],
            |imds| own_document(imds).boxed(),
        ),
        Check::new(
            "instance-credentials/differ-from-role",
            Must,
            "The instance's own credentials differ from those of the role",
            &["I53"],
            |imds| not_the_roles(imds).boxed(),
        )
        .formerly(&["instance-credentials/not-the-roles"]),
    ]
}

async fn info(imds: &Server) -> Judged {
    role(imds).await?;
    let response = imds.get(INFO).await?;
    response.has_status(200)?;
    let Some(document) = json(&response) else {
        return expect(false, "a JSON object", response.told());
    };
    let names: &[&str] = match text(&document, "Code") {
        // As EC2 answers while the profile cannot be used.
        Some(code) if code != "Success" => &["Code", "Message", "LastUpdated"],
        _ => &[
            "Code",
            "LastUpdated",
            "InstanceProfileArn",
            "InstanceProfileId",
        ],
    };
    has_texts(&document, names)?;
    has_date(&document, "LastUpdated")
}

async fn profile_arn(imds: &Server) -> Judged {
    let document = json(&imds.if_there(INFO).await?).unwrap_or_default();
    let Some(arn) = text(&document, "InstanceProfileArn") else {
        return not_applicable("there is no InstanceProfileArn");
    };
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let account = match parts.as_slice() {
        ["arn", _, "iam", "", account, name] if name.starts_with("instance-profile/") => *account,
        _ => return expect(false, "arn:…:iam::…:instance-profile/…", arn),
    };
    let identity = imds
        .get("/latest/dynamic/instance-identity/document")
        .await?;
    let identity = json(&identity).unwrap_or_default();
    let expected = text(&identity, "accountId").unwrap_or(account);
    expect(
        account == expected && account.len() == 12,
        format!("an ARN in the account {expected}"),
        arn,
    )
}

async fn own_info(imds: &Server) -> Judged {
    let path = format!("{META_DATA}/identity-credentials/ec2/info");
    let response = imds.get(&path).await?;
    response.has_status(200)?;
    let Some(document) = json(&response) else {
        return expect(false, "a JSON object", response.told());
    };
    has_texts(&document, &["Code", "LastUpdated", "AccountId"])
}

async fn own_document(imds: &Server) -> Judged {
    let response = imds.get(OF_INSTANCE).await?;
    response.has_status(200)?;
    let Some(document) = json(&response) else {
        return expect(false, "a JSON object", response.told());
    };
    let names = [
        "Code",
        "AccessKeyId",
        "SecretAccessKey",
        "Token",
        "Expiration",
    ];
    has_texts(&document, &names)?;
    has_date(&document, "Expiration")?;
    expect(
        date(&document, "Expiration").is_some_and(|ends| ends > Utc::now()),
        "an Expiration in the future",
        text(&document, "Expiration").unwrap_or_default(),
    )
}

async fn not_the_roles(imds: &Server) -> Judged {
    let own = json(&imds.if_there(OF_INSTANCE).await?).unwrap_or_default();
    let roles = good(imds).await?;
    let [own, roles] =
        [own, roles].map(|document| text(&document, "AccessKeyId").map(str::to_owned));
    expect(
        own != roles || own.is_none(),
        "different access keys",
        "the same access key",
    )
}
