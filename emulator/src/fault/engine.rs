//! Which rules apply to a request.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use globset::{GlobMatcher, GlobSet, GlobSetBuilder};
use http::header::USER_AGENT;
use http::request::Parts;
use http::{HeaderName, Method};
use ipnet::IpNet;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest as _, Sha256};

use super::{Effect, Family, Fault, InScenario, ResetAfter, Rule, STARTED, delay, header};
use crate::request::{ImdsVersion, TokenState, glob, text_glob};
use crate::value::{Invalid, Key};

/// A request, as rules see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) request: &'a Parts,
    /// With repeated slashes made one.
    pub(crate) path: &'a str,
    /// It is a `PUT` for a token.
    pub(crate) for_token: bool,
    pub(crate) version: Option<&'a str>,
    pub(crate) imds: ImdsVersion,
    pub(crate) token: TokenState,
    pub(crate) peer: IpAddr,
    /// How many connections there are at present, this one among them.
    pub(crate) connections: usize,
    /// Its number, from 1 on.
    pub(crate) number: u64,
}

/// A rule that applies to a request.
#[derive(Clone, Debug)]
pub(crate) struct Fired {
    active: Arc<Active>,
    nth: u64,
}

impl Fired {
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.active.name
    }

    pub(crate) fn fault(&self) -> &Fault {
        &self.active.rule.fault
    }

    /// The paths that the fault is about.
    pub(crate) fn paths(&self) -> Option<&GlobMatcher> {
        self.active.paths.as_ref()
    }

    /// When the rule was added.
    pub(crate) fn began(&self) -> DateTime<Utc> {
        self.active.began
    }

    /// Tells rules from each other, for as long as the emulator runs.
    pub(crate) fn id(&self) -> u64 {
        self.active.id
    }

    /// Its randomness for this request.
    pub(crate) fn random(&self) -> ChaCha8Rng {
        let mut random = delay::random(self.active.seed, self.nth);
        // The first number decided whether it applies.
        let _: f64 = random.random();
        random
    }

    /// The delay that it is, if it is one.
    pub(crate) fn delay(&self) -> Duration {
        match self.fault() {
            Fault::Latency {
                latency,
                jitter,
                distribution,
            } => delay::latency(*latency, *jitter, *distribution, &mut self.random()),
            _ => Duration::ZERO,
        }
    }
}

/// A rule at work.
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
    /// Of the fault, not of the request.
    paths: Option<GlobMatcher>,
    matched: AtomicU64,
    fired: AtomicU64,
    meter: Mutex<Meter>,
}

/// What rates are told by.
#[derive(Debug, Default)]
struct Meter {
    /// When it was looked at last, or when the window began.
    at: Option<DateTime<Utc>>,
    /// Requests that may still come.
    left: f64,
}

/// The paths of all rules. Clients ask for few different ones, so what matches is remembered.
#[derive(Debug, Default)]
struct Paths {
    globs: GlobSet,
    known: RwLock<HashMap<Box<str>, Arc<[usize]>>>,
}

/// So many paths are remembered.
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

/// What most requests fail at, of a rule.
#[derive(Clone, Debug)]
struct Gate {
    /// Where its path is among the paths of all rules.
    path: Option<usize>,
    method: Option<Method>,
    client: Option<IpNet>,
    /// It is for those that ask for tokens alone.
    puts_alone: bool,
    /// It is told from the connection alone, before there is a request.
    shut: bool,
}

impl Gate {
    fn admits(&self, asked: &Asked<'_>, paths: &[usize]) -> bool {
        !self.shut
            && (asked.for_token || !self.puts_alone)
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

/// All rules at work.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuleSet {
    /// By priority, then in their order.
    active: Vec<Arc<Active>>,
    /// Of each rule what most requests fail at. They lie side by side: with many rules, looking at
    /// each rule itself would take most of the time.
    gates: Vec<Gate>,
    paths: Arc<Paths>,
    next_id: u64,
    scenarios: Arc<Mutex<BTreeMap<String, String>>>,
}

impl RuleSet {
    /// With one rule more, that begins at `now`.
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
        let user_agent = rule.matches.user_agent.as_deref();
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
            user_agent: user_agent
                .and_then(|pattern| text_glob(pattern).ok())
                .map(|glob| glob.compile_matcher()),
            paths: match &rule.fault {
                Fault::CategoryMissing { path } | Fault::ListingInconsistent { path } => {
                    glob(path).ok().map(|glob| glob.compile_matcher())
                }
                _ => None,
            },
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

    /// What tells the rule of that name from all others that ever have it.
    pub(crate) fn id(&self, name: &str) -> Option<u64> {
        let found = self.active.iter().find(|active| active.rule.name == name);
        found.map(|active| active.id)
    }

    /// Without that rule, if it is still there.
    pub(crate) fn without(&self, id: u64) -> Self {
        let mut all = self.active.clone();
        all.retain(|active| active.id != id);
        self.of(all, self.next_id)
    }

    /// Without any rule.
    pub(crate) fn cleared(&self) -> Self {
        self.of(Vec::new(), self.next_id)
    }

    /// Puts the paths together, so that one look finds all that match.
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
            .map(|active| Gate {
                path: place(&active.rule),
                method: active.method.clone(),
                client: active.rule.matches.client,
                puts_alone: active.rule.fault.is_about_puts(),
                shut: active.rule.fault.is_before_requests(),
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

    /// The rules, with how many requests each has applied to.
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

    /// Puts a scenario into a state.
    pub(crate) fn set_scenario(&self, name: &str, state: &str) {
        let mut states = self
            .scenarios
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        states.insert(name.to_owned(), state.to_owned());
    }

    /// All scenarios are as at the beginning.
    pub(crate) fn reset_scenarios(&self) {
        self.scenarios
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// The rules that apply to a request; they count it.
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
            let replaces = active.rule.fault.replaces();
            if (replaces && is_replaced) || !active.is_within(now) || !active.matches(asked) {
                continue;
            }
            if let Some(nth) = self.applies(active, asked, now) {
                is_replaced |= replaces;
                fired.push(Fired {
                    active: Arc::clone(active),
                    nth,
                });
            }
        }
        fired
    }

    /// The rule that resets a connection before a request is read.
    pub(crate) fn fire_on_accept(&self, peer: SocketAddr, now: DateTime<Utc>) -> Option<Fired> {
        let peer = peer.ip().to_canonical();
        self.active.iter().find_map(|active| {
            let resets = Fault::ResetPeer {
                after: ResetAfter::Accept,
            };
            let client = active.rule.matches.client;
            if active.rule.fault != resets
                || !active.is_within(now)
                || client.is_some_and(|client| !client.contains(&peer))
            {
                return None;
            }
            Some(Fired {
                nth: self.counts(active)?,
                active: Arc::clone(active),
            })
        })
    }

    /// Whether nothing listens for a family.
    pub(crate) fn is_down(&self, of: Family, now: DateTime<Utc>) -> bool {
        self.active.iter().any(|active| {
            matches!(active.rule.fault, Fault::Down { family } if family.is_none_or(|family| family == of))
                && active.is_within(now)
        })
    }

    /// Whether there is a rule that could make it so.
    pub(crate) fn can_be_down(&self) -> bool {
        self.active
            .iter()
            .any(|active| matches!(active.rule.fault, Fault::Down { .. }))
    }

    /// Everything but the request's own conditions.
    fn applies(&self, active: &Active, asked: &Asked<'_>, now: DateTime<Utc>) -> Option<u64> {
        if !active.is_over(asked, now) {
            return None;
        }
        self.counts(active)
    }

    /// Counts, probability, and the state of the scenario.
    fn counts(&self, active: &Active) -> Option<u64> {
        let when = &active.rule.when;
        // Held until the state is changed: of two requests at once one alone is in it.
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
            && delay::random(active.seed, nth).random::<f64>() >= probability
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
            && self.headers.iter().all(|(name, glob)| holds(glob, name))
            && self
                .user_agent
                .as_ref()
                .is_none_or(|glob| holds(glob, &USER_AGENT))
    }

    /// Of rates: whether this request is one too many. Of all else: yes.
    fn is_over(&self, asked: &Asked<'_>, now: DateTime<Utc>) -> bool {
        match self.rule.fault {
            Fault::Throttle { rate, burst, .. } => {
                let rate = f64::from(rate);
                self.take(|meter| {
                    let since = meter.at.map_or(TimeDelta::MAX, |at| now - at);
                    let seconds = since.num_milliseconds().max(0) as f64 / 1000.0;
                    let most = burst.map_or(rate, f64::from);
                    meter.left = (meter.left + seconds * rate).min(most);
                    meter.at = Some(now);
                })
            }
            Fault::Quota { limit, window, .. } => self.take(|meter| {
                if meter.at.is_none_or(|at| now - at >= window.into()) {
                    meter.at = Some(now);
                    meter.left = limit as f64;
                }
            }),
            Fault::ConnectionLimit { max, .. } => asked.connections > max as usize,
            _ => true,
        }
    }

    /// Takes one of those that may come; whether there was none.
    fn take(&self, refill: impl FnOnce(&mut Meter)) -> bool {
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        refill(&mut meter);
        let is_over = meter.left < 1.0;
        if !is_over {
            meter.left -= 1.0;
        }
        is_over
    }
}

impl Fault {
    /// Whether it takes the place of the answer, or of how it comes. Of those one alone applies.
    pub(crate) fn replaces(&self) -> bool {
        match self {
            Self::TokenUnavailable { .. }
            | Self::Blackhole {}
            | Self::ResetPeer { .. }
            | Self::EmptyResponse {}
            | Self::HopLimit {}
            | Self::SlowClose { .. }
            | Self::SlowHeaders { .. }
            | Self::SlowBody { .. }
            | Self::Slicer { .. }
            | Self::Stall { .. }
            | Self::Status { .. }
            | Self::TruncateBody { .. }
            | Self::LongBody { .. }
            | Self::MalformedChunk {}
            | Self::RandomDataThenClose { .. }
            | Self::MalformedJson { .. }
            | Self::Replace { .. }
            | Self::Patch { .. }
            | Self::DropHeader { .. }
            | Self::WrongContentLength { .. }
            | Self::WrongContentType { .. }
            | Self::Redirect { .. }
            | Self::WrongServer { .. }
            | Self::Throttle { .. }
            | Self::ConnectionLimit { .. }
            | Self::Quota { .. } => true,
            Self::Down { .. }
            | Self::Latency { .. }
            | Self::V1Disabled {}
            | Self::V1Enabled {}
            | Self::TokenExpireEarly { .. }
            | Self::TokenRevokeAll {}
            | Self::TokenFlap {}
            | Self::TtlCap { .. }
            | Self::EndpointDisabled {}
            | Self::CategoryMissing { .. }
            | Self::ListingInconsistent { .. }
            | Self::StaleView { .. }
            | Self::RoleMissing {}
            | Self::RoleEmpty {}
            | Self::RoleChanged { .. }
            | Self::CredentialsError { .. }
            | Self::CredentialsExpired { .. }
            | Self::CredentialsStuck {}
            | Self::CredentialsShortLived { .. }
            | Self::CredentialsLateRotation { .. }
            | Self::CredentialsField { .. }
            | Self::ExtendedUnavailable {}
            | Self::ClockSkew { .. } => false,
        }
    }

    /// Whether it is told from the connection alone, before there is a request.
    fn is_before_requests(&self) -> bool {
        matches!(
            self,
            Self::Down { .. }
                | Self::ResetPeer {
                    after: ResetAfter::Accept
                }
        )
    }

    /// Whether it is for those that ask for tokens alone.
    fn is_about_puts(&self) -> bool {
        matches!(
            self,
            Self::HopLimit {} | Self::TokenUnavailable { .. } | Self::TtlCap { .. }
        )
    }

    /// What becomes of a request, where that is all there is to the fault.
    pub(crate) fn effect(&self) -> Option<Effect> {
        match self {
            Self::Blackhole {} | Self::HopLimit {} => Some(Effect::Silence),
            Self::ResetPeer {
                after: ResetAfter::Accept | ResetAfter::Headers,
            } => Some(Effect::Reset),
            Self::TokenUnavailable { effect }
            | Self::Throttle { effect, .. }
            | Self::ConnectionLimit { effect, .. }
            | Self::Quota { effect, .. } => Some(*effect),
            _ => None,
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
