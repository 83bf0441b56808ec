//! Which rules apply to a request.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use globset::{GlobMatcher, GlobSet, GlobSetBuilder};
use http::header::USER_AGENT;
use http::request::Parts;
use http::{HeaderName, Method, Response};
use ipnet::IpNet;
use rand::RngExt as _;
use sha2::{Digest as _, Sha256};

use super::conditions::Conditions;
use super::draft::Draft;
use super::kinds::{Meter, Nature, Refusal, Requests};
use super::occurrence::{Occurrence, random};
use super::view::View;
use super::{Family, InScenario, Rule, STARTED, header};
use crate::decision::Delivery;
use crate::dialect::Dialect;
use crate::request::{ImdsVersion, TokenState, glob, text_glob};
use crate::value::{Invalid, Key};

/// A request as rules see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) request: &'a Parts,
    /// With repeated slashes reduced to one.
    pub(crate) path: &'a str,
    /// Whether it is a `PUT` request for a token.
    pub(crate) for_token: bool,
    pub(crate) version: Option<&'a str>,
    pub(crate) imds: ImdsVersion,
    pub(crate) token: TokenState,
    pub(crate) peer: IpAddr,
    /// The name of the client's process, if a rule needs it and it was found.
    pub(crate) process: Option<&'a str>,
    /// Number of open connections, this one included.
    pub(crate) connections: usize,
    /// Whether the emulator owns the network that the request came over.
    pub(crate) network_is_ours: bool,
    /// The number of the request, from 1.
    pub(crate) number: u64,
}

/// A rule that applies to a request.
#[derive(Clone, Debug)]
pub(crate) struct Fired {
    active: Arc<Active>,
    occurrence: Occurrence,
}

impl Fired {
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.active.name
    }

    /// How long the fault delays the response.
    pub(crate) fn delay(&self) -> Duration {
        match self.active.rule.fault.nature() {
            Nature::Delay(_, fault) => fault.delay(&self.occurrence),
            Nature::Listener(..)
            | Nature::Network(..)
            | Nature::Accept
            | Nature::Response(..)
            | Nature::Delivery(..)
            | Nature::Instance(..)
            | Nature::Rate(..) => Duration::ZERO,
        }
    }

    /// Whether the fault changes the instance.
    pub(crate) fn alters(&self) -> bool {
        self.active.rule.fault.nature().alters()
    }

    /// Changes the instance as this request sees it, if the fault acts on the instance.
    pub(crate) fn alter(&self, view: &mut View) {
        match self.active.rule.fault.nature() {
            Nature::Instance(_, fault) => fault.alter(view, &self.occurrence),
            Nature::Listener(..)
            | Nature::Network(..)
            | Nature::Accept
            | Nature::Response(..)
            | Nature::Delivery(..)
            | Nature::Delay(..)
            | Nature::Rate(..) => {}
        }
    }

    /// Whether the fault replaces the response.
    pub(crate) fn replaces(&self) -> bool {
        self.active.rule.fault.nature().replaces()
    }

    /// What the client receives: `response`, or what the fault
    /// [replaces](Self::replaces) it with.
    pub(crate) fn deliver(
        &self,
        response: Response<Bytes>,
        request: &Parts,
        dialect: Dialect,
    ) -> Delivery {
        let draft = Draft {
            response,
            dialect,
            method: request.method.clone(),
            occurrence: self.occurrence,
        };
        self.active.rule.fault.nature().deliver(draft)
    }
}

/// An active rule.
#[derive(Debug)]
struct Active {
    rule: Rule,
    name: Arc<str>,
    id: u64,
    began: DateTime<Utc>,
    seed: u64,
    method: Option<Method>,
    headers: Vec<(HeaderName, GlobMatcher)>,
    user_agent: Option<GlobMatcher>,
    process: Option<GlobMatcher>,
    matched: AtomicU64,
    fired: AtomicU64,
    meter: Mutex<Meter>,
}

/// The path globs of all rules. Clients request few different paths, so the matches of a path are
/// cached.
#[derive(Debug, Default)]
struct Paths {
    globs: GlobSet,
    known: RwLock<HashMap<Box<str>, Arc<[usize]>>>,
}

/// Number of cached paths.
const KNOWN: usize = 64;

impl Paths {
    fn matching(&self, path: &str) -> Arc<[usize]> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = known.get(path) {
            return Arc::clone(places);
        }
        drop(known);
        let places: Arc<[usize]> = self.globs.matches(path).into();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(path.into(), Arc::clone(&places));
        places
    }
}

/// The conditions of a rule that most requests fail.
#[derive(Clone, Debug)]
struct Gate {
    /// Index of the rule's path glob among those of all rules.
    path: Option<usize>,
    method: Option<Method>,
    client: Option<IpNet>,
    /// Whether the rule is for requests, and for which.
    requests: Option<Requests>,
    /// Whether the fault acts on packets.
    impairs: bool,
    /// Whether the fault replaces the response. If several such faults match, the first applies.
    replaces: bool,
}

impl Gate {
    fn admits(&self, asked: &Asked<'_>, paths: &[usize]) -> bool {
        let is_for = match self.requests {
            None => false,
            Some(Requests::All) => true,
            Some(Requests::Tokens) => asked.for_token,
        };
        is_for
            && (!self.impairs || asked.network_is_ours)
            && self.path.is_none_or(|path| paths.contains(&path))
            && self
                .method
                .as_ref()
                .is_none_or(|method| *method == asked.request.method)
            && self
                .client
                .is_none_or(|client| client.contains(&asked.peer))
    }
}

/// All active rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuleSet {
    /// By priority, then in the order in which they were added.
    active: Vec<Arc<Active>>,
    /// The gate of each rule. They lie side by side: with many rules, following the pointer to each
    /// rule would take most of the time.
    gates: Vec<Gate>,
    paths: Arc<Paths>,
    next_id: u64,
    scenarios: Arc<Mutex<BTreeMap<String, String>>>,
}

impl RuleSet {
    /// The set with `rule` added at `now`.
    pub(crate) fn with(
        &self,
        rule: Rule,
        seed: &[u8; 32],
        now: DateTime<Utc>,
        key: &Key,
    ) -> Result<Self, Invalid> {
        rule.check(key)?;
        key.field("name").unless(
            self.active
                .iter()
                .all(|active| active.rule.name != rule.name),
            &rule.name,
            "a name that no other rule has",
        )?;
        let headers = rule
            .matches
            .headers
            .iter()
            .filter_map(|(name, pattern)| {
                Some((header(name)?, text_glob(pattern).ok()?.compile_matcher()))
            })
            .collect();
        let text = |pattern: &Option<String>| {
            let glob = text_glob(pattern.as_deref()?).ok()?;
            Some(glob.compile_matcher())
        };
        let active = Active {
            name: rule.name.as_str().into(),
            id: self.next_id,
            began: now,
            seed: rule.when.seed.unwrap_or_else(|| own_seed(seed, &rule.name)),
            method: rule
                .matches
                .method
                .as_ref()
                .and_then(|method| method.parse().ok()),
            headers,
            user_agent: text(&rule.matches.user_agent),
            process: text(&rule.matches.process),
            matched: AtomicU64::new(0),
            fired: AtomicU64::new(0),
            meter: Mutex::default(),
            rule,
        };
        let mut all = self.active.clone();
        all.push(Arc::new(active));
        all.sort_by_key(|active| std::cmp::Reverse(active.rule.priority));
        Ok(self.of(all, self.next_id + 1))
    }

    /// The unique ID of the rule with that name. A later rule with the same name has another ID.
    pub(crate) fn id(&self, name: &str) -> Option<u64> {
        let found = self.active.iter().find(|active| active.rule.name == name);
        found.map(|active| active.id)
    }

    /// The set without that rule.
    pub(crate) fn without(&self, id: u64) -> Self {
        let mut all = self.active.clone();
        all.retain(|active| active.id != id);
        self.of(all, self.next_id)
    }

    /// The set without rules.
    pub(crate) fn cleared(&self) -> Self {
        self.of(Vec::new(), self.next_id)
    }

    /// Combines the path globs of all rules, so that one pass finds all that match.
    fn of(&self, active: Vec<Arc<Active>>, next_id: u64) -> Self {
        let mut paths = GlobSetBuilder::new();
        let mut count = 0;
        let mut place = |rule: &Rule| {
            paths.add(glob(rule.matches.path.as_ref()?).ok()?);
            count += 1;
            Some(count - 1)
        };
        let gates = active
            .iter()
            .map(|active| {
                let nature = active.rule.fault.nature();
                Gate {
                    path: place(&active.rule),
                    method: active.method.clone(),
                    client: active.rule.matches.client,
                    requests: nature.requests(),
                    impairs: matches!(nature, Nature::Network(..)),
                    replaces: nature.replaces(),
                }
            })
            .collect();
        Self {
            active,
            gates,
            paths: Arc::new(Paths {
                globs: paths.build().unwrap_or_default(),
                known: RwLock::default(),
            }),
            next_id,
            scenarios: Arc::clone(&self.scenarios),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.active.is_empty()
    }

    /// Whether a rule is for certain processes only.
    pub(crate) fn tells_processes_apart(&self) -> bool {
        self.active.iter().any(|active| active.process.is_some())
    }

    /// The rules, each with the number of requests that it has applied to.
    pub(crate) fn rules(&self) -> impl Iterator<Item = (&Rule, u64)> {
        self.active
            .iter()
            .map(|active| (&active.rule, active.fired.load(Ordering::Relaxed)))
    }

    /// The state of a scenario.
    pub(crate) fn scenario(&self, name: &str) -> String {
        let states = self
            .scenarios
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        states.get(name).map_or(STARTED, String::as_str).to_owned()
    }

    /// Moves a scenario to a state.
    pub(crate) fn set_scenario(&self, name: &str, state: &str) {
        let mut states = self
            .scenarios
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        states.insert(name.to_owned(), state.to_owned());
    }

    /// Moves all scenarios back to their first state.
    pub(crate) fn reset_scenarios(&self) {
        self.scenarios
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// The rules that apply to a request. Each of them counts the request.
    pub(crate) fn fire(&self, asked: &Asked<'_>, now: DateTime<Utc>) -> Vec<Fired> {
        let mut fired = Vec::new();
        if self.active.is_empty() {
            return fired;
        }
        let paths = self.paths.matching(asked.path);
        let mut is_replaced = false;
        for (active, gate) in self.active.iter().zip(&self.gates) {
            if !gate.admits(asked, &paths) {
                continue;
            }
            if (gate.replaces && is_replaced) || !active.is_within(now) || !active.matches(asked) {
                continue;
            }
            if let Some(nth) = self.applies(active, asked, now) {
                is_replaced |= gate.replaces;
                fired.push(Fired {
                    active: Arc::clone(active),
                    occurrence: active.occurrence(nth),
                });
            }
        }
        fired
    }

    /// The rule that resets a connection before a request is read.
    pub(crate) fn fire_on_accept(
        &self,
        peer: IpAddr,
        process: Option<&str>,
        now: DateTime<Utc>,
    ) -> Option<Fired> {
        self.active.iter().find_map(|active| {
            let client = active.rule.matches.client;
            if !matches!(active.rule.fault.nature(), Nature::Accept)
                || !active.is_within(now)
                || client.is_some_and(|client| !client.contains(&peer))
                || !active.is_from(process)
            {
                return None;
            }
            Some(Fired {
                occurrence: active.occurrence(self.counts(active)?),
                active: Arc::clone(active),
            })
        })
    }

    /// How connections over an address family are refused, if they are. The first rule decides.
    pub(crate) fn refusal(&self, of: Family, now: DateTime<Utc>) -> Option<Refusal> {
        self.active.iter().find_map(|active| {
            let Nature::Listener(family, refusal) = active.rule.fault.nature() else {
                return None;
            };
            let is_refused = family.is_none_or(|family| family == of) && active.is_within(now);
            is_refused.then_some(refusal)
        })
    }

    /// What rules do to packets.
    pub(crate) fn conditions(&self, now: DateTime<Utc>) -> Conditions {
        let mut conditions = Conditions::default();
        for active in &self.active {
            if let Nature::Network(impairment) = active.rule.fault.nature()
                && active.is_within(now)
            {
                conditions.add(impairment);
            }
        }
        conditions
    }

    /// Whether there is a rule that refuses connections or acts on packets, now or later.
    pub(crate) fn acts_below_requests(&self) -> bool {
        self.active.iter().any(|active| {
            let nature = active.rule.fault.nature();
            matches!(nature, Nature::Listener(..) | Nature::Network(..))
        })
    }

    /// Checks the rate limit, then the counts, of a rule that matches the request.
    fn applies(&self, active: &Active, asked: &Asked<'_>, now: DateTime<Utc>) -> Option<u64> {
        match active.rule.fault.nature() {
            Nature::Rate(_, fault) => {
                let mut meter = active.meter.lock().unwrap_or_else(PoisonError::into_inner);
                if !fault.is_exceeded(&mut meter, asked.connections, now) {
                    return None;
                }
            }
            Nature::Listener(..)
            | Nature::Network(..)
            | Nature::Accept
            | Nature::Response(..)
            | Nature::Delivery(..)
            | Nature::Delay(..)
            | Nature::Instance(..) => {}
        }
        self.counts(active)
    }

    /// Checks the counts, the probability and the scenario of a rule. Returns the number of the
    /// request among those that the rule matched.
    fn counts(&self, active: &Active) -> Option<u64> {
        let when = &active.rule.when;
        // Locked until the state has changed, so that of two simultaneous requests only one finds
        // the old state.
        let mut states = when.scenario.is_some().then(|| {
            self.scenarios
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        });
        if let (Some(InScenario { name, state, .. }), Some(states)) = (&when.scenario, &states)
            && states.get(name).map_or(STARTED, String::as_str) != state
        {
            return None;
        }
        let nth = active.matched.fetch_add(1, Ordering::Relaxed);
        if nth < when.skip_first {
            return None;
        }
        if let Some(probability) = when.probability
            && random(active.seed, nth).random::<f64>() >= probability
        {
            return None;
        }
        let most = when.count.unwrap_or(u64::MAX);
        active
            .fired
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |fired| {
                (fired < most).then(|| fired + 1)
            })
            .ok()?;
        if let (Some(scenario), Some(states)) = (&when.scenario, &mut states)
            && let Some(then) = &scenario.then
        {
            states.insert(scenario.name.clone(), then.clone());
        }
        Some(nth)
    }
}

impl Active {
    fn is_within(&self, now: DateTime<Utc>) -> bool {
        let when = &self.rule.when;
        if when.after.is_none() && when.duration.is_none() {
            return true;
        }
        let since = now.signed_duration_since(self.began) - when.after.unwrap_or_default().into();
        since >= TimeDelta::zero() && when.duration.is_none_or(|duration| since < duration.into())
    }

    /// Whether the rule is for requests of this process.
    fn is_from(&self, process: Option<&str>) -> bool {
        let glob = self.process.as_ref();
        glob.is_none_or(|glob| process.is_some_and(|name| glob.is_match(name)))
    }

    fn matches(&self, asked: &Asked<'_>) -> bool {
        let wanted = &self.rule.matches;
        let holds = |glob: &GlobMatcher, name: &HeaderName| {
            asked
                .request
                .headers
                .get_all(name)
                .iter()
                .any(|value| glob.is_match(String::from_utf8_lossy(value.as_bytes()).as_ref()))
        };
        wanted
            .version
            .as_deref()
            .is_none_or(|version| Some(version) == asked.version)
            && wanted.imds.is_none_or(|imds| imds == asked.imds)
            && wanted.token.is_none_or(|token| token == asked.token)
            && wanted
                .request
                .is_none_or(|numbers| numbers.contains(asked.number))
            && self.is_from(asked.process)
            && self.headers.iter().all(|(name, glob)| holds(glob, name))
            && self
                .user_agent
                .as_ref()
                .is_none_or(|glob| holds(glob, &USER_AGENT))
    }

    fn occurrence(&self, nth: u64) -> Occurrence {
        Occurrence {
            rule: self.id,
            began: self.began,
            seed: self.seed,
            nth,
        }
    }
}

fn own_seed(seed: &[u8; 32], name: &str) -> u64 {
    let digest = Sha256::new()
        .chain_update(seed)
        .chain_update("rule")
        .chain_update(name)
        .finalize();
    digest
        .first_chunk()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
