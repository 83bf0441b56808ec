//! Checks IMDS servers against the rules that are visible from outside.
//!
//! A check is data: a name, a sentence, the rules that it rests on (those of the emulator's
//! [`protocol`](imds_emulator::protocol)), a weight, and a function that sends requests to a [`Server`] and
//! judges the responses. A check of something that the server does not have, such as a role, is not
//! applicable. No text of a check contains a token or a secret.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use imds_conformance::server::{Endpoint, Server, checks, examine};
//!
//! let emulator = imds_emulator::Emulator::builder().start().await?;
//! let endpoint = Endpoint::find(emulator.url(), false).await?;
//! let server = Server::reach(&endpoint).await?;
//! let some: Vec<_> = checks().into_iter().filter(|check| check.group() == "identity").collect();
//! let report = examine("emulator", &server, &some, |_| {}).await;
//! assert_eq!(report.tally("emulator").failed, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

mod credentials;
mod endpoint;
mod events;
mod features;
mod identity;
mod instance;
mod listings;
mod paths;
mod placement;
mod profile;
mod responses;
mod text;
mod token_path;
mod tokens;
mod wire;

use std::pin::pin;
use std::time::Instant;

use chrono::Utc;
use ec2_role_host::printable::Expected;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, FuturesUnordered};
use imds_emulator::report::picture::Trace;
use tokio::sync::OnceCell;

use crate::client::Offers;
use crate::judge::Finding;
use crate::report::{ClientSummary, Report, ScenarioSummary, Subject};
use crate::run::{self, Outcome};
use crate::scenario::Weight;

pub use self::endpoint::{Endpoint, EndpointError};
pub use self::text::{render as text, score};

use self::wire::{Broken, Request, Response, Wire};

/// A rule, and how to check whether a server follows it.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// The group and the name, such as `token/expires`.
    pub name: &'static str,
    /// How much it matters.
    pub weight: Weight,
    /// What a server that follows the rule does.
    pub sentence: &'static str,
    /// Rules and sources.
    pub rests_on: &'static [&'static str],
    /// Names that it had before: filters and baselines still accept them.
    pub formerly: &'static [&'static str],
    ask: Ask,
    /// Whether the check mostly waits between requests.
    waits: bool,
}

type Ask = for<'a> fn(&'a Server) -> BoxFuture<'a, Judged>;

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The server follows the rule.
    Passed,
    /// The server violates the rule.
    Failed {
        /// What was expected.
        expected: String,
        /// What was seen.
        seen: String,
    },
    /// The server does not have what the check needs.
    NotApplicable {
        /// The reason.
        why: String,
    },
}

/// All checks, in order.
pub fn checks() -> Vec<Check> {
    [
        token_path::checks(),
        tokens::checks(),
        responses::checks(),
        paths::checks(),
        listings::checks(),
        credentials::checks(),
        profile::checks(),
        identity::checks(),
        instance::checks(),
        events::checks(),
        placement::checks(),
        features::checks(),
    ]
    .concat()
}

/// Runs these checks against a server, and calls `done` after each. Checks run one after the other,
/// except for those that mostly wait: they run concurrently with the others. In the report, the server
/// takes the place of a client, and the checks take the place of scenarios.
pub async fn examine(
    name: &str,
    server: &Server,
    checks: &[Check],
    mut done: impl FnMut(&Outcome),
) -> Report {
    let ask = |(at, check): (usize, Check)| async move {
        let start = Instant::now();
        let verdict = check.ask(server).await;
        let milliseconds = start.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        (at, outcome(name, &check, verdict, milliseconds))
    };
    let numbered = checks.iter().copied().enumerate();
    let (waiting, others): (Vec<_>, Vec<_>) = numbered.partition(|(_, check)| check.waits);
    let waiting: FuturesUnordered<_> = waiting.into_iter().map(ask).collect();
    let others = stream::iter(others).then(ask);
    let mut asked = pin!(stream::select(waiting, others));
    let mut outcomes = Vec::new();
    while let Some((at, outcome)) = asked.next().await {
        done(&outcome);
        outcomes.push((at, outcome));
    }
    outcomes.sort_by_key(|(at, _)| *at);
    let outcomes = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
    let measured = ClientSummary {
        name: name.to_owned(),
        offers: Offers::default(),
    };
    Report {
        version: env!("CARGO_PKG_VERSION"),
        date: Utc::now(),
        seed: 0,
        library: None,
        subject: Subject::Server,
        clients: vec![measured],
        scenarios: checks.iter().map(ScenarioSummary::from).collect(),
        outcomes,
    }
}

fn outcome(server: &str, check: &Check, verdict: Verdict, milliseconds: u64) -> Outcome {
    let (verdict, findings) = match verdict {
        Verdict::Passed => (run::Verdict::Passed, Vec::new()),
        Verdict::NotApplicable { why } => (run::Verdict::NotRun(why), Vec::new()),
        Verdict::Failed { expected, seen } => {
            let finding = Finding {
                step: None,
                holds: false,
                expected,
                seen,
            };
            (run::Verdict::Failed, vec![finding])
        }
    };
    Outcome {
        client: server.to_owned(),
        scenario: check.name.to_owned(),
        verdict,
        findings,
        milliseconds,
        trace: Trace::default(),
    }
}

impl Check {
    const fn new(
        name: &'static str,
        weight: Weight,
        sentence: &'static str,
        rests_on: &'static [&'static str],
        ask: Ask,
    ) -> Self {
        Self {
            name,
            weight,
            sentence,
            rests_on,
            formerly: &[],
            ask,
            waits: false,
        }
    }

    const fn formerly(mut self, names: &'static [&'static str]) -> Self {
        self.formerly = names;
        self
    }

    const fn that_waits(mut self) -> Self {
        self.waits = true;
        self
    }

    /// The first part of its name.
    pub fn group(&self) -> &'static str {
        self.name.split('/').next().unwrap_or_default()
    }

    /// Whether one of its names, or its sentence, contains `filter`, in any case.
    pub fn matches(&self, filter: &str) -> bool {
        let filter = filter.to_lowercase();
        let names = [self.name, self.sentence];
        let mut texts = names.iter().chain(self.formerly);
        texts.any(|text| text.to_lowercase().contains(&filter))
    }

    /// Runs the check against a server.
    pub async fn ask(&self, server: &Server) -> Verdict {
        // What a server sends may be a key that no document names, or a command to a terminal.
        let redacted = |text: String| {
            let text = server.wire.redacted(&text);
            Expected::Sentence.show(&text).into_owned()
        };
        match (self.ask)(server).await {
            Ok(()) => Verdict::Passed,
            Err(NotPassed::Failed { expected, seen }) => Verdict::Failed {
                expected: redacted(expected),
                seen: redacted(seen),
            },
            Err(NotPassed::NotApplicable(why)) => Verdict::NotApplicable { why: redacted(why) },
        }
    }
}

impl From<&Check> for ScenarioSummary {
    fn from(check: &Check) -> Self {
        Self {
            id: check.name.to_owned(),
            formerly: check.formerly.iter().map(ToString::to_string).collect(),
            group: check.group().to_owned(),
            behaviour: check.sentence.to_owned(),
            weight: check.weight,
            rests_on: check.rests_on.iter().map(ToString::to_string).collect(),
            why: String::new(),
            steps: Vec::new(),
            journal: Vec::new(),
        }
    }
}

/// A server under test.
#[derive(Debug)]
pub struct Server {
    wire: Wire,
    /// The token for all checks that are not about tokens, or `None` if the server issues none.
    session: OnceCell<Option<String>>,
}

const TOKEN_PATH: &str = "/latest/api/token";
const TOKEN: &str = "X-aws-ec2-metadata-token";
const TTL: &str = "X-aws-ec2-metadata-token-ttl-seconds";
const META_DATA: &str = "/latest/meta-data";
const INSTANCE_ID: &str = "/latest/meta-data/instance-id";
const NO_SUCH: &str = "/latest/meta-data/no-such-thing";

impl Server {
    /// Finds the first of the addresses that answers.
    ///
    /// # Errors
    ///
    /// [`EndpointError`] if no address sends an HTTP response.
    pub async fn reach(endpoint: &Endpoint) -> Result<Self, EndpointError> {
        let mut last = String::new();
        for address in endpoint.addresses() {
            let server = Self {
                wire: Wire::new(*address, endpoint.host().to_owned()),
                session: OnceCell::new(),
            };
            // A server may fail one kind of request and answer the other.
            let bare = server.wire.send(&Request::get("/")).await;
            match bare {
                Ok(_) => return Ok(server),
                Err(Broken { what, .. }) => last = format!("{address}: {what}"),
            }
            if server.put("60").await.is_ok() {
                return Ok(server);
            }
        }
        Err(EndpointError::Unreachable(last))
    }

    async fn send(&self, request: Request<'_>) -> Result<Response, NotPassed> {
        self.wire.send(&request).await.map_err(NotPassed::from)
    }

    async fn put(&self, ttl: &str) -> Result<Response, NotPassed> {
        self.send(Request::new("PUT", TOKEN_PATH).with(TTL, ttl))
            .await
    }

    /// A new token.
    async fn token(&self, ttl: &str) -> Result<String, NotPassed> {
        let response = self.put(ttl).await?;
        token_of(&response)
            .ok_or_else(|| NotPassed::NotApplicable("the server issues no token".into()))
    }

    /// The token for all checks that are not about tokens.
    async fn session(&self) -> Option<&str> {
        let ask = async || {
            // The second TTL is for servers that issue only short-lived tokens.
            for ttl in ["21600", "60"] {
                if let Ok(token) = self.token(ttl).await {
                    return Some(token);
                }
            }
            None
        };
        self.session.get_or_init(ask).await.as_deref()
    }

    /// Sends `request` with a token, if the server issues tokens.
    async fn ask(&self, request: Request<'_>) -> Result<Response, NotPassed> {
        match self.session().await {
            Some(token) => self.send(request.with(TOKEN, token)).await,
            None => self.send(request).await,
        }
    }

    async fn get(&self, path: &str) -> Result<Response, NotPassed> {
        self.ask(Request::get(path)).await
    }

    async fn with_token(&self, path: &str, token: &str) -> Result<Response, NotPassed> {
        self.send(Request::get(path).with(TOKEN, token)).await
    }

    async fn without_token(&self, path: &str) -> Result<Response, NotPassed> {
        self.send(Request::get(path)).await
    }

    /// A value that every instance has.
    async fn value(&self, path: &str) -> Result<String, NotPassed> {
        let response = self.get(path).await?;
        response.has_status(200)?;
        Ok(response.text())
    }

    /// A value that not every instance has, or that another check verifies.
    async fn if_there(&self, path: &str) -> Result<Response, NotPassed> {
        let response = self.get(path).await?;
        match response.status {
            200 => Ok(response),
            404 => not_applicable(format!("{path} does not exist")),
            status => not_applicable(format!("{path} cannot be read ({status})")),
        }
    }

    /// Whether a listing has this name, with or without a trailing slash.
    async fn lists(&self, folder: &str, name: &str) -> Result<bool, NotPassed> {
        let listing = self.if_there(folder).await?;
        let mut names = listing.lines().into_iter();
        Ok(names.any(|listed| listed.trim_end_matches('/') == name))
    }

    /// Checks that a name is listed if and only if it exists.
    async fn agrees(&self, folder: &str, name: &str, exists: bool) -> Judged {
        let listed = self.lists(folder, name).await?;
        let seen = match exists {
            true => "it exists, and is not listed",
            false => "it does not exist, and is listed",
        };
        let expected = format!("{name} is listed in {folder} if and only if it exists");
        expect(listed == exists, expected, seen)
    }
}

/// The token in a response, if it can be sent. Other checks verify the response itself.
fn token_of(response: &Response) -> Option<String> {
    let text = response.text();
    let token = text.trim();
    let fit = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    (response.status == 200 && fit).then(|| token.to_owned())
}

/// What the function of a check returns.
type Judged = Result<(), NotPassed>;

/// Why a check did not pass.
#[derive(Debug)]
enum NotPassed {
    Failed { expected: String, seen: String },
    NotApplicable(String),
}

impl From<Broken> for NotPassed {
    fn from(Broken { asked, what }: Broken) -> Self {
        Self::Failed {
            expected: format!("a response to {asked}"),
            seen: what,
        }
    }
}

fn expect(holds: bool, expected: impl Into<String>, seen: impl Into<String>) -> Judged {
    match holds {
        true => Ok(()),
        false => Err(NotPassed::Failed {
            expected: expected.into(),
            seen: seen.into(),
        }),
    }
}

fn not_applicable<T>(why: impl Into<String>) -> Result<T, NotPassed> {
    Err(NotPassed::NotApplicable(why.into()))
}

/// Expectations about a response.
impl Response {
    fn has_status(&self, status: u16) -> Judged {
        expect(
            self.status == status,
            format!("{}: {status}", self.asked),
            self.told(),
        )
    }

    fn has_status_of(&self, statuses: &[u16]) -> Judged {
        let accepted: Vec<String> = statuses.iter().map(ToString::to_string).collect();
        expect(
            statuses.contains(&self.status),
            format!("{}: {}", self.asked, accepted.join(" or ")),
            self.told(),
        )
    }

    fn has_header(&self, name: &str, value: &str) -> Judged {
        expect(
            self.header(name) == Some(value),
            format!("{}: {name}: {value}", self.asked),
            self.header(name).unwrap_or("no such header"),
        )
    }

    /// Ignores parameters after a `;`.
    fn has_type(&self, expected: &str) -> Judged {
        let seen = self.header("content-type").unwrap_or("no such header");
        let essence = seen.split(';').next().unwrap_or_default().trim();
        expect(
            essence.eq_ignore_ascii_case(expected),
            format!("{}: Content-Type: {expected}", self.asked),
            seen,
        )
    }

    /// Compares the methods of the `Allow` header with `methods`, which are in alphabetical order.
    fn allows(&self, methods: &[&str]) -> Judged {
        let allowed = self.header("allow").unwrap_or_default();
        let mut seen: Vec<&str> = allowed.split(',').map(str::trim).collect();
        seen.sort_unstable();
        expect(
            seen == methods,
            format!("Allow: {}", methods.join(", ")),
            format!("Allow: {allowed}"),
        )
    }

    fn has_body_of(&self, other: &Self) -> Judged {
        let same = self.status == other.status && self.body == other.body;
        expect(same, format!("the same as {}", other.told()), self.told())
    }
}
