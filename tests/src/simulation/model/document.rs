//! What the responses of IMDS mean: the document of a role, or a kind of error.

use std::time::Duration;

use chrono::DateTime;
use ec2_role_host::ErrorKind;
use serde_json::Value;

use crate::simulation::client::{Call, Exchange};
use crate::simulation::server::{Broken, ImdsResponse};

/// The document of a role.
#[derive(Debug, PartialEq)]
pub(super) struct Document {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
    pub(super) token: String,
    pub(super) expires: f64,
}

/// The kinds of error that the last exchange permits.
pub(super) fn kinds(call: &Call, now: Duration) -> Vec<ErrorKind> {
    let Some(exchange) = call.exchanges.last() else {
        return Vec::new();
    };
    let response = match &exchange.exchanged.outcome {
        Ok(response) => response,
        Err(Broken::Refused | Broken::Reset) => return vec![ErrorKind::Unavailable],
        Err(Broken::Late) => return vec![ErrorKind::Timeout],
        // A host cannot distinguish these.
        Err(Broken::NotHttp) => return vec![ErrorKind::Unavailable, ErrorKind::InvalidResponse],
    };
    let kind = match response.status {
        // Whatever the status, the body is not read to its end.
        _ if response.body.len() > exchange.body_limit => ErrorKind::InvalidResponse,
        403 => ErrorKind::Forbidden,
        404 if !exchange.put => ErrorKind::NoRole,
        429 | 503 => ErrorKind::Throttled,
        500..600 => ErrorKind::Unavailable,
        200 => unusable(exchange, now),
        _ => ErrorKind::UnexpectedStatus,
    };
    vec![kind]
}

/// Why a response with status 200 contains no credentials.
fn unusable(exchange: &Exchange, now: Duration) -> ErrorKind {
    let Some((path, response)) = exchange.found() else {
        return ErrorKind::InvalidResponse;
    };
    if path.ends_with('/') {
        return match response.body.trim_ascii().is_empty() {
            true => ErrorKind::NoRole,
            false => ErrorKind::InvalidResponse,
        };
    }
    match read(response) {
        Read::Refused => ErrorKind::Refused,
        Read::Credentials(document) if capped(&document, now) <= now.as_secs_f64() => {
            ErrorKind::Expired
        }
        _ => ErrorKind::InvalidResponse,
    }
}

/// The document in the last response, if it contains credentials.
pub(super) fn document(call: &Call) -> Option<Document> {
    let (path, response) = call.exchanges.last()?.found()?;
    let (_, role) = path.rsplit_once('/')?;
    if !path.contains("/security-credentials") || role.is_empty() {
        return None;
    }
    match read(response) {
        Read::Credentials(document) => Some(document),
        Read::Refused | Read::Nothing => None,
    }
}

enum Read {
    Credentials(Document),
    Refused,
    Nothing,
}

fn read(response: &ImdsResponse) -> Read {
    // Anything after the document and the case of names are ignored.
    let Some(Value::Object(document)) = response.json().map(|json| &json.value) else {
        return Read::Nothing;
    };
    let text = |name: &str| {
        let mut fields = document
            .iter()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name));
        let text = fields.next_back()?.1.as_str()?;
        (!text.is_empty()).then_some(text)
    };
    match text("Code") {
        None => return Read::Nothing,
        Some(code) if !code.eq_ignore_ascii_case("Success") => return Read::Refused,
        Some(_) => {}
    }
    let key = |name| text(name).filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic()));
    let owned = str::to_owned;
    let credentials = || {
        let expires = DateTime::parse_from_rfc3339(text("Expiration")?).ok()?;
        Some(Document {
            access_key_id: key("AccessKeyId").map(owned)?,
            secret_access_key: text("SecretAccessKey").map(owned)?,
            token: key("Token").map(owned)?,
            expires: expires.timestamp() as f64,
        })
    };
    credentials().map_or(Read::Nothing, Read::Credentials)
}

/// When credentials expire: with their document, but at most one hour from now.
pub(super) fn capped(document: &Document, now: Duration) -> f64 {
    document.expires.min(later(now, 60))
}

/// A number of minutes from now, in whole seconds.
pub(super) fn later(now: Duration, minutes: u64) -> f64 {
    (now.as_secs() + 60 * minutes) as f64
}
