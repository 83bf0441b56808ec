//! The credentials document of a role: JSON with `Code`, the keys and their expiration `[B4.3]`.

use alloc::string::String;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::{Error, Reason, Step};
use crate::json::{self, Value};
use crate::metadata::Found;
use crate::secret::Secret;
use crate::time::UnixTime;

/// A complete credentials document.
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
    let names = [
        "Code",
        "Message",
        "AccountId",
        "AccessKeyId",
        "SecretAccessKey",
        "Token",
        "Expiration",
    ];
    let mut fields = json::fields(&found.body, &names).map_err(|_| {
        invalid(
            found,
            "the credentials document is not a JSON object".into(),
        )
    })?;
    let mut next = |required: bool| match fields.next() {
        Some((Value::Text(text), _)) if !text.is_empty() || !required => Ok(text),
        Some((Value::List(_) | Value::Other, name)) if required => Err(invalid(
            found,
            [name, " in the credentials document is not a string"].concat(),
        )),
        Some((_, name)) if required => Err(invalid(
            found,
            [name, " is missing from the credentials document"].concat(),
        )),
        _ => Ok(String::new()),
    };

    let code = next(true)?;
    let message = next(false)?;
    if !code.eq_ignore_ascii_case("Success") {
        let what = "IMDS has no credentials for the role";
        return Err(found.refused(Step::RoleCredentials, what, code, &message));
    }
    let account_id = next(false)?;
    // Requests to AWS carry the key ID and the token in headers.
    let for_header = |text: String, name: &str| match text.bytes().all(|b| b.is_ascii_graphic()) {
        true => Ok(text),
        false => Err(invalid(
            found,
            [
                name,
                " in the credentials document contains characters that no header may have",
            ]
            .concat(),
        )),
    };
    let access_key_id = for_header(next(true)?, "AccessKeyId")?;
    let secret_access_key = Secret::new(next(true)?);
    let token = Secret::new(for_header(next(true)?, "Token")?);
    let expires = OffsetDateTime::parse(&next(true)?, &Rfc3339).map_err(|_| {
        let what = "Expiration in the credentials document is not an RFC 3339 time";
        invalid(found, what.into())
    })?;
    Ok(Document {
        access_key_id,
        secret_access_key,
        token,
        account_id: Some(account_id).filter(|id| !id.is_empty()),
        // An expiration before 1970 is as much in the past as 1970.
        expires: UnixTime::from_seconds(u64::try_from(expires.unix_timestamp()).unwrap_or(0)),
    })
}

#[cold]
fn invalid(found: &Found, message: String) -> Error {
    found
        .failure(Reason::InvalidResponse, Step::RoleCredentials, message)
        .into()
}
