//! Log messages, spans and metrics.
//!
//! Log messages and spans go to [`tracing`], metrics to the [`metrics`] facade. Without a subscriber
//! and a recorder they cost next to nothing. Their names and fields are part of the library's
//! interface:
//!
//! | metric | kind | labels | meaning |
//! | --- | --- | --- | --- |
//! | `ec2_role_refreshes_total` | counter | `outcome` = `refreshed`, `extended`, `failed` | refreshes of the credentials |
//! | `ec2_role_refresh_seconds` | histogram | `outcome` | how long a refresh took |
//! | `ec2_role_requests_total` | counter | `method`, `status` = a number, or `none` without a response | requests to IMDS |
//! | `ec2_role_request_seconds` | histogram | `method` | how long a request took |
//! | `ec2_role_denied_requests_total` | counter | `refusal` = `scheme`, `authority`, `method`, `path` | requests that the sandbox denied |
//! | `ec2_role_component_restarts_total` | counter | | restarts of the component after a trap or a call that exceeded its time limit |
//! | `ec2_role_credentials_expiry_timestamp_seconds` | gauge | | when the held credentials expire |
//!
//! | span or message | level | fields |
//! | --- | --- | --- |
//! | span `refresh` | info | |
//! | `credentials refreshed` | info | `access_key_id`, `expires` |
//! | `refresh failed, credentials extended` | warn | `access_key_id`, `expires`, `extensions`, `error` |
//! | `refreshes are failing` | warn | `error` |
//! | `refreshes recovered` | info | `since` |
//! | `component failed, the next call restarts it` | error | `error` |
//! | `IMDS has no valid credentials yet` | debug | `error` |
//! | `request denied by the sandbox` | warn | `refusal` |
//! | `cannot store the last known good credentials` | warn | `folder`, `error` |
//! | `request` | debug | `method`, `path`, `status` or `error`, `elapsed` |
//!
//! None of them contains a secret: no secret access key, no session token, no body. Texts from IMDS are
//! shown as [`printable`](crate::printable) describes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Response, Uri};

use crate::credentials::Credentials;
use crate::egress::Refusal;
use crate::error::{Error, WithSources};
use crate::printable::Expected;
use crate::status::Event;
use crate::transport::TransportError;

/// The outcome of a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Refreshed,
    Extended,
    Failed,
}

pub(crate) fn refresh(outcome: Outcome, elapsed: Duration) {
    let outcome = match outcome {
        Outcome::Refreshed => "refreshed",
        Outcome::Extended => "extended",
        Outcome::Failed => "failed",
    };
    metrics::counter!("ec2_role_refreshes_total", "outcome" => outcome).increment(1);
    metrics::histogram!("ec2_role_refresh_seconds", "outcome" => outcome).record(elapsed);
}

pub(crate) fn expiry(credentials: &Credentials) {
    if let Some(expires) = credentials.expires() {
        #[expect(clippy::cast_precision_loss, reason = "seconds fit for a long time")]
        metrics::gauge!("ec2_role_credentials_expiry_timestamp_seconds")
            .set(expires.timestamp() as f64);
    }
}

pub(crate) fn event(event: &Event) {
    match event {
        Event::Refreshed {
            access_key_id,
            expires,
        } => tracing::info!(access_key_id, ?expires, "credentials refreshed"),
        Event::Extended {
            access_key_id,
            expires,
            extensions,
            cause,
        } => {
            let error = cause.as_ref().map(|cause| format!("{cause:#}"));
            tracing::warn!(
                access_key_id,
                ?expires,
                extensions,
                error,
                "refresh failed, credentials extended"
            );
        }
        Event::FailingSince { error, .. } => {
            tracing::warn!(error = format!("{error:#}"), "refreshes are failing");
        }
        Event::Recovered { since } => tracing::info!(%since, "refreshes recovered"),
        Event::Restarted { error } => {
            metrics::counter!("ec2_role_component_restarts_total").increment(1);
            tracing::error!(
                error = format!("{error:#}"),
                "component failed, the next call restarts it"
            );
        }
    }
}

/// IMDS was tried again in the background, without success. Without an error, it returned credentials
/// that had expired.
pub(crate) fn retry_failed(error: Option<&Error>) {
    let error = error.map(|error| format!("{error:#}"));
    tracing::debug!(error, "IMDS has no valid credentials yet");
}

pub(crate) fn denied(refusal: Refusal) {
    let label = match refusal {
        Refusal::Scheme => "scheme",
        Refusal::Authority => "authority",
        Refusal::Method => "method",
        Refusal::Path => "path",
    };
    metrics::counter!("ec2_role_denied_requests_total", "refusal" => label).increment(1);
    tracing::warn!(refusal = label, "request denied by the sandbox");
}

/// A path as it is logged. The name of the role in it comes from IMDS.
fn shown_path(path: &str) -> String {
    match path.split_once("/security-credentials/") {
        Some((before, role)) if !role.is_empty() => {
            let role = Expected::RoleName.show(role);
            format!("{before}/security-credentials/{role}")
        }
        _ => path.to_owned(),
    }
}

/// A request in progress.
pub(crate) struct Exchange {
    method: Method,
    path: String,
    start: Instant,
}

impl Exchange {
    pub(crate) fn begin(method: &Method, uri: &Uri) -> Self {
        Self {
            method: method.clone(),
            path: shown_path(uri.path()),
            start: Instant::now(),
        }
    }

    pub(crate) fn end(self, outcome: &Result<Response<Bytes>, TransportError>) {
        let Self {
            method,
            path,
            start,
        } = self;
        let elapsed = start.elapsed();
        let status = match outcome {
            Ok(response) => response.status().as_u16().to_string(),
            Err(_) => "none".to_owned(),
        };
        match outcome {
            Ok(_) => tracing::debug!(%method, path, status, ?elapsed, "request"),
            Err(error) => {
                let error = WithSources(error);
                tracing::debug!(%method, path, %error, ?elapsed, "request");
            }
        }
        // Only two methods leave the sandbox, and there are a few hundred statuses, so there are few
        // combinations of labels.
        let method = method.to_string();
        metrics::counter!("ec2_role_requests_total", "method" => method.clone(), "status" => status)
            .increment(1);
        metrics::histogram!("ec2_role_request_seconds", "method" => method).record(elapsed);
    }
}
