//! The core: a request and a moment in, a decision out.
//!
//! It reads no socket, no clock and no randomness of its own, so that a simulation can use it as it
//! is.

mod quirks;

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::header::HOST;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response};
use percent_encoding::percent_decode_str;

use crate::config::{Config, HttpTokens, Invalid, Key, Moment, Switch};
use crate::credentials::{Generation, Issuer, RoleKeys, Rotation};
use crate::dialect::{Answer, Dialect, Kind, TOKEN_TTL};
use crate::documents;
use crate::events;
use crate::fault::{
    self, Asked, Family, Fired, ImdsVersion, Rule, RuleSet, TokenState, WithoutBody,
};
use crate::identity::Identity;
use crate::token::{TTL_RANGE, Token, Tokens};
use crate::tree::{Found, LATEST, Live, Tree, VERSIONS, Value, to_seconds};

use quirks::Quirks;

pub use crate::dialect::ReasonPhrase;
pub use crate::identity::{Certificate, IdentityError};

const TOKEN: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// IMDS of one instance.
#[derive(Clone)]
pub struct Imds {
    config: Config,
    seed: [u8; 32],
    revocations: u32,
    tokens: Tokens,
    /// Gives the credentials of the role.
    issuer: Issuer,
    /// Gives those of the instance itself (rule 53).
    instance_issuer: Issuer,
    identity: Identity,
    /// Documents that take long to make, for as long as they are the same.
    memo: Arc<Memo>,
    /// When everything that does not change by itself was modified last (rule 6).
    modified: DateTime<Utc>,
    now: Phase,
    /// After the next rotation, if the role is another one then.
    to_come: Option<(DateTime<Utc>, Phase)>,
    /// What goes wrong, and for whom.
    rules: RuleSet,
    /// What is wrong, for the request that is being answered.
    quirks: Quirks,
    /// How many requests there were.
    requests: Arc<AtomicU64>,
}

/// Documents that take long to make: those with keys until the next rotation, signatures for ever.
#[derive(Default)]
struct Memo {
    role: Latest,
    role_extended: Latest,
    instance_role: Latest,
    signature: OnceLock<Option<Bytes>>,
    rsa: OnceLock<Option<Bytes>>,
    dsa: OnceLock<Option<Bytes>>,
}

/// The document of a generation.
#[derive(Default)]
struct Latest(ArcSwapOption<(Generation, Bytes)>);

impl Latest {
    fn get(&self, generation: Generation, make: impl FnOnce() -> Option<String>) -> Option<Bytes> {
        if let Some(latest) = self.0.load().as_deref()
            && latest.0 == generation
        {
            return Some(latest.1.clone());
        }
        let document = Bytes::from(make()?);
        self.0.store(Some(Arc::new((generation, document.clone()))));
        Some(document)
    }
}

/// A time with one role.
#[derive(Clone, Debug)]
struct Phase {
    role: Option<String>,
    tree: Tree,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// The client's address.
    pub address: IpAddr,
    /// How many connections there are at present, this one among them.
    pub connections: usize,
}

/// What becomes of a request.
#[derive(Debug)]
pub struct Decision {
    /// So long nothing happens.
    pub delay: Duration,
    /// And then this.
    pub conduct: Conduct,
    /// What there is to say of it.
    pub told: Told,
}

/// What is done with a request.
#[derive(Debug)]
pub enum Conduct {
    /// It is answered so.
    Answer(Response<Bytes>),
    /// These things happen on its connection, one after the other.
    Script(Vec<Step>),
    /// It is never answered.
    Silence,
}

/// What happens on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// These bytes are sent.
    Send(Bytes),
    /// So long nothing happens.
    Wait(Duration),
    /// It is closed.
    Close,
    /// It is reset.
    Reset,
    /// Nothing happens any more.
    Stall,
}

/// What there is to say of a request and its answer, without any secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The number of the request, from 1 on.
    pub number: u64,
    /// What the client uses.
    pub imds: ImdsVersion,
    /// What its token is.
    pub token: TokenState,
    /// The rules that applied.
    pub rules: Vec<Arc<str>>,
    /// The status of the answer, if there is one.
    pub status: Option<u16>,
}

impl fmt::Debug for Imds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imds")
            .field("instance", &self.config.instance.instance_id)
            .finish_non_exhaustive()
    }
}

impl Imds {
    /// IMDS as `config` says, from `now` on. Everything that looks random follows from `seed`.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if [`Config::check`] finds a fault.
    pub fn new(mut config: Config, seed: [u8; 32], now: DateTime<Utc>) -> Result<Self, Invalid> {
        config.check()?;
        let rules = add_rules(RuleSet::default(), &mut config, &seed, now)?;
        config
            .instance
            .pending_time
            .get_or_insert(Moment::At(to_seconds(now - TimeDelta::minutes(5))));
        config.fix_moments(now);
        let modified = launched(&config, now);
        let rotation = config.instance.iam.as_ref().map(Rotation::from);
        Ok(Self {
            revocations: 0,
            tokens: Tokens::new(&seed, &config.instance.instance_id, 0),
            issuer: Issuer::new(seed, now, rotation.unwrap_or_default()),
            instance_issuer: Issuer::new(seed, now, Rotation::default()),
            identity: Identity::new(&seed),
            memo: Arc::default(),
            modified,
            now: Phase::new(&config, role_of(&config), now),
            to_come: None,
            rules,
            quirks: Quirks::default(),
            requests: Arc::default(),
            config,
            seed,
        })
    }

    /// The same instance, changed at `now`. Spans in [`Moment`]s that are new count from `now`;
    /// another role shows at the next rotation (rule 50). Its rules come on top of those that there
    /// are.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if [`Config::check`] finds a fault, or if there is a rule of the same name.
    pub fn changed(&self, mut config: Config, now: DateTime<Utc>) -> Result<Self, Invalid> {
        config.check()?;
        let rules = add_rules(self.rules.clone(), &mut config, &self.seed, now)?;
        config.fix_moments(now);
        let rotation = config.instance.iam.as_ref().map(Rotation::from);
        let present = self.phase(now).role.clone();
        let role = role_of(&config);
        let (shown, to_come) = match (present, role) {
            (Some(present), Some(role)) if present != role => {
                let phase = Phase::new(&config, Some(role), now);
                (Some(present), Some((self.issuer.next(now), phase)))
            }
            (_, role) => (role, None),
        };
        Ok(Self {
            revocations: self.revocations,
            tokens: Tokens::new(&self.seed, &config.instance.instance_id, self.revocations),
            issuer: match rotation {
                Some(rotation) => self.issuer.with(rotation, now),
                None => self.issuer.clone(),
            },
            instance_issuer: self.instance_issuer.clone(),
            identity: self.identity.clone(),
            memo: Arc::default(),
            modified: now,
            now: Phase::new(&config, shown, now),
            to_come,
            rules,
            quirks: Quirks::default(),
            requests: Arc::clone(&self.requests),
            config,
            seed: self.seed,
        })
    }

    /// The same with one rule more, that begins at `now`.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the rule is not accepted, or if there is one of the same name.
    pub fn with_fault(&self, rule: Rule, now: DateTime<Utc>) -> Result<Self, Invalid> {
        let key = Key::root("fault");
        Ok(self.with_rules(self.rules.with(rule, &self.seed, now, &key)?))
    }

    /// What tells the rule of that name from all others that ever have it.
    pub(crate) fn fault_id(&self, name: &str) -> Option<u64> {
        self.rules.id(name)
    }

    /// The same without that rule, if it is still there.
    pub(crate) fn without_fault_id(&self, id: u64) -> Self {
        self.with_rules(self.rules.without(id))
    }

    /// The same without the rule of that name, if there is one.
    pub fn without_fault(&self, name: &str) -> Option<Self> {
        Some(self.without_fault_id(self.fault_id(name)?))
    }

    /// The same without rules.
    #[must_use]
    pub fn without_faults(&self) -> Self {
        self.with_rules(self.rules.cleared())
    }

    fn with_rules(&self, rules: RuleSet) -> Self {
        Self {
            rules,
            ..self.clone()
        }
    }

    /// The rules, in the order in which they are looked at, each with the number of requests that it
    /// has applied to.
    pub fn faults(&self) -> impl Iterator<Item = (&Rule, u64)> {
        self.rules.rules()
    }

    /// The state of a scenario.
    pub fn scenario(&self, name: &str) -> String {
        self.rules.scenario(name)
    }

    /// Puts a scenario into a state.
    pub fn set_scenario(&self, name: &str, state: &str) {
        self.rules.set_scenario(name, state);
    }

    /// Puts all scenarios into the state that they begin in, and counts requests from 1 again.
    pub fn reset_counts(&self) {
        self.rules.reset_scenarios();
        self.requests.store(0, Ordering::Relaxed);
    }

    /// Whether a rule says that nothing listens for this family of addresses.
    pub fn is_down(&self, family: Family, now: DateTime<Utc>) -> bool {
        self.rules.is_down(family, now)
    }

    /// Whether a rule could make it so.
    pub(crate) fn can_be_down(&self) -> bool {
        self.rules.can_be_down()
    }

    /// Whether a rule resets a connection that `peer` has opened, before a request is read. If so, it
    /// counts as a request.
    pub fn accept(&self, peer: SocketAddr, now: DateTime<Utc>) -> Option<Told> {
        if self.rules.is_empty() {
            return None;
        }
        let fired = self.rules.fire_on_accept(peer, now)?;
        Some(Told {
            number: self.requests.fetch_add(1, Ordering::Relaxed) + 1,
            imds: ImdsVersion::V1,
            token: TokenState::None,
            rules: vec![Arc::clone(fired.name())],
            status: None,
        })
    }

    /// The same, without any token that was issued so far.
    #[must_use]
    pub fn with_tokens_revoked(&self) -> Self {
        let revocations = self.revocations.wrapping_add(1);
        Self {
            revocations,
            tokens: Tokens::new(&self.seed, &self.config.instance.instance_id, revocations),
            ..self.clone()
        }
    }

    /// The same with new credentials for the role from `now` on; if another role is to come, it is
    /// there now.
    #[must_use]
    pub fn with_credentials_rotated(&self, now: DateTime<Utc>) -> Self {
        let mut imds = self.clone();
        imds.memo = Arc::default();
        imds.issuer = self.issuer.rotated(now);
        if let Some((_, phase)) = imds.to_come.take() {
            imds.now = phase;
        }
        imds
    }

    /// Whether another role comes with the next rotation.
    pub(crate) fn is_role_to_come(&self) -> bool {
        self.to_come.is_some()
    }

    /// What it is configured as. Moments are fixed.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The certificate that signatures of the identity document verify against (rule 60), as PEM.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] if it cannot be made.
    pub fn certificate(&self, certificate: Certificate) -> Result<String, IdentityError> {
        self.identity.certificate(certificate)
    }

    /// What becomes of `request`, that `client` makes at the moment `now`.
    pub fn decide(&self, request: &Parts, client: Client, now: DateTime<Utc>) -> Decision {
        let path = Path::new(request.uri.path());
        let for_token = path.is_for_tokens() && request.method == Method::PUT;
        let sent = Sent::new(request, &self.tokens);
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let mut told = Told {
            number,
            imds: match sent {
                Sent::None if !for_token => ImdsVersion::V1,
                _ => ImdsVersion::V2,
            },
            token: sent.state(now),
            rules: Vec::new(),
            status: None,
        };
        if self.rules.is_empty() {
            return self.conclude(request, &path, sent, client, now, &[], told);
        }
        let asked = Asked {
            request,
            path: &path.normal(),
            for_token,
            version: path.version(),
            imds: told.imds,
            token: told.token,
            peer: client.address.to_canonical(),
            connections: client.connections,
            number,
        };
        let fired = self.rules.fire(&asked, now);
        told.rules = fired.iter().map(|fired| Arc::clone(fired.name())).collect();
        match self.under(&fired, now) {
            Some(imds) => imds.conclude(request, &path, sent, client, now, &fired, told),
            None => self.conclude(request, &path, sent, client, now, &fired, told),
        }
    }

    /// The answer, and what `fired` makes of it.
    #[expect(clippy::too_many_arguments, reason = "they are what a request is")]
    fn conclude(
        &self,
        request: &Parts,
        path: &Path<'_>,
        sent: Sent,
        client: Client,
        now: DateTime<Utc>,
        fired: &[Fired],
        mut told: Told,
    ) -> Decision {
        let dialect = self.config.server.dialect;
        if let Sent::Ours(token) = sent
            && told.token == TokenState::Valid
            && !self.quirks.accept(token, now)
        {
            told.token = TokenState::Invalid;
        }
        let conduct = if request.method == Method::PUT
            && path.is_for_tokens()
            && self.is_out_of_reach(client.address)
        {
            Conduct::Silence
        } else {
            let mut answer = self.answer(request, path, sent, told.number, now);
            if let Kind::Data { modified, .. } = &mut answer.kind {
                *modified = modified
                    .checked_add_signed(self.quirks.skew)
                    .unwrap_or(*modified);
            }
            let spoiling = fired.iter().find(|fired| fired.fault().replaces());
            let mut response = dialect.write(
                answer,
                request.headers.get(HOST),
                // What is spoiled ends the connection.
                self.config.server.keep_alive && spoiling.is_none(),
                now.checked_add_signed(self.quirks.skew).unwrap_or(now),
            );
            if request.method == Method::HEAD {
                response.extensions_mut().insert(WithoutBody);
            }
            match spoiling {
                Some(fired) => fault::conduct(fired, response, dialect),
                None => Conduct::Answer(response),
            }
        };
        told.status = match &conduct {
            Conduct::Answer(response) => Some(response.status().as_u16()),
            Conduct::Script(steps) => status_of(steps),
            Conduct::Silence => None,
        };
        Decision {
            delay: fired.iter().map(Fired::delay).sum(),
            conduct,
            told,
        }
    }

    /// Rule 21, told from who asks.
    fn is_out_of_reach(&self, peer: IpAddr) -> bool {
        let peers = &self.config.server.peers;
        let hops = peers
            .iter()
            .find(|peers| peers.network.contains(&peer.to_canonical()))
            .map_or(1, |peers| peers.hops);
        hops > self.config.metadata_options.http_put_response_hop_limit
    }

    fn answer(
        &self,
        request: &Parts,
        path: &Path<'_>,
        sent: Sent,
        number: u64,
        now: DateTime<Utc>,
    ) -> Answer {
        let answer = |kind| Answer { kind, ttl: None };
        if self.config.metadata_options.http_endpoint == Switch::Disabled {
            return answer(Kind::Forbidden);
        }
        let Some(segments) = &path.decoded else {
            return self.guard(sent, now, || Kind::NotFound);
        };
        let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        match segments.as_slice() {
            [LATEST, "api", "token"] => self.token(request, number, now),
            [_, "api", "token"] if request.method == Method::PUT => answer(Kind::Forbidden),
            _ if request.method != Method::GET && request.method != Method::HEAD => {
                answer(Kind::NotAllowed("GET, HEAD"))
            }
            segments => self.guard(sent, now, || {
                let then = now.checked_sub_signed(self.quirks.age).unwrap_or(now);
                self.read(path, segments, then)
            }),
        }
    }

    /// Rules 8 and 10 to 14.
    fn token(&self, request: &Parts, number: u64, now: DateTime<Utc>) -> Answer {
        let answer = |kind| Answer { kind, ttl: None };
        if request.method != Method::PUT {
            return answer(Kind::NotAllowed("OPTIONS, PUT"));
        }
        if request.headers.contains_key(FORWARDED_FOR) {
            return answer(Kind::Forbidden);
        }
        let asked = request.headers.get(TOKEN_TTL).and_then(ttl);
        match asked.filter(|ttl| TTL_RANGE.contains(ttl)) {
            Some(ttl) => {
                let ttl = self.quirks.ttl_cap.map_or(ttl, |cap| cap.min(ttl));
                Answer {
                    kind: Kind::Token(self.tokens.issue(ttl, now, number)),
                    ttl: Some(ttl),
                }
            }
            None => answer(Kind::BadRequest),
        }
    }

    /// Rules 16 to 18: what `read` gives, for those who may have it.
    fn guard(&self, sent: Sent, now: DateTime<Utc>, read: impl FnOnce() -> Kind) -> Answer {
        let needed = self.config.metadata_options.http_tokens == HttpTokens::Required;
        let ttl = match sent {
            Sent::Ours(token) if self.quirks.accept(token, now) => token.remaining(now),
            _ => None,
        };
        match (sent, ttl) {
            (Sent::None, _) if !needed => {}
            (_, Some(_)) => {}
            _ => {
                return Answer {
                    kind: Kind::Unauthorized,
                    ttl: None,
                };
            }
        }
        Answer { kind: read(), ttl }
    }

    /// Rules 27 to 36.
    fn read(&self, path: &Path<'_>, segments: &[&str], now: DateTime<Utc>) -> Kind {
        let Some((version, rest)) = segments.split_first() else {
            let versions = VERSIONS.join("\n") + "\n" + LATEST;
            return data(versions, self.modified);
        };
        if *version != LATEST && !VERSIONS.contains(version) {
            return Kind::NotFound;
        }
        if !self.quirks.missing.is_empty() {
            let path = rest.join("/");
            if self.quirks.missing.iter().any(|glob| glob.is_match(&path)) {
                return Kind::NotFound;
            }
        }
        let phase = self.phase(now);
        let there = |live| match live {
            // Signing takes milliseconds.
            Live::Signature | Live::Pkcs7 | Live::Rsa2048 | Live::Dsa2048 => {
                phase.tree.identity_document().is_some()
            }
            live => self.live(phase, live, now).is_some(),
        };
        match phase.tree.find(version, rest, there) {
            Some(Found::Leaf(Value::Fixed(body))) => Kind::Data {
                body: body.clone(),
                content_type: match rest {
                    // Rule 34.
                    ["user-data"] => "application/octet-stream",
                    _ => "text/plain",
                },
                modified: self.modified.min(now),
            },
            Some(Found::Leaf(Value::Live(live))) => match self.live(phase, *live, now) {
                Some((body, modified)) => data(body, modified),
                None => Kind::NotFound,
            },
            Some(Found::Directory(_))
                if self.config.server.dialect == Dialect::Xen
                    && !path.ends_in_slash
                    && !rest.is_empty() =>
            {
                Kind::Directory {
                    path: format!("{}/", path.text),
                }
            }
            Some(Found::Directory(mut names)) => {
                if !self.quirks.unlisted.is_empty() {
                    let folder = rest.join("/");
                    names.retain(|name| {
                        let path = format!("{folder}/{}", name.trim_end_matches('/'));
                        !self.quirks.unlisted.iter().any(|glob| glob.is_match(&path))
                    });
                }
                data(names.join("\n"), self.modified.min(now))
            }
            None => Kind::NotFound,
        }
    }

    fn phase(&self, now: DateTime<Utc>) -> &Phase {
        match &self.to_come {
            Some((from, phase)) if *from <= now => phase,
            _ => &self.now,
        }
    }

    /// The keys of the role's credentials.
    pub fn role_keys(&self, now: DateTime<Utc>) -> Option<RoleKeys> {
        let role = self.phase(now).role.as_deref()?;
        Some(self.issuer.keys(role, self.generation(now)))
    }

    /// What depends on the moment: the text, and since when it is this one.
    fn live(
        &self,
        phase: &Phase,
        live: Live,
        now: DateTime<Utc>,
    ) -> Option<(Bytes, DateTime<Utc>)> {
        let instance = &self.config.instance;
        let account_id = instance.account_id.as_str();
        let events = &self.config.events;
        let generation = self.generation(now);
        let of_instance = self.instance_issuer.generation(now);
        // As documents tell it.
        let told = |generation: Generation| generation.shifted(self.quirks.skew);
        let event = |event: events::Event| (Bytes::from(event.document), event.since);
        let signed = |memo: &OnceLock<_>, sign: &dyn Fn(&[u8]) -> Result<String, IdentityError>| {
            let document = phase.tree.identity_document()?;
            let signature = memo.get_or_init(|| sign(document).ok().map(Bytes::from));
            Some((signature.clone()?, self.modified))
        };
        match live {
            Live::Role | Live::RoleExtended => {
                let (memo, account_id) = match live {
                    Live::RoleExtended => (&self.memo.role_extended, Some(account_id)),
                    _ => (&self.memo.role, None),
                };
                let document = memo.get(generation, || {
                    let role = phase.role.as_deref()?;
                    let keys = self.issuer.keys(role, generation);
                    let iam = instance.iam.as_ref()?;
                    let broken = &self.quirks.broken;
                    let generation = told(generation);
                    Some(documents::role(
                        iam, role, account_id, generation, &keys, broken,
                    ))
                });
                Some((document?, generation.issued))
            }
            Live::InstanceRole => {
                let document = self.memo.instance_role.get(of_instance, || {
                    let keys = self.instance_issuer.keys("ec2-instance", of_instance);
                    Some(documents::credentials(None, told(of_instance), &keys))
                });
                Some((document?, of_instance.issued))
            }
            Live::InstanceRoleInfo => {
                let document = documents::instance_role_info(account_id, told(of_instance).issued);
                Some((document.into(), of_instance.issued))
            }
            Live::ProfileInfo => {
                let iam = instance.iam.as_ref()?;
                let role = phase.role.as_deref();
                let document =
                    documents::profile_info(instance, iam, role, told(generation).issued);
                Some((document.into(), generation.issued))
            }
            Live::SpotAction => {
                events::spot_action(events.spot_interruption.as_ref()?, now).map(event)
            }
            Live::SpotTermination => {
                events::spot_termination(events.spot_interruption.as_ref()?, now).map(event)
            }
            Live::Rebalance => {
                let recommendation = events.rebalance_recommendation.as_ref()?;
                events::rebalance(recommendation.announced, now).map(event)
            }
            Live::Scheduled | Live::History => {
                let active = live == Live::Scheduled;
                let shown = events::maintenance(&events.maintenance, active, now);
                Some(shown.map_or_else(|| ("[]".into(), self.modified), event))
            }
            Live::Signature => signed(&self.memo.signature, &|document| {
                self.identity.signature(document)
            }),
            Live::Rsa2048 => signed(&self.memo.rsa, &|document| {
                self.identity.rsa_pkcs7(document, self.modified)
            }),
            Live::Pkcs7 | Live::Dsa2048 => signed(&self.memo.dsa, &|document| {
                self.identity.dsa_pkcs7(document, self.modified)
            }),
        }
    }
}

impl Phase {
    fn new(config: &Config, role: Option<String>, now: DateTime<Utc>) -> Self {
        let document = documents::identity(&config.instance, launched(config, now));
        Self {
            tree: Tree::new(config, role.as_deref(), document),
            role,
        }
    }
}

fn role_of(config: &Config) -> Option<String> {
    config.instance.iam.as_ref()?.role.clone()
}

fn launched(config: &Config, now: DateTime<Utc>) -> DateTime<Utc> {
    config.instance.pending_time.unwrap_or_default().after(now)
}

fn data(body: impl Into<Bytes>, modified: DateTime<Utc>) -> Kind {
    Kind::Data {
        body: body.into(),
        content_type: "text/plain",
        modified,
    }
}

/// Puts the rules of a configuration to work, and out of it.
fn add_rules(
    mut rules: RuleSet,
    config: &mut Config,
    seed: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<RuleSet, Invalid> {
    for (at, rule) in std::mem::take(&mut config.faults).into_iter().enumerate() {
        rules = rules.with(rule, seed, now, &Key::root("faults").item(at))?;
    }
    Ok(rules)
}

/// The status that a script sends, if it sends one.
fn status_of(steps: &[Step]) -> Option<u16> {
    let Some(Step::Send(bytes)) = steps.first() else {
        return None;
    };
    let digits = bytes.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The token of a request.
#[derive(Clone, Copy, Debug)]
enum Sent {
    None,
    Ours(Token),
    Foreign,
}

impl Sent {
    fn new(request: &Parts, tokens: &Tokens) -> Self {
        let Some(token) = request.headers.get(TOKEN) else {
            return Self::None;
        };
        let token = token.to_str().ok().and_then(|token| tokens.read(token));
        token.map_or(Self::Foreign, Self::Ours)
    }

    fn state(self, now: DateTime<Utc>) -> TokenState {
        match self {
            Self::None => TokenState::None,
            Self::Foreign => TokenState::Invalid,
            Self::Ours(token) if token.remaining(now).is_some() => TokenState::Valid,
            Self::Ours(_) => TokenState::Expired,
        }
    }
}

/// Whether a path is that of tokens, under whatever version.
pub(crate) fn is_for_tokens(path: &str) -> bool {
    Path::new(path).is_for_tokens()
}

/// A path as it was asked for.
struct Path<'a> {
    text: &'a str,
    /// Without the empty ones (rule 9).
    segments: Vec<&'a str>,
    /// The segments with their escapes undone, if they are UTF-8 then.
    decoded: Option<Vec<Cow<'a, str>>>,
    ends_in_slash: bool,
}

impl<'a> Path<'a> {
    fn new(text: &'a str) -> Self {
        let segments: Vec<&str> = text
            .split('/')
            .filter(|segment| !segment.is_empty())
            .collect();
        let decode = |segment: &&'a str| percent_decode_str(segment).decode_utf8().ok();
        Self {
            text,
            decoded: segments.iter().map(decode).collect(),
            segments,
            ends_in_slash: text.ends_with('/'),
        }
    }

    fn is_for_tokens(&self) -> bool {
        let segments = self.decoded.as_deref();
        matches!(segments, Some([_, api, token]) if api == "api" && token == "token")
    }

    fn version(&self) -> Option<&str> {
        self.decoded.as_ref()?.first().map(AsRef::as_ref)
    }

    /// The whole with repeated slashes made one.
    fn normal(&self) -> Cow<'a, str> {
        if !self.text.contains("//") {
            return self.text.into();
        }
        let end = if self.ends_in_slash && !self.segments.is_empty() {
            "/"
        } else {
            ""
        };
        format!("/{}{end}", self.segments.join("/")).into()
    }
}

fn ttl(value: &HeaderValue) -> Option<u32> {
    let digits = value.to_str().ok()?;
    // `parse` alone would take a sign.
    (digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Span;
    use crate::fault::Fault;

    #[test]
    fn whether_it_can_be_down_is_known_before_it_is() {
        let now = DateTime::UNIX_EPOCH;
        let imds = |fault| {
            let mut rule = Rule::new("rule", fault);
            rule.when.after = Some(Span::minutes(1));
            let config = Config {
                faults: vec![rule],
                ..Config::default()
            };
            Imds::new(config, [7; 32], now).unwrap()
        };
        let (down, other) = (
            imds(Fault::Down { family: None }),
            imds(Fault::Blackhole {}),
        );
        assert!(down.can_be_down() && !down.is_down(Family::Ipv4, now));
        assert!(!other.can_be_down());
    }
}
