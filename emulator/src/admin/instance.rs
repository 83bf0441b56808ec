//! The instance, its metadata options and its events.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::input::{Input, Problem};
use super::openapi::{Api, Operation};
use super::{Admin, apply, never};
use crate::control::Control;
use crate::instance::{Events, Instance, MetadataOptions};
use crate::timeline::Command;

/// A JSON merge patch (RFC 7386): its values replace the present ones, and `null` removes a value.
#[derive(Debug, Deserialize, JsonSchema, Serialize)]
#[serde(transparent)]
pub(super) struct Patch(pub(super) Map<String, Value>);

pub(super) fn routes() -> Api<Admin> {
    Api::new()
        .path(
            "/__admin/instance",
            get(instance).patch(patch_instance),
            [
                Operation::get("getInstance", "Show the instance")
                    .gives::<Instance>(200, "the instance"),
                Operation::patch(
                    "patchInstance",
                    "Change the instance with a JSON merge patch",
                )
                .takes::<Patch>()
                .gives::<Instance>(200, "the instance")
                .fails(&[422]),
            ],
        )
        .path(
            "/__admin/metadata-options",
            get(metadata_options).patch(patch_metadata_options),
            [
                Operation::get("getMetadataOptions", "Show the metadata options")
                    .gives::<MetadataOptions>(200, "the metadata options"),
                Operation::patch(
                    "patchMetadataOptions",
                    "Change the metadata options with a JSON merge patch",
                )
                .takes::<Patch>()
                .gives::<MetadataOptions>(200, "the metadata options")
                .fails(&[422]),
            ],
        )
        .path(
            "/__admin/events",
            get(events).patch(patch_events).delete(clear_events),
            [
                Operation::get("getEvents", "Show the events").gives::<Events>(200, "the events"),
                Operation::patch("patchEvents", "Announce events with a JSON merge patch")
                    .takes::<Patch>()
                    .gives::<Events>(200, "the events")
                    .fails(&[422]),
                Operation::delete("clearEvents", "Withdraw all events").gives_nothing(),
            ],
        )
}

/// Changes a part of the configuration.
fn patch(control: &Control, part: &str, Patch(patch): Patch) -> Result<(), Problem> {
    let patch = Map::from_iter([(part.to_owned(), Value::Object(patch))]);
    match control.apply(Command::Change(patch)) {
        Ok(_) => Ok(()),
        // In a command, the patch of a part is below `change`; here it is the whole body.
        Err(invalid) => Err(invalid.below(&format!("change.{part}")).into()),
    }
}

async fn instance(State(control): State<Control>) -> Json<Instance> {
    Json(control.config().instance)
}

async fn patch_instance(
    State(control): State<Control>,
    Input(body): Input<Patch>,
) -> Result<Json<Instance>, Problem> {
    patch(&control, "instance", body)?;
    Ok(instance(State(control)).await)
}

async fn metadata_options(State(control): State<Control>) -> Json<MetadataOptions> {
    Json(control.config().metadata_options)
}

async fn patch_metadata_options(
    State(control): State<Control>,
    Input(body): Input<Patch>,
) -> Result<Json<MetadataOptions>, Problem> {
    patch(&control, "metadata-options", body)?;
    Ok(metadata_options(State(control)).await)
}

async fn events(State(control): State<Control>) -> Json<Events> {
    Json(control.config().events)
}

async fn patch_events(
    State(control): State<Control>,
    Input(body): Input<Patch>,
) -> Result<Json<Events>, Problem> {
    patch(&control, "events", body)?;
    Ok(events(State(control)).await)
}

async fn clear_events(State(control): State<Control>) -> Result<StatusCode, Problem> {
    apply(&control, Command::ClearEvents, never)
}

#[cfg(feature = "cli")]
pub(super) mod cli {
    //! `ctl instance`, `ctl options` and `ctl events`.

    use clap::Subcommand;
    use hyper::Method;
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::{Events, Instance, MetadataOptions, Patch};
    use crate::admin::ctl::{Client, assignments, json, print_json};

    #[derive(Debug, Subcommand)]
    pub(in crate::admin) enum Command {
        /// Show or change the instance
        ///
        /// Without KEY=VALUE, print the instance as JSON.
        Instance {
            /// A key below `instance` in the configuration, and its new value
            #[arg(value_name = "KEY=VALUE")]
            set: Vec<String>,
        },
        /// Show or change the metadata options
        ///
        /// Without KEY=VALUE, print the metadata options as JSON.
        Options {
            /// A metadata option and its new value, such as HttpTokens=optional
            #[arg(value_name = "KEY=VALUE")]
            set: Vec<String>,
        },
        /// Show, announce or withdraw events
        ///
        /// Without arguments, print the events as JSON.
        Events {
            /// A JSON merge patch, such as '{"rebalance-recommendation": {}}'; `-` reads standard input
            #[arg(value_name = "JSON")]
            patch: Option<String>,
            /// Withdraw all events
            #[arg(long, conflicts_with = "patch")]
            clear: bool,
        },
    }

    impl Command {
        pub(in crate::admin) async fn run(self, api: &Client) -> anyhow::Result<()> {
            match self {
                Self::Instance { set } => show::<Instance>(api, "instance", patch(&set)?).await,
                Self::Options { set } => {
                    show::<MetadataOptions>(api, "metadata-options", patch(&set)?).await
                }
                Self::Events { clear: true, .. } => api.ask(Method::DELETE, "events").await,
                Self::Events { patch, .. } => {
                    let patch = patch.as_deref().map(json).transpose()?;
                    show::<Events>(api, "events", patch).await
                }
            }
        }
    }

    fn patch(set: &[String]) -> anyhow::Result<Option<Patch>> {
        match set {
            [] => Ok(None),
            set => Ok(Some(Patch(assignments(set)?))),
        }
    }

    /// Prints a part of the configuration, after it has been changed.
    async fn show<T: DeserializeOwned + Serialize>(
        api: &Client,
        path: &str,
        patch: Option<Patch>,
    ) -> anyhow::Result<()> {
        let part: T = match patch {
            Some(patch) => api.send(Method::PATCH, path, &patch).await?,
            None => api.ask(Method::GET, path).await?,
        };
        print_json(&part)
    }
}
