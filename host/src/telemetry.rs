//! Events, spans and metrics.
//!
//! Events and spans go to [`tracing`], metrics to the [`metrics`] facade; without a subscriber and a
//! recorder they cost next to nothing. Their names are part of the library's interface:
//!
//! | metric | kind | labels | |
//! | --- | --- | --- | --- |
//! | `ec2_role_refreshes_total` | counter | `outcome` = `refreshed`, `extended`, `failed` | refreshes of the credentials |
//! | `ec2_role_refresh_seconds` | histogram | `outcome` | how long they took |
//! | `ec2_role_requests_total` | counter | `method`, `status` = a number, or `none` | requests to IMDS |
//! | `ec2_role_request_seconds` | histogram | `method` | how long they took |
//! | `ec2_role_denied_requests_total` | counter | `refusal` | requests that may not leave the sandbox |
//! | `ec2_role_component_restarts_total` | counter | | a component that trapped or did not come to an end |
//! | `ec2_role_credentials_expiry_timestamp_seconds` | gauge | | when the credentials in hand end |
//!
//! | span or event | level | fields |
//! | --- | --- | --- |
//! | span `refresh` | info | |
//! | `credentials were refreshed` | info | `access_key_id`, `expires` |
//! | `credentials are kept, for there are no others` | warn | `access_key_id`, `expires`, `extensions`, `error` |
//! | `refreshes have begun to fail` | warn | `error` |
//! | `refreshes succeed again` | info | `since` |
//! | `the component is started again` | error | `error` |
//! | `a request may not leave the sandbox` | warn | `refusal` |
//! | `request` | debug | `method`, `path`, `status` or `error`, `elapsed` |
//!
//! No secret is in any of them: no secret key, no token, no body.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Response, Uri};

use crate::credentials::Credentials;
use crate::egress::Refusal;
use crate::error::WithSources;
use crate::status::Event;
use crate::transport::TransportError;

/// What became of a refresh.
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
        } => tracing::info!(access_key_id, ?expires, "credentials were refreshed"),
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
                "credentials are kept, for there are no others"
            );
        }
        Event::FailingSince { error, .. } => {
            tracing::warn!(error = format!("{error:#}"), "refreshes have begun to fail");
        }
        Event::Recovered { since } => tracing::info!(%since, "refreshes succeed again"),
        Event::Restarted { error } => {
            metrics::counter!("ec2_role_component_restarts_total").increment(1);
            tracing::error!(
                error = format!("{error:#}"),
                "the component is started again"
            );
        }
    }
}

pub(crate) fn denied(refusal: Refusal) {
    let label = match refusal {
        Refusal::Scheme => "scheme",
        Refusal::Authority => "authority",
        Refusal::Method => "method",
        Refusal::Path => "path",
    };
    metrics::counter!("ec2_role_denied_requests_total", "refusal" => label).increment(1);
    tracing::warn!(refusal = label, "a request may not leave the sandbox");
}

/// A request that is under way.
pub(crate) struct Exchange {
    method: Method,
    path: String,
    start: Instant,
}

impl Exchange {
    pub(crate) fn begin(method: &Method, uri: &Uri) -> Self {
        Self {
            method: method.clone(),
            path: uri.path().to_owned(),
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
        // Two methods leave the sandbox, and there are some hundred statuses: labels are few.
        let method = method.to_string();
        metrics::counter!("ec2_role_requests_total", "method" => method.clone(), "status" => status)
            .increment(1);
        metrics::histogram!("ec2_role_request_seconds", "method" => method).record(elapsed);
    }
}
