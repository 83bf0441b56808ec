//! The timeline: what happens at which time, or after which requests.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};

use super::input::{Input, Name, Problem};
use super::openapi::{Api, Operation};
use super::{Admin, apply, never};
use crate::control::{Control, StepError};
use crate::timeline::{Command, StepStatus, TimelineStep};

pub(super) fn routes() -> Api<Admin> {
    Api::new()
        .path(
            "/__admin/timeline",
            get(show).put(put).delete(clear),
            [
                Operation::get("getTimeline", "List the steps and their states")
                    .gives::<Vec<StepStatus>>(200, "the steps"),
                Operation::put(
                    "putTimeline",
                    "Replace all steps with these; their times count from now",
                )
                .takes::<Vec<TimelineStep>>()
                .gives::<Vec<StepStatus>>(200, "the steps")
                .fails(&[422]),
                Operation::delete("clearTimeline", "Remove all steps").gives_nothing(),
            ],
        )
        .path(
            "/__admin/timeline/{name}",
            post(take),
            [Operation::post(
                "takeStep",
                "Run the actions of a step now, even if it is not due",
            )
            .gives_nothing()
            .fails(&[404, 409])],
        )
}

async fn show(State(control): State<Control>) -> Json<Vec<StepStatus>> {
    Json(control.timeline())
}

async fn put(
    State(control): State<Control>,
    Input(steps): Input<Vec<TimelineStep>>,
) -> Result<Json<Vec<StepStatus>>, Problem> {
    control.apply(Command::SetTimeline(steps))?;
    Ok(Json(control.timeline()))
}

async fn clear(State(control): State<Control>) -> Result<StatusCode, Problem> {
    apply(&control, Command::SetTimeline(Vec::new()), never)
}

async fn take(State(control): State<Control>, Name(name): Name) -> Result<StatusCode, Problem> {
    control.take_step(&name).map_err(|error| {
        let status = match error {
            StepError::Unknown(_) => StatusCode::NOT_FOUND,
            StepError::Failed(_) => StatusCode::CONFLICT,
        };
        Problem::new(status, error.to_string())
    })?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(feature = "cli")]
pub(super) mod cli {
    //! `ctl timeline`.

    use clap::Subcommand;
    use hyper::Method;

    use crate::admin::ctl::{Client, json, print};
    use crate::admin::segment;
    use crate::timeline::{StepStatus, TimelineStep};

    #[derive(Debug, Subcommand)]
    pub(in crate::admin) enum Command {
        /// List the steps and their states
        Show,
        /// Replace all steps; their times count from now
        Set {
            /// The new steps as a JSON list; `-` reads standard input
            #[arg(value_name = "JSON")]
            steps: String,
        },
        /// Run the actions of a step now, even if it is not due
        Take {
            /// The name of the step
            name: String,
        },
        /// Remove all steps
        Clear,
    }

    impl Command {
        pub(in crate::admin) async fn run(self, api: &Client) -> anyhow::Result<()> {
            let steps: Vec<StepStatus> = match self {
                Self::Show => api.ask(Method::GET, "timeline").await?,
                Self::Set { steps } => {
                    let steps: Vec<TimelineStep> = json(&steps)?;
                    api.send(Method::PUT, "timeline", &steps).await?
                }
                Self::Take { name } => {
                    let path = format!("timeline/{}", segment(&name));
                    return api.ask(Method::POST, &path).await;
                }
                Self::Clear => return api.ask(Method::DELETE, "timeline").await,
            };
            for status in steps {
                print(status)?;
            }
            Ok(())
        }
    }
}
