//! The journal of requests and their outcomes, and assertions over it.
//!
//! It contains neither tokens nor secrets. It is bounded: it keeps the newest exchanges and counts
//! those that it drops. Adding an exchange takes constant time.

mod process;
mod verify;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use globset::GlobMatcher;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

pub use process::{Parent, Process};
pub use verify::{
    Assertion, BacksOff, MaxRequests, MinRequests, Report, Requests, UserAgent, Verdict,
};

use crate::request::{ImdsVersion, TokenState, check_glob, glob, text_glob};
use crate::token::BEGINNINGS;
use crate::value::{Invalid, Key, all};

/// The length to which a text from a client is truncated, in bytes.
const LONGEST: usize = 512;
/// The number of exchanges that a follower can be behind before it misses some.
const BEHIND: usize = 1024;

/// A request and its outcome.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Exchange {
    /// The number of the request, counted from 1 since the emulator was started or reset.
    pub number: u64,
    /// When the request arrived, on the emulator's clock.
    #[schemars(with = "String")]
    pub at: DateTime<Utc>,
    /// When the request arrived, in milliseconds of real time since the emulator was started.
    pub uptime_ms: u64,
    /// The client's address.
    #[schemars(with = "String")]
    pub client: IpAddr,
    /// The number of the connection that the request came on, counted from 1 since the emulator was
    /// started. A request through a [router](crate::Builder::router) has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<u64>,
    /// The process that opened the connection, if the journal tells processes (`journal.process`) and
    /// it was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Process>")]
    pub process: Option<Arc<Process>>,
    /// The method.
    pub method: String,
    /// The path, without a query.
    pub path: String,
    /// The version of IMDS that the client used.
    pub imds: ImdsVersion,
    /// The state of the request's token.
    pub token: TokenState,
    /// The lifetime in seconds that a request for a token asks for, if that is a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<u32>,
    /// The `User-Agent` of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Whether the request had an `X-Forwarded-For`.
    pub forwarded: bool,
    /// The names of the rules that applied.
    pub rules: Vec<Arc<str>>,
    /// The outcome.
    pub outcome: Outcome,
    /// The status of the response, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The length of the response's body in bytes.
    pub bytes: usize,
    /// Time until the response was sent, in milliseconds of real time.
    pub duration_ms: f64,
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            number,
            at,
            method,
            path,
            client,
            ..
        } = self;
        let at = at.to_rfc3339_opts(SecondsFormat::Millis, true);
        write!(f, "#{number} {at} {client} {method} {path} ")?;
        match self.status {
            Some(status) => write!(f, "{status}")?,
            None => f.write_str(&word(&self.outcome))?,
        }
        write!(f, " {} token:{}", word(&self.imds), word(&self.token))?;
        if let Some(agent) = &self.user_agent {
            write!(f, " {agent:?}")?;
        }
        if let Some(process) = &self.process {
            write!(f, " by {process}")?;
        }
        if !self.rules.is_empty() {
            write!(f, " [{}]", self.rules.join(", "))?;
        }
        Ok(())
    }
}

/// A unit variant, as in JSON but without the quotes.
pub(crate) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// The outcome of a request.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Outcome {
    /// The request got an HTTP response.
    Answered,
    /// A fault sent something else than a proper response, or nothing, and closed the connection.
    Spoiled,
    /// The connection was reset.
    Reset,
    /// The request got no response, or part of one, and the connection stayed open.
    #[serde(alias = "silence")]
    NoResponse,
    /// The client closed the connection before the response.
    Abandoned,
}

/// Selects exchanges: those that match everything that is given.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Filter {
    /// Glob of the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The version of IMDS that the client used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imds: Option<ImdsVersion>,
    /// The state of the request's token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenState>,
    /// The status of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The name of a rule that applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Glob of the `User-Agent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The client's address or network.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub client: Option<IpNet>,
    /// Glob of the name of the process. It needs `journal.process`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// Only exchanges with a higher number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Only this number of the newest exchanges.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

impl Filter {
    /// Selects exchanges by a glob of their path.
    pub fn path(glob: impl Into<String>) -> Self {
        Self {
            path: Some(glob.into()),
            ..Self::default()
        }
    }

    /// The conditions as `ctl requests find` takes them: ` with KEY=VALUE KEY=VALUE`, or nothing.
    pub(crate) fn conditions(&self) -> String {
        let Ok(serde_json::Value::Object(conditions)) = serde_json::to_value(self) else {
            return String::new();
        };
        let mut text = String::new();
        for (at, (key, value)) in conditions.iter().enumerate() {
            let before = if at == 0 { " with" } else { "" };
            let value = match value.as_str() {
                Some(word) => word.to_owned(),
                None => value.to_string(),
            };
            text.push_str(&format!("{before} {key}={value}"));
        }
        text
    }

    /// Checks and compiles the filter; `key` is where it stands.
    pub(crate) fn compile(&self, key: &Key) -> Result<Sieve<'_>, Invalid> {
        all([
            ("path", &self.path),
            ("user-agent", &self.user_agent),
            ("process", &self.process),
        ]
        .map(|(name, pattern)| {
            let check = |pattern: &String| check_glob(&key.field(name), pattern);
            pattern.as_ref().map_or(Ok(()), check)
        }))?;
        let path = self.path.as_deref().and_then(|path| glob(path).ok());
        let text = |pattern: &Option<String>| {
            let glob = text_glob(pattern.as_deref()?).ok()?;
            Some(glob.compile_matcher())
        };
        Ok(Sieve {
            filter: self,
            path: path.map(|glob| glob.compile_matcher()),
            user_agent: text(&self.user_agent),
            process: text(&self.process),
        })
    }

    /// Checks that the journal records what the filter is about; `key` is where it stands.
    pub(crate) fn check_recorded(&self, key: &Key, recorded: Recorded) -> Result<(), Invalid> {
        let Some(pattern) = &self.process else {
            return Ok(());
        };
        key.field("process").unless(
            recorded.processes,
            pattern,
            "no condition, unless `journal.process` is true: otherwise the journal does not tell \
             processes",
        )
    }
}

/// What the journal records on demand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recorded {
    pub(crate) processes: bool,
}

/// A compiled filter.
pub(crate) struct Sieve<'a> {
    filter: &'a Filter,
    path: Option<GlobMatcher>,
    user_agent: Option<GlobMatcher>,
    process: Option<GlobMatcher>,
}

impl Sieve<'_> {
    pub(crate) fn passes(&self, exchange: &Exchange) -> bool {
        let Self { filter, .. } = self;
        let agent = exchange.user_agent.as_deref().unwrap_or_default();
        self.path
            .as_ref()
            .is_none_or(|glob| glob.is_match(&exchange.path))
            && self
                .user_agent
                .as_ref()
                .is_none_or(|glob| glob.is_match(agent))
            && self.process.as_ref().is_none_or(|glob| {
                let process = exchange.process.as_ref();
                process.is_some_and(|process| glob.is_match(&process.name))
            })
            && filter
                .method
                .as_ref()
                .is_none_or(|method| *method == exchange.method)
            && filter.imds.is_none_or(|imds| imds == exchange.imds)
            && filter.token.is_none_or(|token| token == exchange.token)
            && filter
                .status
                .is_none_or(|status| Some(status) == exchange.status)
            && filter
                .outcome
                .is_none_or(|outcome| outcome == exchange.outcome)
            && filter
                .rule
                .as_deref()
                .is_none_or(|rule| exchange.rules.iter().any(|name| **name == *rule))
            && filter
                .client
                .is_none_or(|client| client.contains(&exchange.client))
            && filter.since.is_none_or(|since| exchange.number > since)
    }
}

/// The exchanges of an emulator.
#[derive(Debug)]
pub(crate) struct Journal {
    entries: Mutex<Entries>,
    followers: broadcast::Sender<Arc<Exchange>>,
}

#[derive(Debug)]
struct Entries {
    exchanges: VecDeque<Arc<Exchange>>,
    capacity: usize,
    dropped: u64,
    /// Number of all exchanges, dropped ones included.
    added: u64,
    /// Counts of all exchanges, dropped ones included.
    counts: BTreeMap<Kind, u64>,
}

/// The properties that exchanges are counted by.
pub(crate) type Kind = (ImdsVersion, Outcome, Option<u16>);

/// The exchanges that a filter selects.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Found {
    /// The exchanges, oldest first.
    #[schemars(with = "Vec<Exchange>")]
    pub exchanges: Vec<Arc<Exchange>>,
    /// The number of exchanges that the journal dropped, whatever the filter.
    pub dropped: u64,
}

impl Journal {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            entries: Mutex::new(Entries {
                exchanges: VecDeque::new(),
                capacity,
                dropped: 0,
                added: 0,
                counts: BTreeMap::new(),
            }),
            followers: broadcast::Sender::new(BEHIND),
        }
    }

    pub(crate) fn add(&self, exchange: Exchange) {
        let exchange = Arc::new(exchange);
        {
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            let kind = (exchange.imds, exchange.outcome, exchange.status);
            *entries.counts.entry(kind).or_default() += 1;
            entries.added += 1;
            if entries.exchanges.len() >= entries.capacity {
                entries.exchanges.pop_front();
                entries.dropped += 1;
            }
            if entries.capacity > 0 {
                entries.exchanges.push_back(Arc::clone(&exchange));
            }
        }
        // Fails if there are no followers, which is fine.
        let _ = self.followers.send(exchange);
    }

    pub(crate) fn find(&self, filter: &Filter, recorded: Recorded) -> Result<Found, Invalid> {
        filter.check_recorded(&Key::root("filter"), recorded)?;
        let sieve = filter.compile(&Key::root("filter"))?;
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut exchanges: Vec<Arc<Exchange>> = entries
            .exchanges
            .iter()
            .rev()
            .filter(|exchange| sieve.passes(exchange))
            .take(filter.limit.unwrap_or(usize::MAX))
            .cloned()
            .collect();
        exchanges.reverse();
        Ok(Found {
            exchanges,
            dropped: entries.dropped,
        })
    }

    pub(crate) fn clear(&self) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.exchanges.clear();
        entries.dropped = 0;
    }

    /// The number of exchanges of each kind, dropped ones included.
    #[cfg(any(feature = "admin", test))]
    pub(crate) fn counts(&self) -> Vec<(Kind, u64)> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries
            .counts
            .iter()
            .map(|(kind, count)| (*kind, *count))
            .collect()
    }

    /// The number of exchanges in the journal, and of those that it dropped.
    #[cfg(any(feature = "admin", test))]
    pub(crate) fn length(&self) -> (u64, u64) {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        (entries.exchanges.len() as u64, entries.dropped)
    }

    /// Subscribes to exchanges from now on.
    pub(crate) fn follow(&self) -> broadcast::Receiver<Arc<Exchange>> {
        self.followers.subscribe()
    }

    pub(crate) fn verify(
        &self,
        assertions: &[Assertion],
        recorded: Recorded,
    ) -> Result<Report, Invalid> {
        let found = self.find(&Filter::default(), recorded)?;
        verify::verify(assertions, &found, recorded)
    }

    /// The place after the newest exchange.
    pub(crate) fn end(&self) -> u64 {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.added
    }

    /// Checks an assertion about the exchanges after a place in the journal.
    pub(crate) fn verify_after(
        &self,
        place: u64,
        assertion: Assertion,
        recorded: Recorded,
    ) -> Result<Report, Invalid> {
        let found = {
            let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            let wanted = entries.added.saturating_sub(place);
            let there = entries.exchanges.len() as u64;
            let before = usize::try_from(there.saturating_sub(wanted)).unwrap_or(usize::MAX);
            Found {
                exchanges: entries.exchanges.iter().skip(before).cloned().collect(),
                dropped: entries.dropped.min(wanted.saturating_sub(there)),
            }
        };
        verify::verify(&[assertion], &found, recorded)
    }
}

/// A client's text as the journal stores it: truncated, and without anything that looks like a
/// token.
pub(crate) fn kept(text: &str) -> String {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = text.get(..end).unwrap_or_default();
    let found = BEGINNINGS
        .iter()
        .filter_map(|beginning| text.find(beginning));
    let Some(at) = found.min() else {
        return text.to_owned();
    };
    let (before, token) = text.split_at(at);
    let rest = token.trim_start_matches(|letter: char| {
        letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '=')
    });
    format!("{before}[token]{}", kept(rest))
}

/// The time in milliseconds, to the microsecond.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_not_kept() {
        let token = "AQAEAAAAAZt982Xwrd5amMmjxS0ZO3BECkBGreHTF-QDOVKcUeQPNg==";
        assert_eq!(
            kept(&format!("/latest/{token}/x/{token}?")),
            "/latest/[token]/x/[token]?"
        );
        let of_xen = token.replace("AQAEA", "AQAAA");
        assert_eq!(kept(&format!("{of_xen} {token}")), "[token] [token]");
        assert_eq!(kept("/latest/meta-data/"), "/latest/meta-data/");
        assert_eq!(kept(&"\u{e4}".repeat(1000)).len(), LONGEST);
        assert_eq!(
            kept(&format!("x{}", "\u{e4}".repeat(1000))).len(),
            LONGEST - 1
        );
    }

    #[test]
    fn an_earlier_name_of_an_outcome_is_accepted() {
        for name in ["no-response", "silence"] {
            let filter: Filter =
                serde_json::from_value(serde_json::json!({ "outcome": name })).unwrap();
            assert_eq!(filter.outcome, Some(Outcome::NoResponse), "{name}");
        }
    }

    #[test]
    fn times_are_told_to_the_microsecond() {
        assert_eq!(milliseconds(Duration::from_nanos(1_234_567_890)), 1234.568);
    }

    #[test]
    fn what_there_was_is_counted_when_it_is_kept_no_more() {
        let journal = Journal::new(2);
        for number in 1..=3 {
            journal.add(Exchange {
                number,
                at: DateTime::UNIX_EPOCH,
                uptime_ms: 0,
                client: [127, 0, 0, 1].into(),
                connection: Some(number),
                process: Some(Arc::new(Process {
                    pid: 70,
                    name: "cu\nrl".into(),
                    parent: None,
                })),
                method: "GET".into(),
                path: "/".into(),
                imds: ImdsVersion::V1,
                token: TokenState::None,
                lifetime: None,
                user_agent: Some("me/1".into()),
                forwarded: false,
                rules: vec!["one".into(), "two".into()],
                outcome: Outcome::NoResponse,
                status: None,
                bytes: 0,
                duration_ms: 0.0,
            });
        }
        let kind = (ImdsVersion::V1, Outcome::NoResponse, None);
        assert_eq!(journal.counts(), [(kind, 3)]);
        assert_eq!(journal.length(), (2, 1));
        let recorded = Recorded { processes: false };
        let found = journal.find(&Filter::default(), recorded).unwrap();
        assert_eq!(
            found.exchanges[0].to_string(),
            "#2 1970-01-01T00:00:00.000Z 127.0.0.1 GET / no-response v1 token:none \"me/1\" by cu\\nrl[70] [one, two]"
        );
        journal.clear();
        assert_eq!(journal.counts(), [(kind, 3)]);
        assert_eq!(journal.length(), (0, 0));
    }
}
