//! The journal of requests and their outcomes, and assertions over it.
//!
//! It contains neither tokens nor secrets. It is bounded: it keeps the newest exchanges and counts
//! those that it drops. Adding an exchange takes constant time.

mod filter;
mod packets;
mod process;
mod verify;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use globset::GlobMatcher;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use self::packets::Traffic;
use self::verify::Evidence;

pub use filter::Filter;
pub(crate) use filter::Recorded;
pub(crate) use packets::Sample;
pub use packets::{ConnectionPackets, Packets};
pub use process::{Parent, Process};
pub use verify::{
    Assertion, BacksOff, MaxRequests, MinRequests, Report, Requests, UserAgent, Verdict,
};

use crate::request::{ImdsVersion, Path, TokenState};
use crate::token::BEGINNINGS;
use crate::value::{Invalid, Key};

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
    /// The process that opened the connection, if the journal records processes (`journal.process`) and
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

impl Exchange {
    /// Whether the request asks for a token: `PUT` of `/latest/api/token`, in any notation that IMDS
    /// accepts.
    pub(crate) fn asks_for_token(&self) -> bool {
        self.method == "PUT" && Path::new(&self.path).is_for_tokens()
    }

    /// Whether the path matches, however it is written.
    pub(crate) fn path_matches(&self, glob: &GlobMatcher) -> bool {
        glob.is_match(&*Path::new(&self.path).normal())
    }
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

/// The exchanges of an emulator.
#[derive(Debug)]
pub(crate) struct Journal {
    entries: Mutex<Entries>,
    traffic: Mutex<Traffic>,
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
            traffic: Mutex::new(Traffic::new(capacity)),
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
        drop(entries);
        self.traffic().clear();
    }

    /// Adds packets that a client has sent.
    pub(crate) fn add_packets(&self, sample: Sample) {
        self.traffic().add(sample);
    }

    /// The packets that clients have sent.
    pub(crate) fn packets(&self) -> Packets {
        self.traffic().packets()
    }

    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
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
        let place = Place::default();
        verify::verify(assertions, &self.evidence(place, recorded))
    }

    /// The place after the newest exchange.
    pub(crate) fn end(&self) -> Place {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        Place {
            exchanges: entries.added,
            samples: self.traffic().added(),
        }
    }

    /// Checks an assertion about the exchanges after a place in the journal.
    pub(crate) fn verify_after(
        &self,
        place: Place,
        assertion: Assertion,
        recorded: Recorded,
    ) -> Result<Report, Invalid> {
        verify::verify(&[assertion], &self.evidence(place, recorded))
    }

    /// What the journal knows about the time after a place.
    fn evidence(&self, place: Place, recorded: Recorded) -> Evidence {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = entries.added.saturating_sub(place.exchanges);
        let there = entries.exchanges.len() as u64;
        let before = usize::try_from(there.saturating_sub(wanted)).unwrap_or(usize::MAX);
        Evidence {
            exchanges: entries.exchanges.iter().skip(before).cloned().collect(),
            dropped: entries.dropped.min(wanted.saturating_sub(there)),
            samples: self.traffic().after(place.samples),
            recorded,
        }
    }
}

/// A place in the journal. The default is before everything.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    exchanges: u64,
    samples: u64,
}

/// A client's text as the journal stores it: truncated, and without anything that looks like a
/// token.
pub(crate) fn kept(text: &str) -> String {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = text.get(..end).unwrap_or_default();
    let is_token = |(at, _): &(usize, &str)| {
        let mut beginnings = BEGINNINGS.iter();
        let (_, rest) = text.split_at(*at);
        beginnings.any(|beginning| rest.starts_with(beginning))
    };
    // Few texts have a capital A, so this is the quickest way through them.
    let Some((at, _)) = text.match_indices('A').find(is_token) else {
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
        let recorded = Recorded {
            processes: false,
            packets: false,
        };
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
