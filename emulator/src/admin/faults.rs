//! The rules of faults.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input::{Input, Name, Problem};
use super::openapi::{Api, Operation};
use super::{Admin, apply, never, segment};
use crate::control::Control;
use crate::fault::Rule;
use crate::timeline::Command;
use crate::value::Invalid;

/// A rule, and to how many requests it has applied.
#[derive(Debug, Deserialize, JsonSchema, Serialize)]
pub(super) struct Applied {
    rule: Rule,
    /// The number of requests that the rule has applied to.
    applied: u64,
    /// Why the rule is not in effect in a network of the emulator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

pub(super) fn routes() -> Api<Admin> {
    Api::new()
        .path(
            "/__admin/faults",
            get(list).post(add).put(replace).delete(clear),
            [
                Operation::get(
                    "listFaults",
                    "List the rules in the order in which they are evaluated",
                )
                .gives::<Vec<Applied>>(200, "the rules"),
                Operation::post("addFault", "Add a rule")
                    .takes::<Rule>()
                    .gives::<Rule>(201, "the rule was added")
                    .fails(&[409, 422]),
                Operation::put("replaceFaults", "Replace all rules with these")
                    .takes::<Vec<Rule>>()
                    .gives::<Vec<Applied>>(200, "the rules")
                    .fails(&[422]),
                Operation::delete("clearFaults", "Remove all rules").gives_nothing(),
            ],
        )
        .path(
            "/__admin/faults/{name}",
            get(show).put(put).delete(remove),
            [
                Operation::get("getFault", "Show a rule")
                    .gives::<Applied>(200, "the rule")
                    .fails(&[404]),
                Operation::put(
                    "putFault",
                    "Add a rule, or replace the rule with the same name",
                )
                .takes::<Rule>()
                .gives::<Rule>(200, "the rule was added")
                .fails(&[422]),
                Operation::delete("removeFault", "Remove a rule")
                    .gives_nothing()
                    .fails(&[404]),
            ],
        )
}

/// All rules.
pub(super) fn all(control: &Control) -> Vec<Applied> {
    let rules = control.faults().into_iter();
    rules
        .map(|(rule, applied)| Applied {
            problem: control.obstacle(&rule),
            rule,
            applied,
        })
        .collect()
}

fn one(control: &Control, name: &str) -> Option<Applied> {
    all(control)
        .into_iter()
        .find(|applied| applied.rule.name == name)
}

fn absent(name: &str) -> String {
    format!("there is no rule {name:?}")
}

/// In a command, a rule is the field `fault`; here the rule is the whole body.
fn of_body(invalid: Invalid) -> Problem {
    invalid.below("fault").into()
}

async fn list(State(control): State<Control>) -> Json<Vec<Applied>> {
    Json(all(&control))
}

async fn add(
    State(control): State<Control>,
    Input(rule): Input<Rule>,
) -> Result<Response, Problem> {
    if one(&control, &rule.name).is_some() {
        let detail = format!("a rule {:?} already exists", rule.name);
        return Err(Problem::new(StatusCode::CONFLICT, detail).at("name"));
    }
    let command = Command::Fault(Box::new(rule.clone()));
    control.apply(command).map_err(of_body)?;
    let path = format!("/__admin/faults/{}", segment(&rule.name));
    Ok((StatusCode::CREATED, [(LOCATION, path)], Json(rule)).into_response())
}

async fn replace(
    State(control): State<Control>,
    Input(rules): Input<Vec<Rule>>,
) -> Result<Json<Vec<Applied>>, Problem> {
    control.apply(Command::ReplaceFaults(rules))?;
    Ok(Json(all(&control)))
}

async fn clear(State(control): State<Control>) -> Result<StatusCode, Problem> {
    apply(&control, Command::HealAll, never)
}

async fn show(State(control): State<Control>, Name(name): Name) -> Result<Json<Applied>, Problem> {
    one(&control, &name)
        .map(Json)
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, absent(&name)))
}

async fn put(
    State(control): State<Control>,
    Name(name): Name,
    Input(rule): Input<Rule>,
) -> Result<Json<Rule>, Problem> {
    if rule.name != name {
        let detail = format!(
            "{:?} differs from the name in the path, {name:?}",
            rule.name
        );
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).at("name"));
    }
    let command = Command::PutFault(Box::new(rule.clone()));
    control.apply(command).map_err(of_body)?;
    Ok(Json(rule))
}

async fn remove(State(control): State<Control>, Name(name): Name) -> Result<StatusCode, Problem> {
    apply(&control, Command::Heal(name.clone()), || absent(&name))
}

#[cfg(feature = "cli")]
pub(super) mod cli {
    //! `ctl fault`.

    use anyhow::Context as _;
    use clap::{Args, Subcommand};
    use hyper::Method;
    use serde_json::Value;

    use super::Applied;
    use crate::admin::ctl::{Client, assignments, json, print, print_json, typed};
    use crate::admin::segment;
    use crate::fault::{Fault, Rule};
    use crate::value::Span;

    #[derive(Debug, Subcommand)]
    pub(in crate::admin) enum Command {
        /// Add a rule
        ///
        /// Give the NAME of the rule, the TYPE of its fault, and the parameters of the fault. Or
        /// give the whole rule as JSON; `-` reads the JSON from standard input.
        #[command(after_help = "\
Examples:
  imds-emulator ctl fault add outage status code=503 --path /latest/api/token
  imds-emulator ctl fault add '{\"name\": \"outage\", \"fault\": {\"type\": \"status\", \"code\": 503}}'

emulator/docs/faults.md in the repository lists the types and their parameters.")]
        Add(Box<Add>),
        /// List the rules in the order in which they are evaluated
        List,
        /// Show a rule as JSON
        Show {
            /// The name of the rule
            name: String,
        },
        /// Remove a rule
        Remove {
            /// The name of the rule
            name: String,
        },
        /// Remove all rules
        Clear,
    }

    #[derive(Args, Debug)]
    pub(in crate::admin) struct Add {
        /// The name of the rule, or the whole rule as JSON
        #[arg(value_name = "NAME|JSON")]
        name: String,
        /// The type of the fault, such as blackhole, status or latency
        #[arg(value_name = "TYPE")]
        kind: Option<String>,
        /// Parameters of the fault, such as code=503
        #[arg(value_name = "KEY=VALUE")]
        parameters: Vec<String>,
        /// Match only requests whose path matches GLOB: `*` matches within a segment, `**` across
        /// segments
        #[arg(long, value_name = "GLOB")]
        path: Option<String>,
        /// Match only requests with METHOD [default: any]
        #[arg(long, value_name = "METHOD")]
        method: Option<String>,
        /// Stop after NUM requests [default: never]
        #[arg(long, value_name = "NUM")]
        count: Option<u64>,
        /// Skip the first NUM matching requests
        #[arg(long, value_name = "NUM", default_value_t = 0)]
        skip_first: u64,
        /// Apply to SHARE of the matching requests, from 0 to 1 [default: 1]
        #[arg(long, value_name = "SHARE")]
        probability: Option<f64>,
        /// Stop after DURATION on the emulator's clock, such as 5m [default: never]
        #[arg(long, value_name = "DURATION")]
        duration: Option<Span>,
        /// Remove the rule after DURATION on the machine's clock, such as 5m [default: never]
        #[arg(long, value_name = "DURATION")]
        ttl: Option<Span>,
    }

    impl Add {
        fn rule(self) -> anyhow::Result<Rule> {
            let Some(kind) = self.kind else {
                return json(&self.name);
            };
            let mut fault = assignments(&self.parameters)?;
            fault.insert("type".into(), kind.into());
            let fault: Fault = typed(Value::Object(fault)).context("the fault is invalid")?;
            let mut rule = Rule::new(self.name, fault);
            rule.matches.path = self.path;
            rule.matches.method = self.method;
            rule.when.count = self.count;
            rule.when.skip_first = self.skip_first;
            rule.when.probability = self.probability;
            rule.when.duration = self.duration;
            rule.when.ttl = self.ttl;
            Ok(rule)
        }
    }

    impl Command {
        pub(in crate::admin) async fn run(self, api: &Client) -> anyhow::Result<()> {
            match self {
                Self::Add(add) => {
                    let rule = add.rule()?;
                    let _: Rule = api.send(Method::POST, "faults", &rule).await?;
                }
                Self::List => {
                    let rules: Vec<Applied> = api.ask(Method::GET, "faults").await?;
                    for Applied {
                        rule,
                        applied,
                        problem,
                    } in rules
                    {
                        let fault = serde_json::to_string(&rule.fault)?;
                        let problem = problem.map(|problem| format!("; not in effect: {problem}"));
                        print(format_args!(
                            "{}: {fault} (applied to {applied}){}",
                            rule.name,
                            problem.unwrap_or_default()
                        ))?;
                    }
                }
                Self::Show { name } => {
                    let rule: Applied = api.ask(Method::GET, &path(&name)).await?;
                    print_json(&rule)?;
                }
                Self::Remove { name } => api.ask(Method::DELETE, &path(&name)).await?,
                Self::Clear => api.ask(Method::DELETE, "faults").await?,
            }
            Ok(())
        }
    }

    fn path(name: &str) -> String {
        format!("faults/{}", segment(name))
    }
}
