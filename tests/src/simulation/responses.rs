//! A model of the responses of IMDS, as known from outside. Responses of the emulator that no fault affected are
//! compared with it. It shares no code with the emulator.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use http::Method;
use http::request::Parts;
use imds_emulator::config::{Config, HttpTokens};
use serde_json::Value;

use super::server::{ImdsResponse, TOKEN, TTL};

/// The state of IMDS, as known from outside: tokens, roles and documents.
#[derive(Debug)]
pub(super) struct Model {
    /// Their expirations.
    tokens: HashMap<String, DateTime<Utc>>,
    /// Tokens that were revoked.
    revoked: HashSet<String>,
    /// The possible roles: the last one is configured, and earlier ones stay until the next rotation.
    roles: Vec<String>,
    documents: HashMap<String, Seen>,
}

#[derive(Debug)]
struct Seen {
    access_key_id: String,
    expires: DateTime<Utc>,
}

/// The tolerance for the time that a response was in transit.
const ON_THE_WAY: TimeDelta = TimeDelta::seconds(1);

/// The number of revoked tokens that are remembered.
const REVOKED: usize = 64;

/// A kind of request.
#[derive(Debug, PartialEq)]
enum Asked<'a> {
    Roles,
    Document(&'a str),
    InstanceId,
    Other,
}

impl<'a> Asked<'a> {
    /// The kind of a path, and whether it is below `security-credentials-extended`.
    fn new(path: &'a str) -> (Self, bool) {
        let Some(rest) = path.strip_prefix("/latest/meta-data/") else {
            return (Self::Other, false);
        };
        if rest == "instance-id" {
            return (Self::InstanceId, false);
        }
        for (folder, extended) in [
            ("iam/security-credentials/", false),
            ("iam/security-credentials-extended/", true),
        ] {
            match rest.strip_prefix(folder) {
                Some("") => return (Self::Roles, extended),
                Some(role) => return (Self::Document(role), extended),
                None => {}
            }
        }
        (Self::Other, false)
    }
}

impl Model {
    pub(super) fn new(config: &Config) -> Self {
        let iam = config.instance.iam.as_ref();
        let role = iam.and_then(|iam| iam.role.clone());
        Self {
            tokens: HashMap::new(),
            revoked: HashSet::new(),
            roles: role.into_iter().collect(),
            documents: HashMap::new(),
        }
    }

    pub(super) fn note_role(&mut self, config: &Config) {
        let iam = config.instance.iam.as_ref();
        let Some(role) = iam.and_then(|iam| iam.role.clone()) else {
            return;
        };
        if self.roles.last() != Some(&role) {
            self.roles.push(role);
        }
    }

    /// All tokens were revoked.
    pub(super) fn revoke(&mut self) {
        if self.revoked.len() + self.tokens.len() > REVOKED {
            self.revoked.clear();
        }
        self.revoked
            .extend(self.tokens.drain().map(|(token, _)| token));
    }

    /// IMDS was replaced by another one with the same configuration.
    pub(super) fn begin_anew(&mut self) {
        self.revoke();
        self.documents.clear();
        self.roles.drain(..self.roles.len().saturating_sub(1));
    }

    /// Returns what is wrong with a response that no rule affected.
    pub(super) fn check(
        &mut self,
        request: &Parts,
        response: &ImdsResponse,
        config: &Config,
        now: DateTime<Utc>,
    ) -> Option<String> {
        let header = |name| request.headers.get(name)?.to_str().ok();
        let path = request.uri.path();
        let status = response.status;
        if request.method == Method::PUT {
            let asked: i64 = header(TTL)?.parse().ok()?;
            let granted = response.headers.get(TTL).and_then(|ttl| ttl.to_str().ok());
            if status != 200 || granted != Some(asked.to_string().as_str()) {
                return Some(format!(
                    "a request for a token with a TTL of {asked} s: {status}, TTL {granted:?}"
                ));
            }
            self.tokens.retain(|_, ends| *ends > now - ON_THE_WAY);
            let token = String::from_utf8_lossy(&response.body).into_owned();
            if token.is_empty() || self.tokens.contains_key(&token) {
                return Some("a token is empty or was issued before".into());
            }
            self.tokens.insert(token, now + TimeDelta::seconds(asked));
            return None;
        }
        let required = config.metadata_options.http_tokens == HttpTokens::Required;
        let rejected = status == 401;
        match header(TOKEN) {
            None if required != rejected => {
                return Some(format!(
                    "a request without a token (required: {required}): {status}"
                ));
            }
            None => {}
            Some(token) => match self.tokens.get(token) {
                Some(ends) if *ends > now + ON_THE_WAY && rejected => {
                    return Some("a valid token is rejected".into());
                }
                Some(ends) if *ends <= now - ON_THE_WAY && !rejected => {
                    return Some(format!("a request with an expired token: {status}"));
                }
                None if self.revoked.contains(token) && !rejected => {
                    return Some(format!("a request with a revoked token: {status}"));
                }
                // A token that a rule issued is unknown here.
                _ => {}
            },
        }
        if rejected {
            return None;
        }
        let (asked, extended) = Asked::new(path);
        let iam = config.instance.iam.as_ref();
        let exists = !extended || iam.is_some_and(|iam| iam.extended_path);
        let text = std::str::from_utf8(&response.body).unwrap_or_default();
        let position = |role: &str| self.roles.iter().position(|one| one == role);
        let (fits, wanted) = match asked {
            Asked::Roles if exists && status == 200 => {
                let Some(at) = position(text) else {
                    return Some(format!("the role is {text}, not one of {:?}", self.roles));
                };
                // A rotation does not return to an earlier role.
                self.roles.drain(..at);
                return None;
            }
            Asked::Roles if exists => (false, "the role"),
            Asked::Document(role) if exists && status == 200 => {
                if position(role).is_none() {
                    return Some(format!("{path} exists, but is not one of {:?}", self.roles));
                }
                return self.document(path, response, now);
            }
            Asked::Document(role) if exists && self.roles == [role] => (false, "a document"),
            Asked::InstanceId => (status == 200 && text.starts_with("i-"), "the instance ID"),
            _ => (status == 404, "404"),
        };
        (!fits).then(|| format!("{path}: {status} instead of {wanted}"))
    }

    fn document(
        &mut self,
        path: &str,
        response: &ImdsResponse,
        now: DateTime<Utc>,
    ) -> Option<String> {
        let Some(document) = response.json().filter(|json| !json.is_followed) else {
            return Some(format!("{path} is not JSON"));
        };
        let text = |name: &str| document.value.get(name).and_then(Value::as_str);
        if text("Code") != Some("Success") {
            return Some(format!("{path} has the code {:?}", text("Code")));
        }
        let moment = |name| DateTime::parse_from_rfc3339(text(name)?).ok();
        let (Some(expires), Some(updated), Some(id), Some(_), Some(_)) = (
            moment("Expiration"),
            moment("LastUpdated"),
            text("AccessKeyId"),
            text("SecretAccessKey"),
            text("Token"),
        ) else {
            return Some(format!("{path} lacks a field"));
        };
        let expires = expires.to_utc();
        if updated.to_utc() > now + ON_THE_WAY || expires < now - ON_THE_WAY {
            return Some(format!(
                "{path} was updated {updated} and expires {expires}, and it is {now}"
            ));
        }
        let seen = Seen {
            access_key_id: id.to_owned(),
            expires,
        };
        let before = self.documents.insert(path.to_owned(), seen)?;
        let same = before.access_key_id == id;
        (same != (before.expires == expires) || before.expires > expires).then(|| {
            format!(
                "{path} changed its expiration from {} to {expires}; same key: {same}",
                before.expires
            )
        })
    }

    /// After another role, other credentials or a manual rotation, earlier documents do not matter.
    pub(super) fn forget_documents(&mut self) {
        self.documents.clear();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, Request};

    use super::*;

    const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
    const DOCUMENT: &str = "/latest/meta-data/iam/security-credentials/base";
    const BODY: &str = r#"{"Code":"Success","AccessKeyId":"id","SecretAccessKey":"secret","Token":"token",
        "LastUpdated":"2027-01-15T08:00:00Z","Expiration":"2027-01-15T14:00:00Z"}"#;

    fn config() -> Config {
        Config::from_toml("[instance.iam]\nrole = 'base'").unwrap()
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn request(method: Method, path: &str, token: Option<&str>) -> Parts {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header(TOKEN, token);
        }
        request.header(TTL, "60").body(()).unwrap().into_parts().0
    }

    fn response(status: u16, body: &str) -> ImdsResponse {
        let mut headers = HeaderMap::new();
        headers.insert(TTL, "60".parse().unwrap());
        ImdsResponse::new(status, headers, Bytes::copy_from_slice(body.as_bytes()))
    }

    /// A model that has seen the token `good`.
    fn model() -> Model {
        let mut model = Model::new(&config());
        let put = request(Method::PUT, "/latest/api/token", None);
        assert_eq!(
            model.check(&put, &response(200, "good"), &config(), now()),
            None
        );
        model
    }

    #[track_caller]
    fn check(
        model: &mut Model,
        path: &str,
        token: Option<&str>,
        status: u16,
        body: &str,
        fits: bool,
    ) {
        let request = request(Method::GET, path, token);
        let wrong = model.check(&request, &response(status, body), &config(), now());
        assert_eq!(wrong.is_none(), fits, "{path} {status} {body}: {wrong:?}");
    }

    #[test]
    fn what_imds_would_not_answer_is_found() {
        let good = Some("good");
        for (path, status, body, fits) in [
            (ROLES, 200, "base", true),
            (ROLES, 200, "other", false),
            (ROLES, 404, "", false),
            (ROLES, 500, "", false),
            (ROLES, 401, "", false),
            (DOCUMENT, 200, BODY, true),
            (DOCUMENT, 200, "no JSON", false),
            (DOCUMENT, 200, &BODY.replace("Success", "Failed"), false),
            (DOCUMENT, 200, &BODY.replace("Token", "Taken"), false),
            (DOCUMENT, 404, "", false),
            (
                "/latest/meta-data/iam/security-credentials/other",
                404,
                "",
                true,
            ),
            (
                "/latest/meta-data/iam/security-credentials/other",
                200,
                BODY,
                false,
            ),
            (
                "/latest/meta-data/iam/security-credentials-extended/",
                404,
                "",
                true,
            ),
            (
                "/latest/meta-data/iam/security-credentials-extended/",
                200,
                "base",
                false,
            ),
            ("/latest/meta-data/instance-id", 200, "i-1", true),
            ("/latest/meta-data/instance-id", 503, "", false),
            ("/latest/meta-data/nothing", 404, "", true),
            ("/latest/meta-data/nothing", 200, "", false),
        ] {
            check(&mut model(), path, good, status, body, fits);
        }
    }

    #[test]
    fn a_token_is_good_until_it_is_over_or_revoked_and_nobody_else_has_it() {
        let mut model = model();
        check(&mut model, ROLES, None, 200, "base", false);
        check(&mut model, ROLES, None, 401, "", true);
        let put = request(Method::PUT, "/latest/api/token", None);
        for (body, status) in [("good", 200), ("", 200), ("another", 500)] {
            let wrong = model.check(&put, &response(status, body), &config(), now());
            assert!(wrong.is_some(), "{status} {body}");
        }
        let later = now() + TimeDelta::seconds(62);
        let get = request(Method::GET, ROLES, Some("good"));
        for (status, fits) in [(200, false), (401, true)] {
            let wrong = model.check(&get, &response(status, "base"), &config(), later);
            assert_eq!(wrong.is_none(), fits, "{status}: {wrong:?}");
        }
        model.revoke();
        check(&mut model, ROLES, Some("good"), 200, "base", false);
        check(&mut model, ROLES, Some("good"), 401, "", true);
    }

    #[test]
    fn a_role_changes_once_and_credentials_with_their_key() {
        let mut model = model();
        let mut changed = config();
        changed.instance.iam.as_mut().unwrap().role = Some("other".into());
        model.note_role(&changed);
        for (role, fits) in [("base", true), ("other", true), ("base", false)] {
            check(&mut model, ROLES, Some("good"), 200, role, fits);
        }
        let document = "/latest/meta-data/iam/security-credentials/other";
        for (body, fits) in [
            (BODY.to_owned(), true),
            (BODY.to_owned(), true),
            (BODY.replace("14:00", "15:00"), false),
            (
                BODY.replace("14:00", "16:00").replace("\"id", "\"new"),
                true,
            ),
            (BODY.replace("\"id", "\"newer"), false),
        ] {
            check(&mut model, document, Some("good"), 200, &body, fits);
        }
    }
}
