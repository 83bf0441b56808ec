//! The states of scenarios.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Admin;
use super::input::{Input, Name, Problem};
use super::openapi::{Api, Operation};
use crate::control::Control;
use crate::timeline::{Command, ToState};

/// The state of a scenario.
#[derive(Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
struct ScenarioState {
    #[schemars(length(min = 1))]
    state: String,
}

pub(super) fn routes() -> Api<Admin> {
    Api::new().path(
        "/__admin/scenarios/{name}/state",
        get(show).put(put),
        [
            Operation::get("getScenario", "Show the state of a scenario")
                .gives::<ScenarioState>(200, "the state"),
            Operation::put("putScenario", "Set the state of a scenario")
                .takes::<ScenarioState>()
                .gives::<ScenarioState>(200, "the state")
                .fails(&[422]),
        ],
    )
}

async fn show(State(control): State<Control>, Name(name): Name) -> Json<ScenarioState> {
    let state = control.scenario(&name);
    Json(ScenarioState { state })
}

async fn put(
    State(control): State<Control>,
    Name(name): Name,
    Input(ScenarioState { state }): Input<ScenarioState>,
) -> Result<Json<ScenarioState>, Problem> {
    if state.is_empty() {
        let empty = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "the state is empty");
        return Err(empty.at("state"));
    }
    control.apply(Command::Scenario(ToState::new(name, state.clone())))?;
    Ok(Json(ScenarioState { state }))
}

#[cfg(feature = "cli")]
pub(super) mod cli {
    //! `ctl scenario`.

    use clap::Args;
    use hyper::Method;

    use super::ScenarioState;
    use crate::admin::ctl::{Client, print};
    use crate::admin::segment;

    #[derive(Args, Debug)]
    pub(in crate::admin) struct Scenario {
        /// The name of the scenario
        name: String,
        /// The new state; without it, print the present state
        state: Option<String>,
    }

    impl Scenario {
        pub(in crate::admin) async fn run(self, api: &Client) -> anyhow::Result<()> {
            let path = format!("scenarios/{}/state", segment(&self.name));
            let ScenarioState { state } = match self.state {
                Some(state) => {
                    let state = ScenarioState { state };
                    api.send(Method::PUT, &path, &state).await?
                }
                None => api.ask(Method::GET, &path).await?,
            };
            print(state)
        }
    }
}
