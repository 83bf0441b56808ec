//! The endpoint, in the form of the agents of ECS and EKS. Anyone with the token can read the
//! credentials.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use chrono::{DateTime, TimeDelta, Utc};
use ec2_role_host::{Credentials, Ec2RoleProvider, Error};
use serde_json::json;
use subtle::ConstantTimeEq as _;

use crate::format;

/// The path of the credentials.
pub(super) const PATH: &str = "/credentials";

/// How long a request waits for a refresh while there are credentials to answer with. The most
/// impatient clients give up after 0.5 s.
const PATIENCE: Duration = Duration::from_millis(250);

/// While refreshes fail, credentials are reported to expire this far from now at least. Longer, and
/// SDKs would use credentials that AWS rejects long after new ones can be had.
const REPORTED_LIFE: TimeDelta = TimeDelta::minutes(2);

pub(super) struct Served {
    pub(super) provider: Ec2RoleProvider,
    pub(super) token: String,
}

pub(super) fn router(served: Served) -> Router {
    Router::new()
        .route(PATH, get(answer))
        .with_state(Arc::new(served))
}

async fn answer(State(served): State<Arc<Served>>, headers: HeaderMap) -> Response {
    let given = headers
        .get(header::AUTHORIZATION)
        .map_or(b"".as_slice(), |token| token.as_bytes());
    if !bool::from(given.ct_eq(served.token.as_bytes())) {
        return refusal(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "the authorization token is missing or wrong; accepted: the header `Authorization: TOKEN`, \
             with the value of AWS_CONTAINER_AUTHORIZATION_TOKEN and nothing in front of it",
        );
    }
    match served.credentials().await {
        Ok(credentials) => {
            let expires = expiration(&credentials, served.is_failing(), Utc::now());
            no_store(document(&credentials, expires).into_response())
        }
        Err(error) => {
            let code = serde_json::to_value(error.kind()).unwrap_or_default();
            let code = code.as_str().unwrap_or("error");
            refusal(StatusCode::SERVICE_UNAVAILABLE, code, &format!("{error:#}"))
        }
    }
}

impl Served {
    /// The credentials. A request waits for IMDS only if there is nothing to answer with; a refresh
    /// continues without it.
    async fn credentials(&self) -> Result<Arc<Credentials>, Error> {
        let credentials = self.provider.credentials();
        tokio::pin!(credentials);
        match tokio::time::timeout(PATIENCE, &mut credentials).await {
            Ok(answer) => answer,
            Err(_) => match self.usable() {
                Some(held) => Ok(held),
                None => credentials.await,
            },
        }
    }

    /// The held credentials, unless they have expired and a refresh may well get others.
    fn usable(&self) -> Option<Arc<Credentials>> {
        let is_valid = |held: &Credentials| held.expires().is_none_or(|end| Utc::now() < end);
        self.provider
            .held()
            .filter(|held| is_valid(held) || self.is_failing())
    }

    fn is_failing(&self) -> bool {
        self.provider.status().failing_since.is_some()
    }
}

/// The document that SDKs expect, in the form that the agents of ECS and EKS use.
fn document(
    credentials: &Credentials,
    expires: Option<DateTime<Utc>>,
) -> axum::Json<serde_json::Value> {
    let mut document = json!({
        "AccessKeyId": credentials.access_key_id(),
        "SecretAccessKey": credentials.secret_access_key(),
        // SDKs require a token and an expiration, and tolerate null for them.
        "Token": credentials.session_token(),
        "Expiration": expires.map(format::written),
    });
    // Parsers in C and C++ do not tolerate null for an account.
    if let (Some(account), Some(fields)) = (credentials.account_id(), document.as_object_mut()) {
        fields.insert("AccountId".to_owned(), account.into());
    }
    axum::Json(document)
}

/// The expiration to report. SDKs do not use expired credentials, so while refreshes fail, the reported
/// expiration is at least [`REPORTED_LIFE`] from now.
fn expiration(
    credentials: &Credentials,
    failing: bool,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let expires = credentials.expires()?;
    Some(match failing {
        true => expires.max(now + REPORTED_LIFE),
        false => expires,
    })
}

fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    let body = axum::Json(json!({ "code": code, "message": message }));
    no_store((status, body).into_response())
}

fn no_store(mut response: Response) -> Response {
    let value = header::HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, value);
    response
}
