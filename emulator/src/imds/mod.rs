//! The core: a request and a moment in, a decision out.
//!
//! The core uses neither sockets nor a clock nor randomness of its own, so that a simulation can
//! use it unchanged. It is not part of the stable API.

mod decide;
mod quirks;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

pub use crate::decision::{Decision, Delivery, ReasonPhrase, Step, Summary};
pub use crate::identity::{Certificate, IdentityError};

use crate::config::Config;
use crate::credentials::{Issuer, RoleKeys, Rotation};
use crate::fault::{Conditions, Family, Quirks, Refusal, Rule, RuleSet};
use crate::identity::{Identity, SigningKey};
use crate::request::{ImdsVersion, TokenState};
use crate::token::Tokens;
use crate::tree::{Snapshot, Tree};
use crate::value::{Invalid, Key, Moment, to_seconds};

/// IMDS of one instance.
#[derive(Clone)]
pub struct Imds {
    config: Config,
    seed: [u8; 32],
    revocations: u32,
    tokens: Tokens,
    /// Issues the credentials of the role.
    issuer: Issuer,
    /// Issues the credentials of the instance itself `[I53]`.
    instance_issuer: Issuer,
    identity: Identity,
    /// When the instance was launched or last changed `[I6]`.
    modified: DateTime<Utc>,
    tree: Arc<Tree>,
    /// The tree from the next rotation on, if the role changes then.
    to_come: Option<(DateTime<Utc>, Arc<Tree>)>,
    /// The active rules.
    rules: RuleSet,
    /// What faults change for the current request.
    quirks: Quirks,
    /// The number of requests so far.
    requests: Arc<AtomicU64>,
}

/// The client of a request.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// The client's address.
    pub address: IpAddr,
    /// Number of open connections, this one included.
    pub connections: usize,
    /// The name of the client's process, if it is known.
    pub process: Option<&'a str>,
    /// Whether the emulator owns the network that the request came over, so that faults can act on its
    /// packets.
    pub network_is_ours: bool,
}

impl fmt::Debug for Imds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imds")
            .field("instance", &self.config.instance.instance_id)
            .finish_non_exhaustive()
    }
}

impl Imds {
    /// IMDS as configured, from `now` on. Everything that looks random is derived from `seed`.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if [`Config::check`] fails.
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
            instance_issuer: Issuer::of_instance(seed, now),
            identity: Identity::new(&seed),
            modified,
            tree: Arc::new(Tree::new(&config, role_of(&config))),
            to_come: None,
            rules,
            quirks: Quirks::default(),
            requests: Arc::default(),
            config,
            seed,
        })
    }

    /// The instance with another configuration from `now` on. Spans in new [`Moment`]s count from
    /// `now`. Another role appears at the next rotation `[I50]`. The rules of `config` are added to
    /// the existing rules.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if [`Config::check`] fails, or if another rule has the same name.
    pub fn changed(&self, mut config: Config, now: DateTime<Utc>) -> Result<Self, Invalid> {
        config.check()?;
        let rules = add_rules(self.rules.clone(), &mut config, &self.seed, now)?;
        config.fix_moments(now);
        let rotation = config.instance.iam.as_ref().map(Rotation::from);
        let present = self.tree(now).role();
        let role = role_of(&config);
        let (shown, to_come) = match (present, role) {
            (Some(present), Some(role)) if present != role => {
                let tree = Arc::new(Tree::new(&config, Some(role)));
                (
                    Some(present.to_owned()),
                    Some((self.issuer.next(now), tree)),
                )
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
            modified: now,
            tree: Arc::new(Tree::new(&config, shown)),
            to_come,
            rules,
            quirks: Quirks::default(),
            requests: Arc::clone(&self.requests),
            config,
            seed: self.seed,
        })
    }

    /// The instance with `rule` added at `now`.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the rule is invalid, or if another rule has the same name.
    pub fn with_fault(&self, rule: Rule, now: DateTime<Utc>) -> Result<Self, Invalid> {
        let key = Key::root("fault");
        Ok(self.with_rules(self.rules.with(rule, &self.seed, now, &key)?))
    }

    /// The unique ID of the rule with that name. A later rule with the same name has another ID.
    pub(crate) fn fault_id(&self, name: &str) -> Option<u64> {
        self.rules.id(name)
    }

    /// The instance without that rule.
    pub(crate) fn without_fault_id(&self, id: u64) -> Self {
        self.with_rules(self.rules.without(id))
    }

    /// The instance without the rule of that name, or `None` if there is no such rule.
    pub fn without_fault(&self, name: &str) -> Option<Self> {
        Some(self.without_fault_id(self.fault_id(name)?))
    }

    /// The instance without rules.
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

    /// The rules, in the order in which they are checked, each with the number of requests that it
    /// has applied to.
    pub fn faults(&self) -> impl Iterator<Item = (&Rule, u64)> {
        self.rules.rules()
    }

    /// The state of a scenario.
    pub fn scenario(&self, name: &str) -> String {
        self.rules.scenario(name)
    }

    /// Moves a scenario to a state.
    pub fn set_scenario(&self, name: &str, state: &str) {
        self.rules.set_scenario(name, state);
    }

    /// Moves all scenarios to their first state, and restarts the numbering of requests.
    pub fn reset_counts(&self) {
        self.rules.reset_scenarios();
        self.requests.store(0, Ordering::Relaxed);
    }

    /// Whether a rule refuses connections over this address family.
    pub fn is_down(&self, family: Family, now: DateTime<Utc>) -> bool {
        self.refusal(family, now).is_some()
    }

    /// How a rule refuses connections over this address family, if one does.
    pub(crate) fn refusal(&self, family: Family, now: DateTime<Utc>) -> Option<Refusal> {
        self.rules.refusal(family, now)
    }

    /// What rules do to packets.
    pub(crate) fn conditions(&self, now: DateTime<Utc>) -> Conditions {
        self.rules.conditions(now)
    }

    /// Whether a rule refuses connections or acts on packets, now or later.
    pub(crate) fn acts_below_requests(&self) -> bool {
        self.rules.acts_below_requests()
    }

    /// Whether the client's process makes a difference: to the journal, or to a rule.
    pub(crate) fn tells_processes_apart(&self) -> bool {
        self.config.journal.process || self.rules.tells_processes_apart()
    }

    /// Whether a rule resets the connection of `client` before a request is read. If so, the
    /// connection counts as a request.
    pub fn accept(&self, client: Client<'_>, now: DateTime<Utc>) -> Option<Summary> {
        if self.rules.is_empty() {
            return None;
        }
        let peer = client.address.to_canonical();
        let fired = self.rules.fire_on_accept(peer, client.process, now)?;
        Some(Summary {
            number: self.requests.fetch_add(1, Ordering::Relaxed) + 1,
            imds: ImdsVersion::V1,
            token: TokenState::None,
            lifetime: None,
            rules: vec![Arc::clone(fired.name())],
            status: None,
        })
    }

    /// The instance with all tokens revoked.
    #[must_use]
    pub fn with_tokens_revoked(&self) -> Self {
        let revocations = self.revocations.wrapping_add(1);
        Self {
            revocations,
            tokens: Tokens::new(&self.seed, &self.config.instance.instance_id, revocations),
            ..self.clone()
        }
    }

    /// The instance with new credentials for the role from `now` on. If the role changes with the
    /// next rotation, it changes now.
    #[must_use]
    pub fn with_credentials_rotated(&self, now: DateTime<Utc>) -> Self {
        let next = self.to_come.as_ref().map(|(_, tree)| tree);
        let role = next.unwrap_or(&self.tree).role().map(str::to_owned);
        Self {
            issuer: self.issuer.rotated(now),
            // A new tree, because the old one holds documents of the old credentials.
            tree: Arc::new(Tree::new(&self.config, role)),
            to_come: None,
            ..self.clone()
        }
    }

    /// Whether the role changes with the next rotation.
    pub(crate) fn is_role_to_come(&self) -> bool {
        self.to_come.is_some()
    }

    /// The configuration. Spans in moments are replaced by dates.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The certificate that verifies signatures of the identity document `[I60]`, as PEM.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] if the certificate cannot be generated.
    pub fn certificate(&self, certificate: Certificate) -> Result<String, IdentityError> {
        self.identity.certificate(match certificate {
            Certificate::Rsa => SigningKey::rsa(self.config.instance.signatures.rsa_bits),
            Certificate::Rsa2048 => SigningKey::Rsa2048,
            Certificate::Dsa => SigningKey::Dsa1024,
            Certificate::Dsa2048 => SigningKey::Dsa2048,
        })
    }

    fn tree(&self, now: DateTime<Utc>) -> &Tree {
        match &self.to_come {
            Some((from, tree)) if *from <= now => tree,
            _ => &self.tree,
        }
    }

    fn snapshot(&self, now: DateTime<Utc>) -> Snapshot<'_> {
        Snapshot {
            config: &self.config,
            instance: &self.config.instance,
            tree: self.tree(now),
            role_issuer: &self.issuer,
            instance_issuer: &self.instance_issuer,
            identity: &self.identity,
            modified: self.modified,
            now,
            skew: self.quirks.skew,
            frozen: self.quirks.frozen,
            expires: self.quirks.expires,
            broken: &self.quirks.broken,
        }
    }

    /// The keys of the role's credentials.
    pub fn role_keys(&self, now: DateTime<Utc>) -> Option<RoleKeys> {
        let snapshot = self.snapshot(now);
        let (generation, _) = snapshot.role_credentials();
        Some(self.issuer.keys(snapshot.tree.role()?, generation))
    }
}

fn role_of(config: &Config) -> Option<String> {
    config.instance.iam.as_ref()?.role.clone()
}

fn launched(config: &Config, now: DateTime<Utc>) -> DateTime<Utc> {
    config.instance.pending_time.unwrap_or_default().after(now)
}

/// Moves the rules from a configuration to `rules`.
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
        let (down, other) = (imds(Fault::down()), imds(Fault::blackhole()));
        assert!(down.acts_below_requests() && !down.is_down(Family::Ipv4, now));
        assert!(!other.acts_below_requests());
        let slow = imds(Fault::bandwidth(1_000));
        assert!(slow.acts_below_requests() && slow.conditions(now) == Conditions::default());
        let later = slow.conditions(now + TimeDelta::minutes(1));
        assert_eq!(later.bandwidth, Some(1_000));
    }
}
