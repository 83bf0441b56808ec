//! The role's document: JSON with `Code`, the keys, and when they end (4.3).

use alloc::format;
use alloc::string::String;

use chrono::DateTime;

use crate::error::{Error, Failure, Reason, Step};
use crate::imds::client::Found;
use crate::json::{self, Value};
use crate::secret::Secret;
use crate::time::UnixTime;

/// A document with credentials, complete.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: Secret,
    pub(super) token: Secret,
    pub(super) account_id: Option<String>,
    pub(super) expires: UnixTime,
}

/// Reads the document.
pub(super) fn parse(found: &Found) -> Result<Document, Error> {
    let failure = |reason, message: String| found.failure(reason, Step::RoleCredentials, message);
    let invalid = |message: String| Error::from(failure(Reason::InvalidResponse, message));
    let required = |name: &str, value| match value {
        Value::Text(text) if !text.is_empty() => Ok(text),
        Value::Text(_) | Value::Absent => Err(invalid(format!(
            "{name} is missing in the credentials document"
        ))),
        Value::Other => Err(invalid(format!(
            "{name} in the credentials document is not a string"
        ))),
    };

    let [
        code,
        message,
        access_key_id,
        secret_access_key,
        token,
        expiration,
        account_id,
    ] = json::fields(
        &found.body,
        [
            "Code",
            "Message",
            "AccessKeyId",
            "SecretAccessKey",
            "Token",
            "Expiration",
            "AccountId",
        ],
    )
    .map_err(|_| invalid("the credentials document is not a JSON object".into()))?;

    let code = required("Code", code)?;
    if !code.eq_ignore_ascii_case("Success") {
        let message = match &message {
            Value::Text(message) => message,
            Value::Absent | Value::Other => "no reason given",
        };
        return Err(Error::Failed(Failure {
            code: Some(code),
            ..failure(
                Reason::Refused,
                format!("IMDS has no credentials for the role: {message}"),
            )
        }));
    }
    let access_key_id = required("AccessKeyId", access_key_id)?;
    let secret_access_key = required("SecretAccessKey", secret_access_key)?;
    let token = required("Token", token)?;
    let expiration = required("Expiration", expiration)?;
    let expires = DateTime::parse_from_rfc3339(&expiration).map_err(|_| {
        invalid("Expiration in the credentials document is not an RFC 3339 time".into())
    })?;
    Ok(Document {
        access_key_id,
        secret_access_key: Secret::new(secret_access_key),
        token: Secret::new(token),
        account_id: match account_id {
            Value::Text(id) if !id.is_empty() => Some(id),
            Value::Text(_) | Value::Absent | Value::Other => None,
        },
        // What is before 1970 is as much in the past as 1970 itself.
        expires: UnixTime::from_seconds(u64::try_from(expires.timestamp()).unwrap_or(0)),
    })
}
