//! The core: a request and a moment in, a decision out.
//!
//! It reads no socket, no clock and no randomness of its own, so that a simulation can use it as it
//! is.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::header::HOST;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response};
use percent_encoding::percent_decode_str;

use crate::config::{Config, HttpTokens, Invalid, Moment, Switch};
use crate::credentials::{Generation, Issuer, Rotation};
use crate::dialect::{Answer, Dialect, Kind, TOKEN_TTL};
use crate::documents;
use crate::events;
use crate::identity::Identity;
use crate::token::{TTL_RANGE, Tokens};
use crate::tree::{Found, LATEST, Live, Tree, VERSIONS, Value, to_seconds};

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

/// What becomes of a request.
#[derive(Debug)]
pub enum Decision {
    /// It is answered so.
    Answer(Response<Bytes>),
    /// It is never answered.
    Silence,
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
            config,
            seed,
        })
    }

    /// The same instance, changed at `now`. Spans in [`Moment`]s that are new count from `now`;
    /// another role shows at the next rotation (rule 50).
    ///
    /// # Errors
    ///
    /// [`Invalid`] if [`Config::check`] finds a fault.
    pub fn changed(&self, mut config: Config, now: DateTime<Utc>) -> Result<Self, Invalid> {
        config.check()?;
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
            config,
            seed: self.seed,
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

    /// What becomes of `request`, that `peer` makes at the moment `now`.
    pub fn decide(&self, request: &Parts, peer: IpAddr, now: DateTime<Utc>) -> Decision {
        let dialect = self.config.server.dialect;
        let path = Path::new(request.uri.path());
        let on_tokens = matches!(path.segments.as_slice(), [_, "api", "token"]);
        if on_tokens && request.method == Method::PUT && self.is_out_of_reach(peer) {
            return Decision::Silence;
        }
        Decision::Answer(dialect.write(
            self.answer(request, &path, now),
            request.headers.get(HOST),
            self.config.server.keep_alive,
            now,
        ))
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

    fn answer(&self, request: &Parts, path: &Path<'_>, now: DateTime<Utc>) -> Answer {
        let answer = |kind| Answer { kind, ttl: None };
        if self.config.metadata_options.http_endpoint == Switch::Disabled {
            return answer(Kind::Forbidden);
        }
        let Some(segments) = path.decoded() else {
            return self.guard(request, now, |_| Kind::NotFound);
        };
        let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        match segments.as_slice() {
            [LATEST, "api", "token"] => self.token(request, now),
            [_, "api", "token"] if request.method == Method::PUT => answer(Kind::Forbidden),
            _ if request.method != Method::GET && request.method != Method::HEAD => {
                answer(Kind::NotAllowed("GET, HEAD"))
            }
            segments => self.guard(request, now, |now| self.read(path, segments, now)),
        }
    }

    /// Rules 8 and 10 to 14.
    fn token(&self, request: &Parts, now: DateTime<Utc>) -> Answer {
        let answer = |kind| Answer { kind, ttl: None };
        if request.method != Method::PUT {
            return answer(Kind::NotAllowed("OPTIONS, PUT"));
        }
        if request.headers.contains_key(FORWARDED_FOR) {
            return answer(Kind::Forbidden);
        }
        let asked = request.headers.get(TOKEN_TTL).and_then(ttl);
        match asked.filter(|ttl| TTL_RANGE.contains(ttl)) {
            Some(ttl) => Answer {
                kind: Kind::Token(self.tokens.issue(ttl, now)),
                ttl: Some(ttl),
            },
            None => answer(Kind::BadRequest),
        }
    }

    /// Rules 16 to 18: what `read` gives, for those who may have it.
    fn guard(
        &self,
        request: &Parts,
        now: DateTime<Utc>,
        read: impl FnOnce(DateTime<Utc>) -> Kind,
    ) -> Answer {
        let unauthorized = Answer {
            kind: Kind::Unauthorized,
            ttl: None,
        };
        let ttl = match request.headers.get(TOKEN) {
            Some(token) => {
                let token = token.to_str().ok();
                match token.and_then(|token| self.tokens.remaining(token, now)) {
                    Some(remaining) => Some(remaining),
                    None => return unauthorized,
                }
            }
            None if self.config.metadata_options.http_tokens == HttpTokens::Required => {
                return unauthorized;
            }
            None => None,
        };
        Answer {
            kind: read(now),
            ttl,
        }
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
            Some(Found::Directory(names)) => data(names.join("\n"), self.modified.min(now)),
            None => Kind::NotFound,
        }
    }

    fn phase(&self, now: DateTime<Utc>) -> &Phase {
        match &self.to_come {
            Some((from, phase)) if *from <= now => phase,
            _ => &self.now,
        }
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
        let generation = self.issuer.generation(now);
        let of_instance = self.instance_issuer.generation(now);
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
                    Some(documents::role(iam, role, account_id, generation, &keys))
                });
                Some((document?, generation.issued))
            }
            Live::InstanceRole => {
                let document = self.memo.instance_role.get(of_instance, || {
                    let keys = self.instance_issuer.keys("ec2-instance", of_instance);
                    Some(documents::credentials(None, of_instance, &keys))
                });
                Some((document?, of_instance.issued))
            }
            Live::InstanceRoleInfo => {
                let document = documents::instance_role_info(account_id, of_instance.issued);
                Some((document.into(), of_instance.issued))
            }
            Live::ProfileInfo => {
                let iam = instance.iam.as_ref()?;
                let role = phase.role.as_deref();
                let document = documents::profile_info(instance, iam, role, generation.issued);
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

/// A path as it was asked for.
struct Path<'a> {
    text: &'a str,
    /// Without the empty ones (rule 9).
    segments: Vec<&'a str>,
    ends_in_slash: bool,
}

impl<'a> Path<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            segments: text
                .split('/')
                .filter(|segment| !segment.is_empty())
                .collect(),
            ends_in_slash: text.ends_with('/'),
        }
    }

    /// The segments with their escapes undone, if they are UTF-8 then.
    fn decoded(&self) -> Option<Vec<Cow<'a, str>>> {
        self.segments
            .iter()
            .map(|segment| percent_decode_str(segment).decode_utf8().ok())
            .collect()
    }
}

fn ttl(value: &HeaderValue) -> Option<u32> {
    let digits = value.to_str().ok()?;
    // `parse` alone would take a sign.
    (digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}
