//! The admin API: everything that [`Control`] can do, over HTTP, on a listener of its own.
//!
//! Its description is served at `/__admin/openapi.json`; it is made from the same types and in the
//! same place as the routes.

mod input;
mod metrics;
mod openapi;

use std::convert::Infallible;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HOST, LOCATION, ORIGIN};
use axum::middleware::Next;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::stream::{self, Stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use crate::control::{Control, StepError};
use crate::fault::Rule;
use crate::instance::{Events, Instance, MetadataOptions};
use crate::journal::{Assertion, Filter, Found, Report};
use crate::preset::Preset;
use crate::timeline::{Command, StepStatus, TimelineStep};
use crate::value::{Invalid, Moment, Shift};
use input::{Input, Name, Problem, Query};
use openapi::{Api, Operation};

/// What handlers share.
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
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "there is no such path"))
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "the path has other methods; Allow names them",
            )
        })
        .layer(axum::middleware::from_fn(only_from_here))
        .with_state(admin)
}

/// The description of the API.
pub(crate) fn description() -> Value {
    api().description()
}

fn api() -> Api<Admin> {
    let text = "text/plain";
    Api::new()
        .path(
            "/__admin/faults",
            get(faults)
                .post(add_fault)
                .put(replace_faults)
                .delete(clear_faults),
            [
                Operation::get(
                    "listFaults",
                    "The rules, in the order in which they are looked at",
                )
                .gives::<Vec<Applied>>(200, "the rules"),
                Operation::post("addFault", "Adds a rule")
                    .takes::<Rule>()
                    .gives::<Rule>(201, "it was added")
                    .fails(&[409, 422]),
                Operation::put("replaceFaults", "Puts these rules in place of all others")
                    .takes::<Vec<Rule>>()
                    .gives::<Vec<Applied>>(200, "the rules")
                    .fails(&[422]),
                Operation::delete("clearFaults", "Takes all rules away").gives_nothing(),
            ],
        )
        .path(
            "/__admin/faults/{name}",
            get(fault).put(put_fault).delete(heal),
            [
                Operation::get("getFault", "A rule")
                    .gives::<Applied>(200, "the rule")
                    .fails(&[404]),
                Operation::put(
                    "putFault",
                    "Adds a rule, or puts it in place of the one of its name",
                )
                .takes::<Rule>()
                .gives::<Rule>(200, "it was added")
                .fails(&[422]),
                Operation::delete("removeFault", "Takes a rule away")
                    .gives_nothing()
                    .fails(&[404]),
            ],
        )
        .path(
            "/__admin/presets",
            get(presets),
            [Operation::get("listPresets", "What can go wrong by name")
                .gives::<Vec<PresetInfo>>(200, "the presets")],
        )
        .path(
            "/__admin/presets/{name}",
            post(apply_preset).delete(remove_preset),
            [
                Operation::post(
                    "applyPreset",
                    "Adds the rules of a preset, or announces its event",
                )
                .gives::<Vec<Applied>>(200, "all rules")
                .fails(&[404, 409]),
                Operation::delete(
                    "removePreset",
                    "Takes the rules of a preset away, or its event",
                )
                .gives_nothing()
                .fails(&[404]),
            ],
        )
        .path(
            "/__admin/instance",
            get(instance).patch(patch_instance),
            [
                Operation::get("getInstance", "The instance")
                    .gives::<Instance>(200, "the instance"),
                Operation::patch(
                    "patchInstance",
                    "Changes the instance, as a JSON merge patch",
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
                Operation::get("getMetadataOptions", "The metadata options")
                    .gives::<MetadataOptions>(200, "the metadata options"),
                Operation::patch(
                    "patchMetadataOptions",
                    "Changes them, as a JSON merge patch",
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
                Operation::get("getEvents", "The events").gives::<Events>(200, "the events"),
                Operation::patch("patchEvents", "Announces events, as a JSON merge patch")
                    .takes::<Patch>()
                    .gives::<Events>(200, "the events")
                    .fails(&[422]),
                Operation::delete("clearEvents", "Takes all events back").gives_nothing(),
            ],
        )
        .path(
            "/__admin/timeline",
            get(timeline).put(put_timeline).delete(clear_timeline),
            [
                Operation::get("getTimeline", "The steps, and what has become of them")
                    .gives::<Vec<StepStatus>>(200, "the steps"),
                Operation::put(
                    "putTimeline",
                    "Puts these steps in place of all others, from now on",
                )
                .takes::<Vec<TimelineStep>>()
                .gives::<Vec<StepStatus>>(200, "the steps")
                .fails(&[422]),
                Operation::delete("clearTimeline", "Takes all steps away").gives_nothing(),
            ],
        )
        .path(
            "/__admin/timeline/{name}",
            post(take_step),
            [
                Operation::post("takeStep", "Takes a step, whether its time has come or not")
                    .gives_nothing()
                    .fails(&[404, 409]),
            ],
        )
        .path(
            "/__admin/credentials/rotate",
            post(rotate),
            [
                Operation::post("rotateCredentials", "Gives the role new credentials")
                    .gives_nothing(),
            ],
        )
        .path(
            "/__admin/tokens/revoke",
            post(revoke),
            [Operation::post("revokeTokens", "Makes all tokens invalid").gives_nothing()],
        )
        .path(
            "/__admin/clock",
            get(clock).patch(patch_clock),
            [
                Operation::get("getClock", "The clock").gives::<ClockState>(200, "the clock"),
                Operation::patch("patchClock", "Sets the clock, stops it, or lets it run")
                    .takes::<ClockChange>()
                    .gives::<ClockState>(200, "the clock")
                    .fails(&[409, 422]),
            ],
        )
        .path(
            "/__admin/clock/advance",
            post(advance),
            [Operation::post("advanceClock", "Moves the clock")
                .takes::<Advance>()
                .gives::<ClockState>(200, "the clock")
                .fails(&[409, 422])],
        )
        .path(
            "/__admin/requests",
            get(requests).delete(clear_requests),
            [
                Operation::get("listRequests", "The exchanges that the journal has")
                    .asks::<Page>()
                    .gives::<Found>(200, "the exchanges"),
                Operation::delete("clearRequests", "Makes the journal empty").gives_nothing(),
            ],
        )
        .path(
            "/__admin/requests/find",
            post(find),
            [
                Operation::post("findRequests", "Those exchanges for which everything holds")
                    .takes::<Filter>()
                    .gives::<Found>(200, "the exchanges")
                    .fails(&[422]),
            ],
        )
        .path(
            "/__admin/requests/count",
            post(count),
            [
                Operation::post("countRequests", "How many such exchanges there are")
                    .takes::<Filter>()
                    .gives::<Count>(200, "how many")
                    .fails(&[422]),
            ],
        )
        .path(
            "/__admin/requests/verify",
            post(verify),
            [Operation::post("verifyRequests", "Whether assertions hold")
                .takes::<Vec<Assertion>>()
                .gives::<Report>(200, "for each whether it holds")
                .fails(&[422])],
        )
        .path(
            "/__admin/requests/stream",
            get(follow),
            [Operation::get(
                "followRequests",
                "All exchanges from now on, as server-sent events",
            )
            .gives_text("text/event-stream")],
        )
        .path(
            "/__admin/scenarios/{name}/state",
            get(scenario).put(put_scenario),
            [
                Operation::get("getScenario", "The state of a scenario")
                    .gives::<ScenarioState>(200, "the state"),
                Operation::put("putScenario", "Puts a scenario into a state")
                    .takes::<ScenarioState>()
                    .gives::<ScenarioState>(200, "the state")
                    .fails(&[422]),
            ],
        )
        .path(
            "/__admin/reset",
            post(reset),
            [Operation::post(
                "reset",
                "Makes everything what it was at the start, but for the clock and tokens",
            )
            .gives_nothing()],
        )
        .path(
            "/__admin/health",
            get(health),
            [Operation::get("health", "Whether it is alive").gives::<Health>(200, "it is")],
        )
        .path(
            "/__admin/ready",
            get(health),
            [Operation::get("ready", "Whether it answers").gives::<Health>(200, "it does")],
        )
        .path(
            "/__admin/metrics",
            get(metrics),
            [
                Operation::get("metrics", "Counts, in the text format of Prometheus")
                    .gives_text(text),
            ],
        )
        .path(
            "/__admin/openapi.json",
            get(openapi_json),
            [
                Operation::get("openapi", "This description")
                    .gives::<Patch>(200, "the description"),
            ],
        )
}

/// A page of the web that somebody looks at on this machine must not be able to use the API: it would
/// come with a name of its own as `Host`, or with an `Origin`.
async fn only_from_here(request: Request, next: Next) -> Response {
    let host = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok());
    let is_ours = host.is_none_or(|host| {
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
    if !is_ours || request.headers().contains_key(ORIGIN) {
        return Problem::new(
            StatusCode::FORBIDDEN,
            "requests come to an address or to localhost, and not from pages of the web",
        )
        .into_response();
    }
    next.run(request).await
}

type Outcome<T> = Result<T, Problem>;

/// A rule and how often it applied.
#[derive(Debug, JsonSchema, Serialize)]
struct Applied {
    rule: Rule,
    /// To how many requests it has applied.
    applied: u64,
}

fn all(control: &Control) -> Vec<Applied> {
    let rules = control.faults().into_iter();
    rules
        .map(|(rule, applied)| Applied { rule, applied })
        .collect()
}

fn one(control: &Control, name: &str) -> Outcome<Applied> {
    all(control)
        .into_iter()
        .find(|applied| applied.rule.name == name)
        .ok_or_else(|| no_fault(name))
}

fn no_fault(name: &str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("there is no rule {name:?}"))
}

async fn faults(State(control): State<Control>) -> Json<Vec<Applied>> {
    Json(all(&control))
}

async fn add_fault(State(control): State<Control>, Input(rule): Input<Rule>) -> Outcome<Response> {
    if one(&control, &rule.name).is_ok() {
        let detail = format!("there is a rule {:?} already", rule.name);
        return Err(Problem::new(StatusCode::CONFLICT, detail).at("name"));
    }
    control.fault(rule.clone()).map_err(of_body)?.keep();
    let path = format!("/__admin/faults/{}", escaped(&rule.name));
    Ok((StatusCode::CREATED, [(LOCATION, path)], Json(rule)).into_response())
}

async fn replace_faults(
    State(control): State<Control>,
    Input(rules): Input<Vec<Rule>>,
) -> Outcome<Json<Vec<Applied>>> {
    control.replace_faults(rules)?;
    Ok(Json(all(&control)))
}

async fn clear_faults(State(control): State<Control>) -> StatusCode {
    control.heal_all();
    StatusCode::NO_CONTENT
}

async fn fault(State(control): State<Control>, Name(name): Name) -> Outcome<Json<Applied>> {
    Ok(Json(one(&control, &name)?))
}

async fn put_fault(
    State(control): State<Control>,
    Name(name): Name,
    Input(rule): Input<Rule>,
) -> Outcome<Json<Rule>> {
    if rule.name != name {
        let detail = format!("{:?} is not the name in the path, {name:?}", rule.name);
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).at("name"));
    }
    control.put_fault(rule.clone()).map_err(of_body)?;
    Ok(Json(rule))
}

async fn heal(State(control): State<Control>, Name(name): Name) -> Outcome<StatusCode> {
    match control.heal(&name) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(no_fault(&name)),
    }
}

/// The core calls a rule that comes alone `fault`; here it is the body.
fn of_body(invalid: Invalid) -> Problem {
    invalid.below("fault").into()
}

/// What can go wrong by a name.
#[derive(Debug, JsonSchema, Serialize)]
struct PresetInfo {
    name: Preset,
    description: &'static str,
    /// Its rules, if it has any.
    rules: Vec<Rule>,
}

async fn presets() -> Json<Vec<PresetInfo>> {
    let infos = Preset::ALL.map(|name| PresetInfo {
        name,
        description: name.description(),
        rules: name.rules(),
    });
    Json(infos.into())
}

fn preset(name: &str) -> Outcome<Preset> {
    name.parse().map_err(|error: crate::UnknownPreset| {
        Problem::new(StatusCode::NOT_FOUND, error.to_string())
    })
}

async fn apply_preset(
    State(control): State<Control>,
    Name(name): Name,
) -> Outcome<Json<Vec<Applied>>> {
    control
        .preset(preset(&name)?)
        .map_err(|invalid| Problem::new(StatusCode::CONFLICT, invalid.to_string()))?;
    Ok(Json(all(&control)))
}

async fn remove_preset(State(control): State<Control>, Name(name): Name) -> Outcome<StatusCode> {
    match control.remove_preset(preset(&name)?) {
        true => Ok(StatusCode::NO_CONTENT),
        false => {
            let detail = format!("the preset {name:?} is not applied");
            Err(Problem::new(StatusCode::NOT_FOUND, detail))
        }
    }
}

/// A JSON object whose values take the place of those that there are; `null` takes them away.
#[derive(Debug, Deserialize, JsonSchema, Serialize)]
#[serde(transparent)]
struct Patch(serde_json::Map<String, Value>);

/// Changes a part of the configuration.
fn patch(control: &Control, part: &str, Patch(patch): Patch) -> Outcome<()> {
    let patch = serde_json::Map::from_iter([(part.to_owned(), Value::Object(patch))]);
    match control.apply(Command::Change(patch)) {
        Ok(_) => Ok(()),
        // The core calls the patch `change`; here a part of it is the body.
        Err(invalid) => Err(invalid.below(&format!("change.{part}")).into()),
    }
}

async fn instance(State(control): State<Control>) -> Json<Instance> {
    Json(control.config().instance)
}

async fn patch_instance(
    State(control): State<Control>,
    Input(body): Input<Patch>,
) -> Outcome<Json<Instance>> {
    patch(&control, "instance", body)?;
    Ok(instance(State(control)).await)
}

async fn metadata_options(State(control): State<Control>) -> Json<MetadataOptions> {
    Json(control.config().metadata_options)
}

async fn patch_metadata_options(
    State(control): State<Control>,
    Input(body): Input<Patch>,
) -> Outcome<Json<MetadataOptions>> {
    patch(&control, "metadata-options", body)?;
    Ok(metadata_options(State(control)).await)
}

async fn events(State(control): State<Control>) -> Json<Events> {
    Json(control.config().events)
}

async fn patch_events(
    State(control): State<Control>,
    Input(body): Input<Patch>,
) -> Outcome<Json<Events>> {
    patch(&control, "events", body)?;
    Ok(events(State(control)).await)
}

async fn clear_events(State(control): State<Control>) -> Outcome<StatusCode> {
    control.apply(Command::ClearEvents)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn timeline(State(control): State<Control>) -> Json<Vec<StepStatus>> {
    Json(control.timeline())
}

async fn put_timeline(
    State(control): State<Control>,
    Input(steps): Input<Vec<TimelineStep>>,
) -> Outcome<Json<Vec<StepStatus>>> {
    control.set_timeline(steps)?;
    Ok(Json(control.timeline()))
}

async fn clear_timeline(State(control): State<Control>) -> Outcome<StatusCode> {
    control.set_timeline(Vec::new())?;
    Ok(StatusCode::NO_CONTENT)
}

async fn take_step(State(control): State<Control>, Name(name): Name) -> Outcome<StatusCode> {
    control.take_step(&name).map_err(|error| {
        let status = match error {
            StepError::Unknown(_) => StatusCode::NOT_FOUND,
            StepError::Failed(_) => StatusCode::CONFLICT,
        };
        Problem::new(status, error.to_string())
    })?;
    Ok(StatusCode::NO_CONTENT)
}

async fn rotate(State(control): State<Control>) -> StatusCode {
    control.rotate_credentials();
    StatusCode::NO_CONTENT
}

async fn revoke(State(control): State<Control>) -> StatusCode {
    control.revoke_tokens();
    StatusCode::NO_CONTENT
}

/// The clock.
#[derive(Debug, JsonSchema, Serialize)]
struct ClockState {
    /// The moment that it shows.
    #[schemars(with = "String")]
    now: DateTime<Utc>,
    /// Whether time passes by itself.
    running: bool,
}

/// What can be changed of the clock.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ClockChange {
    /// The moment that it is to show.
    #[serde(default)]
    now: Option<Moment>,
    /// Whether time is to pass by itself.
    #[serde(default)]
    running: Option<bool>,
}

/// A move of the clock.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Advance {
    /// By how much: `6h`, or back: `-5m`.
    by: Shift,
}

async fn clock(State(control): State<Control>) -> Json<ClockState> {
    Json(ClockState {
        now: control.clock().now(),
        running: control.clock().is_running(),
    })
}

async fn patch_clock(
    State(control): State<Control>,
    Input(change): Input<ClockChange>,
) -> Outcome<Json<ClockState>> {
    let ours = control.clock();
    if let Some(now) = change.now {
        ours.set(now.after(ours.now()))?;
    }
    match change.running {
        Some(true) => ours.run()?,
        Some(false) => ours.freeze()?,
        None => {}
    }
    Ok(clock(State(control)).await)
}

async fn advance(
    State(control): State<Control>,
    Input(Advance { by }): Input<Advance>,
) -> Outcome<Json<ClockState>> {
    control.clock().advance(TimeDelta::from(by))?;
    Ok(clock(State(control)).await)
}

/// A part of the journal.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Page {
    /// Those with higher numbers than this.
    since: Option<u64>,
    /// The newest so many.
    limit: Option<u32>,
}

async fn requests(
    State(control): State<Control>,
    Query(page): Query<Page>,
) -> Outcome<Json<Found>> {
    let filter = Filter {
        since: page.since,
        limit: page.limit.map(|limit| limit as usize),
        ..Filter::default()
    };
    Ok(Json(control.find(&filter)?))
}

async fn clear_requests(State(control): State<Control>) -> StatusCode {
    control.clear_journal();
    StatusCode::NO_CONTENT
}

async fn find(
    State(control): State<Control>,
    Input(filter): Input<Filter>,
) -> Outcome<Json<Found>> {
    Ok(Json(control.find(&filter)?))
}

/// How many.
#[derive(Debug, JsonSchema, Serialize)]
struct Count {
    count: usize,
}

async fn count(
    State(control): State<Control>,
    Input(filter): Input<Filter>,
) -> Outcome<Json<Count>> {
    let count = control.count(&filter)?;
    Ok(Json(Count { count }))
}

async fn verify(
    State(control): State<Control>,
    Input(assertions): Input<Vec<Assertion>>,
) -> Outcome<Json<Report>> {
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

/// The state of a scenario.
#[derive(Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
struct ScenarioState {
    #[schemars(length(min = 1))]
    state: String,
}

async fn scenario(State(control): State<Control>, Name(name): Name) -> Json<ScenarioState> {
    let state = control.scenario(&name);
    Json(ScenarioState { state })
}

async fn put_scenario(
    State(control): State<Control>,
    Name(name): Name,
    Input(ScenarioState { state }): Input<ScenarioState>,
) -> Outcome<Json<ScenarioState>> {
    if state.is_empty() {
        let empty = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "the state is empty");
        return Err(empty.at("state"));
    }
    control.set_scenario(&name, &state);
    Ok(Json(ScenarioState { state }))
}

async fn reset(State(control): State<Control>) -> Outcome<StatusCode> {
    control.reset()?;
    Ok(StatusCode::NO_CONTENT)
}

/// How it is.
#[derive(Debug, JsonSchema, Serialize)]
struct Health {
    status: &'static str,
}

async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

async fn metrics(State(control): State<Control>) -> impl IntoResponse {
    let format = "text/plain; version=0.0.4; charset=utf-8";
    ([(CONTENT_TYPE, format)], metrics::text(&control))
}

async fn openapi_json() -> Json<Value> {
    Json(description())
}

/// A name as a segment of a path.
fn escaped(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string()
}
