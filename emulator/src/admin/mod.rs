//! The admin API: the operations of [`Control`] over HTTP, on a listener of its own.
//!
//! Each resource is a module: its types, its routes with their descriptions, and the part of
//! `imds-emulator ctl` that calls them. `/__admin/openapi.json` describes the API; the description
//! is made from the same types and in the same place as the routes.

mod clock;
mod credentials;
#[cfg(feature = "cli")]
pub mod ctl;
mod faults;
mod input;
mod instance;
mod metrics;
mod openapi;
mod packets;
mod presets;
mod requests;
mod scenarios;
mod service;
mod timeline;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{HOST, ORIGIN};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::sync::watch;

use self::input::Problem;
use self::openapi::Api;
use crate::control::Control;
use crate::timeline::{Command, Outcome};

/// The state that handlers share.
#[derive(Clone, Debug)]
struct Admin {
    control: Control,
    stopped: watch::Receiver<bool>,
}

impl axum::extract::FromRef<Admin> for Control {
    fn from_ref(admin: &Admin) -> Self {
        admin.control.clone()
    }
}

/// The routes.
pub(crate) fn router(control: Control, stopped: watch::Receiver<bool>) -> Router {
    let admin = Admin { control, stopped };
    api()
        .router()
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "the admin API has no such path"))
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "the path does not support this method; Allow names the methods that it supports",
            )
        })
        .layer(axum::middleware::from_fn(only_local))
        .with_state(admin)
}

/// The description of the API.
pub(crate) fn description() -> Value {
    api().description()
}

fn api() -> Api<Admin> {
    Api::new()
        .with(faults::routes())
        .with(presets::routes())
        .with(instance::routes())
        .with(timeline::routes())
        .with(credentials::routes())
        .with(clock::routes())
        .with(requests::routes())
        .with(packets::routes())
        .with(scenarios::routes())
        .with(service::routes())
}

/// Rejects requests of web pages in a browser on this machine: such requests have an `Origin` or,
/// after DNS rebinding, the page's host name as `Host`.
async fn only_local(request: Request, next: Next) -> Response {
    let host = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok());
    let is_local = host.is_none_or(|host| {
        let name = host.rsplit_once(':').map_or(host, |(name, port)| {
            if port.bytes().all(|byte| byte.is_ascii_digit()) {
                name
            } else {
                host
            }
        });
        let address = name.trim_start_matches('[').trim_end_matches(']');
        name == "localhost" || address.parse::<std::net::IpAddr>().is_ok()
    });
    if !is_local || request.headers().contains_key(ORIGIN) {
        return Problem::new(
            StatusCode::FORBIDDEN,
            "only requests to an IP address or to localhost are accepted, and none from web pages",
        )
        .into_response();
    }
    next.run(request).await
}

/// Applies a command. `absent` describes what the command did not find.
fn apply(
    control: &Control,
    command: Command,
    absent: impl FnOnce() -> String,
) -> Result<StatusCode, Problem> {
    match control.apply(command)? {
        Outcome::Done => Ok(StatusCode::NO_CONTENT),
        Outcome::Absent => Err(Problem::new(StatusCode::NOT_FOUND, absent())),
    }
}

/// For commands that always take effect.
fn never() -> String {
    "not found".into()
}

/// A name as a segment of a path.
fn segment(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}
