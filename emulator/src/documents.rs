//! JSON documents in the layout of IMDS `[I36]` `[I44]` `[I47]` `[I53]` `[I59]`.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::credentials::{Generation, RoleKeys};
use crate::instance::{Iam, Instance};

/// A way to damage a field of a document.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Broken {
    /// The field is missing.
    #[default]
    Missing,
    /// Its value is an empty string.
    Empty,
    /// Its value is `null`.
    Null,
    /// Its value is a number.
    WrongType,
    /// Its value is a string that is not a date.
    BadDate,
}

/// The credentials of a role `[I47]` `[I52]`, or the error in place of them `[I48]`. `broken` lists
/// the fields to damage.
pub(crate) fn role(
    iam: &Iam,
    role: &str,
    account_id: Option<&str>,
    generation: Generation,
    keys: &RoleKeys,
    broken: &[(String, Broken)],
) -> String {
    if iam.code == "Success" {
        let mut fields = valid(account_id, generation, keys);
        for (name, how) in broken {
            spoil(&mut fields, name, *how);
        }
        return object(&fields);
    }
    let message = iam.message.clone().unwrap_or_else(|| {
        format!(
            "EC2 cannot assume the role {role}.  {}",
            see_documentation()
        )
    });
    object(&[
        ("Code", text(&iam.code)),
        ("Message", text(message)),
        ("LastUpdated", text(seconds(generation.issued))),
    ])
}

/// Valid credentials `[I47]` `[I53]`.
pub(crate) fn credentials(
    account_id: Option<&str>,
    generation: Generation,
    keys: &RoleKeys,
) -> String {
    object(&valid(account_id, generation, keys))
}

fn valid(
    account_id: Option<&str>,
    generation: Generation,
    keys: &RoleKeys,
) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("Code", text("Success")),
        ("LastUpdated", text(seconds(generation.issued))),
        ("Type", text("AWS-HMAC")),
        ("AccessKeyId", text(&keys.access_key_id)),
        ("SecretAccessKey", text(&keys.secret_access_key)),
        ("Token", text(&keys.session_token)),
        ("Expiration", text(seconds(generation.expires))),
    ];
    if let Some(account_id) = account_id {
        fields.push(("AccountId", text(account_id)));
    }
    fields
}

/// Damages one field.
fn spoil(fields: &mut Vec<(&str, String)>, name: &str, how: Broken) {
    let value = match how {
        Broken::Missing => {
            fields.retain(|(other, _)| *other != name);
            return;
        }
        Broken::Empty => "\"\"",
        Broken::Null => "null",
        Broken::WrongType => "42",
        Broken::BadDate => "\"the day after tomorrow\"",
    };
    for (_, old) in fields.iter_mut().filter(|(other, _)| *other == name) {
        value.clone_into(old);
    }
}

/// The instance profile `[I44]` `[I45]`.
pub(crate) fn profile_info(
    instance: &Instance,
    iam: &Iam,
    role: Option<&str>,
    updated: DateTime<Utc>,
) -> String {
    let mut fields = vec![("Code", text(&iam.info_code))];
    if iam.info_code != "Success" {
        let id = &iam.instance_profile_id;
        let message = format!(
            "Instance Profile with Id {id} cannot be found.  {}",
            see_documentation()
        );
        fields.push(("Message", text(message)));
        fields.push(("LastUpdated", text(seconds(updated))));
        return object(&fields);
    }
    if role.is_none() {
        let message = format!(
            "Instance Profile does not contain a role.  {}",
            see_documentation()
        );
        fields.push(("Message", text(message)));
    }
    fields.push(("LastUpdated", text(seconds(updated))));
    fields.push((
        "InstanceProfileArn",
        text(format!(
            "arn:{}:iam::{}:instance-profile/{}",
            instance.placement.partition(),
            instance.account_id,
            iam.profile()
        )),
    ));
    fields.push(("InstanceProfileId", text(&iam.instance_profile_id)));
    object(&fields)
}

/// How messages end `[I45]` `[I48]`.
fn see_documentation() -> &'static str {
    "Please see documentation at https://docs.aws.amazon.com/IAM/latest/UserGuide/\
     troubleshoot_iam-ec2.html#troubleshoot_iam-ec2_errors-info-doc."
}

/// The document about the credentials of the instance itself `[I53]`.
pub(crate) fn instance_role_info(account_id: &str, updated: DateTime<Utc>) -> String {
    object(&[
        ("Code", text("Success")),
        ("LastUpdated", text(seconds(updated))),
        ("AccountId", text(account_id)),
    ])
}

/// The identity document `[I59]`.
pub(crate) fn identity(instance: &Instance, launched: DateTime<Utc>) -> String {
    let list = |values: &[String]| match values {
        [] => "null".to_owned(),
        values => {
            let values: Vec<String> = values.iter().map(text).collect();
            format!("[ {} ]", values.join(", "))
        }
    };
    let or_null = |value: Option<&str>| value.map_or_else(|| "null".to_owned(), text);
    let private_ip = instance
        .primary()
        .and_then(|interface| interface.private_ipv4s.first())
        .map(ToString::to_string);
    object(&[
        ("accountId", text(&instance.account_id)),
        ("architecture", text(instance.architecture)),
        (
            "availabilityZone",
            text(&instance.placement.availability_zone),
        ),
        ("billingProducts", list(&instance.billing_products)),
        ("devpayProductCodes", "null".to_owned()),
        ("marketplaceProductCodes", list(&instance.product_codes)),
        ("imageId", text(&instance.image_id)),
        ("instanceId", text(&instance.instance_id)),
        ("instanceType", text(&instance.instance_type)),
        ("kernelId", or_null(instance.kernel_id.as_deref())),
        ("pendingTime", text(seconds(launched))),
        ("privateIp", or_null(private_ip.as_deref())),
        ("ramdiskId", or_null(instance.ramdisk_id.as_deref())),
        ("region", text(instance.placement.region())),
        ("version", text("2017-09-30")),
    ])
}

/// All tags, without white space and in the order of a Java hash map `[I36]`.
pub(crate) fn tag_set(tags: &BTreeMap<String, String>) -> String {
    // The table has a power of two of buckets and grows when three quarters of them are used.
    let most = |buckets: &usize| tags.len() * 4 <= buckets * 3;
    let powers = (4..usize::BITS).map(|power| 1_usize << power);
    let buckets = powers.into_iter().find(most).unwrap_or(usize::MAX);
    let bucket = |key: &str| {
        let hash = key.encode_utf16().fold(0_u32, |hash, unit| {
            hash.wrapping_mul(31).wrapping_add(unit.into())
        });
        usize::try_from(hash ^ (hash >> 16)).unwrap_or_default() & (buckets - 1)
    };
    let mut fields: Vec<_> = tags.iter().collect();
    fields.sort_by_key(|(key, _)| bucket(key));
    let fields = fields
        .iter()
        .map(|(key, value)| format!("{}:{}", text(key), text(value)));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

/// The moment in the format of documents: RFC 3339 in UTC, to the second.
pub(crate) fn seconds(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A JSON string.
pub(crate) fn text(text: impl ToString) -> String {
    serde_json::Value::from(text.to_string()).to_string()
}

/// A document whose fields have changed: the fields of `before` in their order, then new ones.
pub(crate) fn changed(
    before: &[u8],
    fields: &serde_json::Map<String, serde_json::Value>,
) -> String {
    let before = String::from_utf8_lossy(before);
    let place = |name: &str| before.find(&text(name)).unwrap_or(usize::MAX);
    let mut written: Vec<(&str, String)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_string()))
        .collect();
    written.sort_by_key(|(name, _)| place(name));
    object(&written)
}

/// A JSON object: indented by two spaces, with ` : ` between name and value.
fn object(fields: &[(&str, String)]) -> String {
    let lines: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("  \"{name}\" : {value}"))
        .collect();
    format!("{{\n{}\n}}", lines.join(",\n"))
}

/// A JSON array of objects, with its brackets on the lines of their braces: `[]` if `objects` is empty.
pub(crate) fn list(objects: &[Vec<(&str, String)>]) -> String {
    if objects.is_empty() {
        return "[]".to_owned();
    }
    let objects: Vec<String> = objects.iter().map(|fields| object(fields)).collect();
    format!("[ {} ]", objects.join(", "))
}
