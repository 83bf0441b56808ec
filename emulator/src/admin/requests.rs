//! The journal: requests, their responses, and assertions about them.

use std::convert::Infallible;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{get, post};
use futures_util::stream::{self, Stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;

use super::input::{Input, Problem, Query};
use super::openapi::{Api, Operation};
use super::{Admin, apply, never};
use crate::control::Control;
use crate::journal::{Assertion, Filter, Found, Report};
use crate::timeline::Command;

/// A part of the journal.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Page {
    /// Only exchanges with a higher number than this.
    since: Option<u64>,
    /// Only this many exchanges, the newest.
    limit: Option<u32>,
}

/// A number of exchanges.
#[derive(Debug, Deserialize, JsonSchema, Serialize)]
struct Count {
    count: usize,
}

pub(super) fn routes() -> Api<Admin> {
    Api::new()
        .path(
            "/__admin/requests",
            get(list).delete(clear),
            [
                Operation::get("listRequests", "List the exchanges in the journal")
                    .asks::<Page>()
                    .gives::<Found>(200, "the exchanges"),
                Operation::delete("clearRequests", "Forget all exchanges").gives_nothing(),
            ],
        )
        .path(
            "/__admin/requests/find",
            post(find),
            [
                Operation::post("findRequests", "List the exchanges that pass a filter")
                    .takes::<Filter>()
                    .gives::<Found>(200, "the exchanges")
                    .fails(&[422]),
            ],
        )
        .path(
            "/__admin/requests/count",
            post(count),
            [
                Operation::post("countRequests", "Count the exchanges that pass a filter")
                    .takes::<Filter>()
                    .gives::<Count>(200, "the number of exchanges")
                    .fails(&[422]),
            ],
        )
        .path(
            "/__admin/requests/verify",
            post(verify),
            [
                Operation::post("verifyRequests", "Check whether assertions hold")
                    .takes::<Vec<Assertion>>()
                    .gives::<Report>(200, "for each assertion whether it holds")
                    .fails(&[422]),
            ],
        )
        .path(
            "/__admin/requests/stream",
            get(follow),
            [Operation::get(
                "followRequests",
                "Receive all exchanges from now on, as server-sent events",
            )
            .gives_text("text/event-stream")],
        )
}

async fn list(
    State(control): State<Control>,
    Query(page): Query<Page>,
) -> Result<Json<Found>, Problem> {
    let filter = Filter {
        since: page.since,
        limit: page.limit.map(|limit| limit as usize),
        ..Filter::default()
    };
    Ok(Json(control.find(&filter)?))
}

async fn clear(State(control): State<Control>) -> Result<StatusCode, Problem> {
    apply(&control, Command::ClearJournal, never)
}

async fn find(
    State(control): State<Control>,
    Input(filter): Input<Filter>,
) -> Result<Json<Found>, Problem> {
    Ok(Json(control.find(&filter)?))
}

async fn count(
    State(control): State<Control>,
    Input(filter): Input<Filter>,
) -> Result<Json<Count>, Problem> {
    let count = control.count(&filter)?;
    Ok(Json(Count { count }))
}

async fn verify(
    State(control): State<Control>,
    Input(assertions): Input<Vec<Assertion>>,
) -> Result<Json<Report>, Problem> {
    Ok(Json(control.verify(&assertions)?))
}

async fn follow(State(admin): State<Admin>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let followed = (admin.control.follow(), admin.stopped);
    let stream = stream::unfold(followed, async |(mut exchanges, mut stopped)| {
        loop {
            let next = tokio::select! {
                next = exchanges.recv() => next,
                _ = stopped.wait_for(|stopped| *stopped) => return None,
            };
            match next {
                Ok(exchange) => {
                    let text = serde_json::to_string(&*exchange).unwrap_or_default();
                    let event = Event::default().id(exchange.number.to_string()).data(text);
                    return Some((Ok(event), (exchanges, stopped)));
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    Sse::new(stream).keep_alive(KeepAlive::default())
}

#[cfg(feature = "cli")]
pub(super) mod cli {
    //! `ctl requests` and `ctl verify`.

    use std::process::ExitCode;

    use clap::{Args, Subcommand};
    use hyper::Method;
    use serde_json::Value;

    use super::Count;
    use crate::admin::ctl::{Client, assignments, json, print, print_json, typed};
    use crate::journal::{Assertion, Exchange, Filter, Found, Report};

    #[derive(Debug, Subcommand)]
    pub(in crate::admin) enum Command {
        /// List the newest exchanges, one per line
        List {
            /// List at most NUM exchanges
            #[arg(long, value_name = "NUM", default_value_t = 20)]
            limit: u32,
            /// Print JSON
            #[arg(long)]
            json: bool,
        },
        /// List the exchanges that match every KEY=VALUE, one per line
        #[command(after_help = FILTERS)]
        Find {
            /// A condition, such as status=401 or path=/latest/** [default: all exchanges]
            #[arg(value_name = "KEY=VALUE")]
            filter: Vec<String>,
        },
        /// Count the exchanges that match every KEY=VALUE
        #[command(after_help = FILTERS)]
        Count {
            /// A condition, such as status=401 or path=/latest/** [default: all exchanges]
            #[arg(value_name = "KEY=VALUE")]
            filter: Vec<String>,
        },
        /// Print each exchange when it ends, until interrupted
        Follow,
        /// Forget all exchanges
        Clear,
    }

    const FILTERS: &str = "\
Keys:
  path        a glob that the path matches
  method      the method
  imds        v1 (no token) or v2
  token       none, valid, expired or invalid
  status      the status of the response
  outcome     answered, spoiled, reset, no-response or abandoned
  rule        the name of a rule that applied
  user-agent  a glob that the User-Agent matches
  client      the address or the network of the client
  process     a glob that the name of the process matches (needs journal.process=true)
  since       the number of an exchange; list only later exchanges
  limit       list only this many exchanges, the newest";

    /// The forms of assertions, and the exit status, for the help.
    pub const ASSERTIONS: &str = "\
Assertions:
  no_imdsv1           every request has a token, or requests one
  no_forwarded        no request has an X-Forwarded-For
  max_token_puts=NUM  there are at most NUM requests for a token
  '{\"max_requests\": {\"max\": 10, \"within\": \"1s\"}}'
  '{\"min_requests\": {\"min\": 1, \"of\": {\"status\": 200}}}'
  '{\"requests\": {\"number\": 3}}'
  '{\"order\": [\"PUT /latest/api/token\", \"GET **\"]}'
  '{\"backs_off_after\": {\"status\": 503, \"at-least\": \"100ms\"}}'
  '{\"user_agent\": {\"matches\": \"Boto3/*\"}}'
  max_packets_per_second=NUM  clients send at most NUM packets to IMDS in any second
                              (needs journal.packets=true)

`of` is a filter with the keys that `ctl requests find --help` lists.";

    const VERIFY: &str = "\
Exit status: 0 if every assertion holds, 1 otherwise.";

    #[derive(Args, Debug)]
    #[command(after_help = format!("{ASSERTIONS}\n\n{VERIFY}"))]
    pub(in crate::admin) struct Verify {
        /// An assertion: its name, NAME=VALUE or JSON; a single `-` reads a JSON list of assertions
        /// from standard input
        #[arg(required = true, value_name = "ASSERTION")]
        assertions: Vec<String>,
    }

    impl Command {
        pub(in crate::admin) async fn run(self, api: &Client) -> anyhow::Result<()> {
            match self {
                Self::List { limit, json } => {
                    let path = format!("requests?limit={limit}");
                    let found: Found = api.ask(Method::GET, &path).await?;
                    match json {
                        true => print_json(&found),
                        false => print_lines(&found),
                    }
                }
                Self::Find { filter } => {
                    let filter = parse(&filter)?;
                    print_lines(&api.send(Method::POST, "requests/find", &filter).await?)
                }
                Self::Count { filter } => {
                    let filter = parse(&filter)?;
                    let Count { count } = api.send(Method::POST, "requests/count", &filter).await?;
                    print(count)
                }
                Self::Follow => {
                    let mut exchanges = api.events("requests/stream").await?;
                    while let Some(exchange) = exchanges.next::<Exchange>().await? {
                        print(exchange)?;
                    }
                    Ok(())
                }
                Self::Clear => api.ask(Method::DELETE, "requests").await,
            }
        }
    }

    impl Verify {
        pub(in crate::admin) async fn run(self, api: &Client) -> anyhow::Result<ExitCode> {
            let assertions: Vec<Assertion> = match self.assertions.as_slice() {
                [list] if list == "-" => json(list)?,
                assertions => assertions
                    .iter()
                    .map(|text| assertion(text))
                    .collect::<anyhow::Result<_>>()?,
            };
            let report: Report = api
                .send(Method::POST, "requests/verify", &assertions)
                .await?;
            print(report.to_string().trim_end())?;
            Ok(match report.holds {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            })
        }
    }

    fn parse(filter: &[String]) -> anyhow::Result<Filter> {
        typed(Value::Object(assignments(filter)?))
    }

    /// An assertion in one of its three forms: its name, `NAME=VALUE` or JSON.
    ///
    /// # Errors
    ///
    /// If it is not an assertion.
    pub fn assertion(text: &str) -> anyhow::Result<Assertion> {
        if text.trim_start().starts_with(['{', '"']) {
            return json(text);
        }
        typed(match text.contains('=') {
            true => Value::Object(assignments(&[text])?),
            false => text.into(),
        })
    }

    fn print_lines(found: &Found) -> anyhow::Result<()> {
        for exchange in &found.exchanges {
            print(exchange)?;
        }
        match found.dropped {
            0 => Ok(()),
            dropped => print(format_args!("({dropped} older exchanges were dropped)")),
        }
    }
}
