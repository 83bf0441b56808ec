//! Presets: faults by name.

use std::borrow::Cow;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::faults::{Applied, all};
use super::input::{Name, Problem};
use super::openapi::{Api, Operation};
use super::{Admin, apply};
use crate::control::Control;
use crate::fault::Rule;
use crate::preset::{Preset, UnknownPreset};
use crate::timeline::Command;

/// A preset.
#[derive(Debug, Deserialize, JsonSchema, Serialize)]
struct PresetInfo {
    name: Preset,
    description: Cow<'static, str>,
    /// The preset's rules, if it has any.
    rules: Vec<Rule>,
}

pub(super) fn routes() -> Api<Admin> {
    Api::new()
        .path(
            "/__admin/presets",
            get(list),
            [Operation::get("listPresets", "List the presets")
                .gives::<Vec<PresetInfo>>(200, "the presets")],
        )
        .path(
            "/__admin/presets/{name}",
            post(add).delete(remove),
            [
                Operation::post(
                    "applyPreset",
                    "Apply a preset: add its rules, or announce its event",
                )
                .gives::<Vec<Applied>>(200, "all rules")
                .fails(&[404, 409]),
                Operation::delete("removePreset", "Remove the rules or the event of a preset")
                    .gives_nothing()
                    .fails(&[404]),
            ],
        )
}

async fn list() -> Json<Vec<PresetInfo>> {
    let infos = Preset::ALL.iter().map(|preset| PresetInfo {
        name: *preset,
        description: preset.description().into(),
        rules: preset.rules(),
    });
    Json(infos.collect())
}

fn preset(name: &str) -> Result<Preset, Problem> {
    name.parse()
        .map_err(|error: UnknownPreset| Problem::new(StatusCode::NOT_FOUND, error.to_string()))
}

async fn add(
    State(control): State<Control>,
    Name(name): Name,
) -> Result<Json<Vec<Applied>>, Problem> {
    control
        .apply(Command::Preset(preset(&name)?))
        .map_err(|invalid| Problem::new(StatusCode::CONFLICT, invalid.to_string()))?;
    Ok(Json(all(&control)))
}

async fn remove(State(control): State<Control>, Name(name): Name) -> Result<StatusCode, Problem> {
    apply(&control, Command::RemovePreset(preset(&name)?), || {
        format!("the preset {name:?} is not applied")
    })
}

#[cfg(feature = "cli")]
pub(super) mod cli {
    //! `ctl preset`.

    use clap::Subcommand;
    use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
    use hyper::Method;

    use super::{Applied, PresetInfo};
    use crate::admin::ctl::{Client, print};
    use crate::preset::Preset;

    #[derive(Debug, Subcommand)]
    pub(in crate::admin) enum Command {
        /// List the presets and what they do
        List,
        /// Apply a preset: add its rules, or announce its event
        Apply {
            /// The name of the preset
            #[arg(value_parser = presets())]
            name: Preset,
        },
        /// Remove the rules or the event of a preset
        Remove {
            /// The name of the preset
            #[arg(value_parser = presets())]
            name: Preset,
        },
    }

    fn presets() -> impl TypedValueParser<Value = Preset> {
        let names = Preset::ALL
            .iter()
            .map(|preset| PossibleValue::new(preset.name()));
        PossibleValuesParser::new(names).try_map(|name| name.parse::<Preset>())
    }

    impl Command {
        pub(in crate::admin) async fn run(self, api: &Client) -> anyhow::Result<()> {
            match self {
                Self::List => {
                    let presets: Vec<PresetInfo> = api.ask(Method::GET, "presets").await?;
                    for preset in presets {
                        let name = preset.name.name();
                        print(format_args!("{name:<20} {}", preset.description))?;
                    }
                }
                Self::Apply { name } => {
                    let _: Vec<Applied> = api.ask(Method::POST, &path(name)).await?;
                }
                Self::Remove { name } => api.ask(Method::DELETE, &path(name)).await?,
            }
            Ok(())
        }
    }

    fn path(preset: Preset) -> String {
        format!("presets/{}", preset.name())
    }
}
