//! The emulator's clock.

use axum::Json;
use axum::extract::State;
use axum::routing::{get, post};
use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Admin;
use super::input::{Input, Problem};
use super::openapi::{Api, Operation};
use crate::control::Control;
use crate::value::{Moment, Shift};

/// The state of the clock.
#[derive(Debug, Deserialize, JsonSchema, Serialize)]
struct ClockState {
    /// The present moment.
    #[schemars(with = "String")]
    now: DateTime<Utc>,
    /// Whether the clock runs, or is frozen.
    running: bool,
}

/// A change of the clock.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
struct ClockChange {
    /// Set the clock to this moment.
    #[serde(default)]
    now: Option<Moment>,
    /// Let the clock run, or freeze it.
    #[serde(default)]
    running: Option<bool>,
}

/// A move of the clock.
#[derive(Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    /// How far to move the clock: forward, such as `6h`, or back, such as `-5m`.
    by: Shift,
}

pub(super) fn routes() -> Api<Admin> {
    Api::new()
        .path(
            "/__admin/clock",
            get(show).patch(patch),
            [
                Operation::get("getClock", "Show the clock").gives::<ClockState>(200, "the clock"),
                Operation::patch("patchClock", "Set the clock, freeze it, or let it run")
                    .takes::<ClockChange>()
                    .gives::<ClockState>(200, "the clock")
                    .fails(&[409, 422]),
            ],
        )
        .path(
            "/__admin/clock/advance",
            post(advance),
            [
                Operation::post("advanceClock", "Move the clock forward or back")
                    .takes::<Advance>()
                    .gives::<ClockState>(200, "the clock")
                    .fails(&[409, 422]),
            ],
        )
}

async fn show(State(control): State<Control>) -> Json<ClockState> {
    Json(ClockState {
        now: control.clock().now(),
        running: control.clock().is_running(),
    })
}

async fn patch(
    State(control): State<Control>,
    Input(change): Input<ClockChange>,
) -> Result<Json<ClockState>, Problem> {
    let clock = control.clock();
    if let Some(now) = change.now {
        clock.set(now.after(clock.now()))?;
    }
    match change.running {
        Some(true) => clock.run()?,
        Some(false) => clock.freeze()?,
        None => {}
    }
    Ok(show(State(control)).await)
}

async fn advance(
    State(control): State<Control>,
    Input(Advance { by }): Input<Advance>,
) -> Result<Json<ClockState>, Problem> {
    control.clock().advance(TimeDelta::from(by))?;
    Ok(show(State(control)).await)
}

#[cfg(feature = "cli")]
pub(super) mod cli {
    //! `ctl clock`.

    use chrono::SecondsFormat;
    use clap::Subcommand;
    use hyper::Method;

    use super::{Advance, ClockChange, ClockState};
    use crate::admin::ctl::{Client, print};
    use crate::value::{Moment, Shift};

    #[derive(Debug, Subcommand)]
    pub(in crate::admin) enum Command {
        /// Show the time, and whether the clock runs
        Show,
        /// Move the clock forward, or back
        Advance {
            /// How far to move the clock: forward, such as 6h, or back, such as -5m
            #[arg(value_name = "DURATION", allow_hyphen_values = true)]
            by: Shift,
        },
        /// Set the clock
        Set {
            /// The new time, such as 2026-01-02T03:04:05Z, or +2m for two minutes from now
            #[arg(value_name = "TIME")]
            to: Moment,
        },
        /// Stop the clock
        Freeze,
        /// Let the clock run
        Run,
    }

    impl Command {
        pub(in crate::admin) async fn run(self, api: &Client) -> anyhow::Result<()> {
            let change = match self {
                Self::Show => return show(api.ask(Method::GET, "clock").await?),
                Self::Advance { by } => {
                    let advance = Advance { by };
                    return show(api.send(Method::POST, "clock/advance", &advance).await?);
                }
                Self::Set { to } => ClockChange {
                    now: Some(to),
                    ..ClockChange::default()
                },
                Self::Freeze => ClockChange {
                    running: Some(false),
                    ..ClockChange::default()
                },
                Self::Run => ClockChange {
                    running: Some(true),
                    ..ClockChange::default()
                },
            };
            show(api.send(Method::PATCH, "clock", &change).await?)
        }
    }

    fn show(clock: ClockState) -> anyhow::Result<()> {
        let now = clock.now.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        print(format_args!(
            "{now} {}",
            if clock.running { "running" } else { "frozen" }
        ))
    }
}
