//! The emulator as a service: reset, health, metrics, and the description of the API.

use std::borrow::Cow;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::input::Problem;
use super::instance::Patch;
use super::openapi::{Api, Operation};
use super::{Admin, apply, metrics, never};
use crate::control::Control;
use crate::timeline::Command;

/// The emulator's health.
#[derive(Debug, Deserialize, JsonSchema, Serialize)]
struct Health {
    status: Cow<'static, str>,
}

pub(super) fn routes() -> Api<Admin> {
    Api::new()
        .path(
            "/__admin/reset",
            post(reset),
            [Operation::post(
                "reset",
                "Restore the configuration that the emulator started with; clear the journal and \
                 the states of scenarios",
            )
            .gives_nothing()],
        )
        .path(
            "/__admin/health",
            get(health),
            [Operation::get("health", "Check that the emulator is alive")
                .gives::<Health>(200, "the emulator is alive")],
        )
        .path(
            "/__admin/ready",
            get(health),
            [Operation::get("ready", "Check that the emulator answers")
                .gives::<Health>(200, "the emulator answers")],
        )
        .path(
            "/__admin/metrics",
            get(metrics),
            [
                Operation::get("metrics", "Show counters in the text format of Prometheus")
                    .gives_text("text/plain"),
            ],
        )
        .path(
            "/__admin/openapi.json",
            get(openapi_json),
            [Operation::get("openapi", "Show this description")
                .gives::<Patch>(200, "the description")],
        )
}

async fn reset(State(control): State<Control>) -> Result<StatusCode, Problem> {
    apply(&control, Command::Reset, never)
}

async fn health() -> Json<Health> {
    Json(Health {
        status: "ok".into(),
    })
}

async fn metrics(State(control): State<Control>) -> impl IntoResponse {
    let format = "text/plain; version=0.0.4; charset=utf-8";
    ([(CONTENT_TYPE, format)], metrics::text(&control))
}

async fn openapi_json() -> Json<Value> {
    Json(super::description())
}

#[cfg(feature = "cli")]
pub(super) mod cli {
    //! `ctl reset`, `ctl metrics` and `ctl health`.

    use clap::Subcommand;
    use hyper::Method;

    use super::Health;
    use crate::admin::ctl::{Client, print};

    #[derive(Debug, Subcommand)]
    pub(in crate::admin) enum Command {
        /// Restore the configuration that the emulator started with, and clear the journal
        ///
        /// The clock, tokens and credentials stay.
        Reset,
        /// Print counters in the text format of Prometheus
        Metrics,
        /// Check that the emulator is alive
        Health,
    }

    impl Command {
        pub(in crate::admin) async fn run(self, api: &Client) -> anyhow::Result<()> {
            match self {
                Self::Reset => api.ask(Method::POST, "reset").await,
                Self::Metrics => print(api.text("metrics").await?.trim_end()),
                Self::Health => {
                    let Health { status } = api.ask(Method::GET, "health").await?;
                    print(status)
                }
            }
        }
    }
}
