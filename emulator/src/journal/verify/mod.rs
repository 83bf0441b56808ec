//! Assertions about what clients did.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use chrono::TimeDelta;
use globset::GlobMatcher;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::packets::{Sample, busiest, sum};
use super::{Exchange, Filter, Recorded};
use crate::request::{ImdsVersion, check_glob, glob, text_glob};
use crate::value::{Invalid, Key, Span};

/// The number of exchanges shown with an assertion that does not hold.
const SHOWN: usize = 5;

/// An assertion. In JSON: `"no_imdsv1"`, `{"max_token_puts": 1}`, `{"max_requests": {"max": 10,
/// "within": "1s"}}`, `{"order": ["PUT /latest/api/token", "GET **"]}`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Assertion {
    /// Every request has a token, or requests one.
    NoImdsv1,
    /// No request has an `X-Forwarded-For`.
    NoForwarded,
    /// At most this number of requests are for a token.
    MaxTokenPuts(usize),
    /// There are at most this number of requests.
    MaxRequests(MaxRequests),
    /// There are at least this number of requests.
    MinRequests(MinRequests),
    /// There are exactly this number of requests.
    Requests(Requests),
    /// Requests occur in this order, possibly with other requests in between. Each is described by
    /// a glob of its path, optionally preceded by a method.
    Order(Vec<String>),
    /// After a response with this status, a client waits before it requests the same path again.
    BacksOffAfter(BacksOff),
    /// The `User-Agent` of every request matches.
    UserAgent(UserAgent),
    /// Clients send at most this number of packets to IMDS in any second. It needs
    /// `journal.packets`.
    MaxPacketsPerSecond(u64),
}

/// A sentence. In JSON the assertion is as a configuration has it.
impl fmt::Display for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoImdsv1 => f.write_str("every request has a token, or requests one"),
            Self::NoForwarded => f.write_str("no request has an X-Forwarded-For"),
            Self::MaxTokenPuts(max) => write!(f, "at most {} for a token", count_of(*max)),
            Self::MaxRequests(MaxRequests {
                max,
                within,
                filter,
            }) => {
                write!(f, "at most {}{}", count_of(*max), filter.conditions())?;
                match within {
                    Some(within) => write!(f, ", within any {within}"),
                    None => Ok(()),
                }
            }
            Self::MinRequests(MinRequests { min, filter }) => {
                write!(f, "at least {}{}", count_of(*min), filter.conditions())
            }
            Self::Requests(Requests { number: 0, filter }) => {
                write!(f, "no request{}", filter.conditions())
            }
            Self::Requests(Requests { number, filter }) => {
                write!(f, "exactly {}{}", count_of(*number), filter.conditions())
            }
            Self::Order(wanted) => write!(f, "in this order: {}", wanted.join(", ")),
            Self::BacksOffAfter(BacksOff { status, at_least }) => write!(
                f,
                "after the status {status}, at least {at_least} until the next request for the path"
            ),
            Self::UserAgent(UserAgent { matches }) => {
                write!(f, "every User-Agent matches {matches:?}")
            }
            Self::MaxPacketsPerSecond(max) => {
                write!(f, "at most {max} packets to IMDS in any second")
            }
        }
    }
}

/// A number of requests, in words.
fn count_of(number: usize) -> String {
    match number {
        1 => "1 request".to_owned(),
        _ => format!("{number} requests"),
    }
}

/// A maximum number of requests.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct MaxRequests {
    /// The maximum.
    pub max: usize,
    /// Length of the time window that the maximum is for, on the emulator's clock. Default:
    /// unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Span>,
    /// The requests to count. Default: all.
    #[serde(default, rename = "of")]
    pub filter: Filter,
}

impl MaxRequests {
    /// At most `max` requests.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            within: None,
            filter: Filter::default(),
        }
    }

    /// In any time of this length, on the emulator's clock.
    #[must_use]
    pub fn within(mut self, within: impl Into<Span>) -> Self {
        self.within = Some(within.into());
        self
    }

    /// Of the requests that pass `filter`.
    #[must_use]
    pub fn of(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }
}

impl From<MaxRequests> for Assertion {
    fn from(assertion: MaxRequests) -> Self {
        Self::MaxRequests(assertion)
    }
}

/// A minimum number of requests.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct MinRequests {
    /// The minimum.
    pub min: usize,
    /// The requests to count. Default: all.
    #[serde(default, rename = "of")]
    pub filter: Filter,
}

impl MinRequests {
    /// At least `min` requests.
    pub fn new(min: usize) -> Self {
        Self {
            min,
            filter: Filter::default(),
        }
    }

    /// Of the requests that pass `filter`.
    #[must_use]
    pub fn of(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }
}

impl From<MinRequests> for Assertion {
    fn from(assertion: MinRequests) -> Self {
        Self::MinRequests(assertion)
    }
}

/// An exact number of requests.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Requests {
    /// The number.
    pub number: usize,
    /// The requests to count. Default: all.
    #[serde(default, rename = "of")]
    pub filter: Filter,
}

impl Requests {
    /// Exactly `number` requests.
    pub fn new(number: usize) -> Self {
        Self {
            number,
            filter: Filter::default(),
        }
    }

    /// Of the requests that pass `filter`.
    #[must_use]
    pub fn of(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }
}

impl From<Requests> for Assertion {
    fn from(assertion: Requests) -> Self {
        Self::Requests(assertion)
    }
}

/// A back-off after a failure.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct BacksOff {
    /// The status of the response.
    pub status: u16,
    /// Shortest back-off, in real time. Default: `100ms`.
    #[serde(default = "default_back_off")]
    pub at_least: Span,
}

impl BacksOff {
    /// After a response with `status`, for 100 ms at least.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            at_least: default_back_off(),
        }
    }

    /// For this long at least, on the machine's clock.
    #[must_use]
    pub fn at_least(mut self, at_least: impl Into<Span>) -> Self {
        self.at_least = at_least.into();
        self
    }
}

impl From<BacksOff> for Assertion {
    fn from(assertion: BacksOff) -> Self {
        Self::BacksOffAfter(assertion)
    }
}

fn default_back_off() -> Span {
    TimeDelta::milliseconds(100).into()
}

/// A pattern of the `User-Agent`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct UserAgent {
    /// Glob of the `User-Agent`, like `Boto3/*`.
    pub matches: String,
}

impl UserAgent {
    /// The glob that every `User-Agent` matches.
    pub fn new(matches: impl Into<String>) -> Self {
        Self {
            matches: matches.into(),
        }
    }
}

impl From<UserAgent> for Assertion {
    fn from(assertion: UserAgent) -> Self {
        Self::UserAgent(assertion)
    }
}

/// Whether an assertion holds.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Verdict {
    /// The assertion.
    pub assertion: Assertion,
    /// Whether the assertion holds, as far as the journal goes back.
    pub holds: bool,
    /// The reason.
    pub why: String,
    /// The exchanges that violate the assertion, or come closest to fulfilling it.
    #[schemars(with = "Vec<Exchange>")]
    pub exchanges: Vec<Arc<Exchange>>,
}

/// The verdicts on several assertions.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Report {
    /// Whether all assertions hold.
    pub holds: bool,
    /// The verdict on each assertion, in the order given.
    pub verdicts: Vec<Verdict>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for verdict in &self.verdicts {
            let mark = if verdict.holds { "holds" } else { "FAILS" };
            writeln!(f, "{mark}  {}: {}", verdict.assertion, verdict.why)?;
            for exchange in &verdict.exchanges {
                writeln!(f, "         {exchange}")?;
            }
        }
        Ok(())
    }
}

/// What is known about the requests that assertions are about.
#[derive(Debug)]
pub(super) struct Evidence {
    /// The exchanges, oldest first.
    pub(super) exchanges: Vec<Arc<Exchange>>,
    /// The number of exchanges that the journal dropped.
    pub(super) dropped: u64,
    pub(super) samples: Vec<Sample>,
    pub(super) recorded: Recorded,
}

pub(super) fn verify(assertions: &[Assertion], evidence: &Evidence) -> Result<Report, Invalid> {
    let verdicts: Vec<Verdict> = verdicts(assertions, evidence)?;
    Ok(Report {
        holds: verdicts.iter().all(|verdict| verdict.holds),
        verdicts,
    })
}

fn verdicts(assertions: &[Assertion], evidence: &Evidence) -> Result<Vec<Verdict>, Invalid> {
    assertions
        .iter()
        .enumerate()
        .map(|(at, assertion)| {
            let key = Key::root("assertions").item(at);
            let (wrong, mut why) = assertion.wrong(&key, evidence)?;
            if evidence.dropped > 0 {
                why = format!("{why} (older requests dropped: {})", evidence.dropped);
            }
            Ok(Verdict {
                assertion: assertion.clone(),
                holds: wrong.is_none(),
                why,
                exchanges: wrong
                    .unwrap_or_default()
                    .into_iter()
                    .take(SHOWN)
                    .cloned()
                    .collect(),
            })
        })
        .collect()
}

/// The exchanges that violate an assertion, or `None` if it holds; and the reason.
type Findings<'a> = (Option<Vec<&'a Arc<Exchange>>>, String);

impl Assertion {
    fn wrong<'a>(&self, key: &Key, evidence: &'a Evidence) -> Result<Findings<'a>, Invalid> {
        let all = &evidence.exchanges;
        let none_of = |wrong: Vec<&'a Arc<Exchange>>, what: &str| {
            let why = format!("{} of {} requests {what}", wrong.len(), all.len());
            ((!wrong.is_empty()).then_some(wrong), why)
        };
        let selected = |filter: &Filter, key: &Key| -> Result<Vec<&'a Arc<Exchange>>, Invalid> {
            let key = key.field("of");
            filter.check_recorded(&key, evidence.recorded)?;
            let sieve = filter.compile(&key)?;
            Ok(all
                .iter()
                .filter(|exchange| sieve.passes(exchange))
                .collect())
        };
        Ok(match self {
            Self::NoImdsv1 => none_of(
                all.iter()
                    .filter(|exchange| exchange.imds == ImdsVersion::V1)
                    .collect(),
                "had no token",
            ),
            Self::NoForwarded => none_of(
                all.iter().filter(|exchange| exchange.forwarded).collect(),
                "had an X-Forwarded-For",
            ),
            Self::MaxTokenPuts(most) => {
                let puts: Vec<_> = all
                    .iter()
                    .filter(|exchange| exchange.asks_for_token())
                    .collect();
                at_most(puts, *most, " for a token")
            }
            Self::MaxRequests(MaxRequests {
                max,
                within,
                filter,
            }) => {
                let key = key.field("max_requests");
                let requests = selected(filter, &key)?;
                match within {
                    None => at_most(requests, *max, ""),
                    Some(within) => {
                        let most = densest(&requests, (*within).into());
                        at_most(most, *max, &format!(" within {within}"))
                    }
                }
            }
            Self::MinRequests(MinRequests { min, filter }) => {
                let requests = selected(filter, &key.field("min_requests"))?;
                let why = count_of(requests.len());
                ((requests.len() < *min).then_some(requests), why)
            }
            Self::Requests(Requests { number, filter }) => {
                let requests = selected(filter, &key.field("requests"))?;
                let why = count_of(requests.len());
                ((requests.len() != *number).then_some(requests), why)
            }
            Self::Order(order) => in_order(order, &key.field("order"), all)?,
            Self::BacksOffAfter(back_off) => backs_off(back_off, all),
            Self::UserAgent(UserAgent { matches }) => {
                check_glob(&key.field("user_agent").field("matches"), matches)?;
                let glob = text_glob(matches).ok().map(|glob| glob.compile_matcher());
                let is_other = |exchange: &&Arc<Exchange>| {
                    let agent = exchange.user_agent.as_deref().unwrap_or_default();
                    !glob.as_ref().is_some_and(|glob| glob.is_match(agent))
                };
                none_of(
                    all.iter().filter(is_other).collect(),
                    &format!("had a User-Agent that is not {matches:?}"),
                )
            }
            Self::MaxPacketsPerSecond(max) => {
                key.field("max_packets_per_second").unless(
                    evidence.recorded.packets,
                    max,
                    "no maximum, unless `journal.packets` is true: otherwise the emulator does not \
                     count packets",
                )?;
                packets(*max, evidence)
            }
        })
    }
}

fn at_most<'a>(requests: Vec<&'a Arc<Exchange>>, most: usize, what: &str) -> Findings<'a> {
    let why = format!("{}{what}", count_of(requests.len()));
    // The excess requests are listed first.
    let wrong = (requests.len() > most).then(|| requests.into_iter().skip(most).collect());
    (wrong, why)
}

/// Packets are counted only in networks of the emulator, so other requests prove nothing.
fn packets(max: u64, evidence: &Evidence) -> Findings<'_> {
    let Evidence {
        exchanges, samples, ..
    } = evidence;
    if samples.is_empty() && !exchanges.is_empty() {
        let why = "no packets were counted, because the requests came from none of the networks in which they are";
        return (Some(exchanges.iter().collect()), why.into());
    }
    let busiest = busiest(samples);
    let most = sum(busiest);
    let is_of = |exchange: &&Arc<Exchange>| {
        let mut connections = busiest.iter().map(|sample| Some(sample.connection));
        connections.any(|connection| connection == exchange.connection)
    };
    let wrong = (most > max).then(|| exchanges.iter().filter(is_of).collect());
    (wrong, format!("{most} packets in the busiest second"))
}

/// The largest group of requests within any window of this length.
fn densest<'a>(requests: &[&'a Arc<Exchange>], within: TimeDelta) -> Vec<&'a Arc<Exchange>> {
    let mut most: &[&Arc<Exchange>] = &[];
    let mut from = 0;
    for (at, exchange) in requests.iter().enumerate() {
        while requests
            .get(from)
            .is_some_and(|first| exchange.at.signed_duration_since(first.at) >= within)
        {
            from += 1;
        }
        let window = requests.get(from..=at).unwrap_or_default();
        if window.len() > most.len() {
            most = window;
        }
    }
    most.to_vec()
}

fn in_order<'a>(
    order: &[String],
    key: &Key,
    all: &'a [Arc<Exchange>],
) -> Result<Findings<'a>, Invalid> {
    let mut wanted: Vec<(Option<&str>, GlobMatcher)> = Vec::new();
    for (at, pattern) in order.iter().enumerate() {
        let (method, path) = match pattern.split_once(' ') {
            Some((method, path)) => (Some(method), path),
            None => (None, pattern.as_str()),
        };
        check_glob(&key.item(at), path)?;
        if let Ok(glob) = glob(path) {
            wanted.push((method, glob.compile_matcher()));
        }
    }
    let mut rest = all.iter();
    let mut last = None;
    for (at, (method, path)) in wanted.iter().enumerate() {
        let next = rest.by_ref().find(|exchange| {
            method.is_none_or(|method| method == exchange.method) && exchange.path_matches(path)
        });
        let Some(next) = next else {
            let pattern = order.get(at).map(String::as_str).unwrap_or_default();
            let why = match last {
                None => format!("no request matches {pattern:?}"),
                Some(()) => format!(
                    "no request matches {pattern:?} after the requests before it in the order"
                ),
            };
            let nearest = all
                .iter()
                .rev()
                .filter(|exchange| exchange.path_matches(path))
                .collect();
            return Ok((Some(nearest), why));
        };
        let _: &Arc<Exchange> = next;
        last = Some(());
    }
    Ok((
        None,
        format!("all {} requests were made, in this order", wanted.len()),
    ))
}

fn backs_off<'a>(back_off: &BacksOff, all: &'a [Arc<Exchange>]) -> Findings<'a> {
    let least = TimeDelta::from(back_off.at_least).num_milliseconds();
    // When each client last got the status, by method and path.
    let mut refused: BTreeMap<(IpAddr, &str, &str), u64> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut count = 0;
    for exchange in all {
        let about = (
            exchange.client,
            exchange.method.as_str(),
            exchange.path.as_str(),
        );
        if let Some(before) = refused.remove(&about)
            && exchange.uptime_ms.saturating_sub(before) < least.unsigned_abs()
        {
            wrong.push(exchange);
        }
        if exchange.status == Some(back_off.status) {
            count += 1;
            let took = exchange.duration_ms.max(0.0) as u64;
            refused.insert(about, exchange.uptime_ms.saturating_add(took));
        }
    }
    let why = format!(
        "{count} response{} with {}; after {} of them the next request came in less than {}",
        if count == 1 { "" } else { "s" },
        back_off.status,
        wrong.len(),
        back_off.at_least,
    );
    ((!wrong.is_empty()).then_some(wrong), why)
}

#[cfg(test)]
mod tests;
