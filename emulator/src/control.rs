//! What can be done to a running emulator, and asked of it.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use chrono::TimeDelta;
use tokio::runtime::Handle;
use tokio::sync::{broadcast, watch};

use crate::clock::Clock;
use crate::config::{Config, Invalid};
use crate::fault::Rule;
use crate::imds::{Certificate, IdentityError, Imds};
use crate::journal::{Assertion, Exchange, Filter, Found, Journal, Kind, Report};
use crate::preset::Preset;

/// A hold on a running emulator, without any HTTP. Clones are holds on the same one; they do not
/// keep it running.
#[derive(Clone, Debug)]
pub struct Control {
    pub(crate) shared: Arc<Shared>,
}

impl Control {
    /// The clock that it goes by.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// What it is configured as at present. Moments that were given as spans are fixed.
    pub fn config(&self) -> Config {
        self.shared.imds.load().config().clone()
    }

    /// Changes the instance, its metadata options or its events while it runs. Addresses, port and
    /// seed stay as they are; other settings of the server are for connections from then on.
    /// Another role shows at the next rotation (rule 50).
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the changed configuration is not accepted; then nothing is changed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use imds_emulator::Emulator;
    /// use imds_emulator::config::{HttpTokens, LifeCycle, SpotAction, SpotInterruption};
    ///
    /// let imds = Emulator::builder().start().await?;
    /// imds.change(|config| {
    ///     config.metadata_options.http_tokens = HttpTokens::Optional;
    ///     config.instance.life_cycle = LifeCycle::Spot;
    ///     config.events.spot_interruption = Some(SpotInterruption::new(SpotAction::Terminate));
    /// })?;
    /// # Ok(()) }
    /// ```
    pub fn change(&self, change: impl FnOnce(&mut Config)) -> Result<(), Invalid> {
        self.try_change(|config| {
            change(config);
            Ok(())
        })
    }

    /// [`change`](Self::change), where the change itself may fail.
    ///
    /// # Errors
    ///
    /// What `change` says, or [`Invalid`]; then nothing is changed.
    pub fn try_change<E: From<Invalid>>(
        &self,
        change: impl FnOnce(&mut Config) -> Result<(), E>,
    ) -> Result<(), E> {
        let now = self.shared.clock.now();
        let added = self.shared.change(|imds| {
            let mut config = imds.config().clone();
            change(&mut config)?;
            let added = config.faults.clone();
            Ok::<_, E>((imds.changed(config, now)?, added))
        })?;
        self.limit(&added);
        Ok(())
    }

    /// Makes everything what it was at the start: the instance, its options and events, the rules of
    /// the configuration, scenarios, and an empty journal. The clock, tokens and credentials stay.
    ///
    /// # Errors
    ///
    /// None, as the configuration was accepted before.
    pub fn reset(&self) -> Result<(), Invalid> {
        let now = self.shared.clock.now();
        let initial = &self.shared.initial;
        self.shared.change(|imds| {
            let changed = imds.without_faults().changed(initial.clone(), now)?;
            changed.reset_counts();
            // The role is another one at once.
            let changed = match changed.is_role_to_come() {
                true => changed.with_credentials_rotated(now),
                false => changed,
            };
            Ok::<_, Invalid>((changed, ()))
        })?;
        self.limit(&initial.faults);
        self.clear_journal();
        Ok(())
    }

    /// Makes all tokens that were issued so far invalid, as a restart of IMDS does.
    pub fn revoke_tokens(&self) {
        let _ = self
            .shared
            .change(|imds| Ok::<_, Infallible>((imds.with_tokens_revoked(), ())));
    }

    /// Gives the role new credentials, before their time.
    pub fn rotate_credentials(&self) {
        let now = self.shared.clock.now();
        let _ = self
            .shared
            .change(|imds| Ok::<_, Infallible>((imds.with_credentials_rotated(now), ())));
    }

    /// Makes something go wrong, from now on until the guard is dropped.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the rule is not accepted, or if there is one of the same name.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use imds_emulator::Emulator;
    /// use imds_emulator::fault::{Fault, Rule};
    ///
    /// let imds = Emulator::builder().start().await?;
    /// let outage = imds.fault(Rule::new("outage", Fault::Blackhole {}).on("/latest/api/token"))?;
    /// // No client gets a token now.
    /// drop(outage);
    /// assert!(imds.faults().is_empty());
    /// # Ok(()) }
    /// ```
    pub fn fault(&self, rule: Rule) -> Result<FaultGuard, Invalid> {
        let now = self.shared.clock.now();
        let name = rule.name.clone();
        let added = [rule.clone()];
        let id = self.shared.change(|imds| {
            let changed = imds.with_fault(rule, now)?;
            let id = changed.fault_id(&name).unwrap_or(KEPT);
            Ok((changed, id))
        })?;
        self.limit(&added);
        Ok(FaultGuard {
            shared: Arc::clone(&self.shared),
            id,
        })
    }

    /// Makes what often goes wrong go wrong: adds the rules of a preset, or announces its event.
    /// [`heal`](Self::heal) takes its rules away, by their names.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if its rules are there already.
    pub fn preset(&self, preset: Preset) -> Result<(), Invalid> {
        self.change(|config| preset.change(config))
    }

    /// Takes the rules of a preset away, or its event; whether there was one.
    pub fn remove_preset(&self, preset: Preset) -> bool {
        let mut removed = false;
        for rule in preset.rules() {
            removed |= self.heal(&rule.name);
        }
        if preset == Preset::SpotInterruption {
            let _ = self.change(|config| {
                removed |= config.events.spot_interruption.take().is_some();
            });
        }
        removed
    }

    /// Puts a rule in place of the one of its name, if there is one, and leaves it there.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the rule is not accepted; then the old one stays.
    pub fn put_fault(&self, rule: Rule) -> Result<(), Invalid> {
        let now = self.shared.clock.now();
        let added = [rule.clone()];
        self.shared.change(|imds| {
            let without = imds.without_fault(&rule.name);
            let changed = without.as_ref().unwrap_or(imds).with_fault(rule, now)?;
            Ok::<_, Invalid>((changed, ()))
        })?;
        self.limit(&added);
        Ok(())
    }

    /// Puts these rules in place of all others.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if one of them is not accepted; then the old ones stay.
    pub fn replace_faults(&self, rules: Vec<Rule>) -> Result<(), Invalid> {
        let now = self.shared.clock.now();
        let added = rules.clone();
        self.shared.change(|imds| {
            let mut config = imds.config().clone();
            config.faults = rules;
            Ok::<_, Invalid>((imds.without_faults().changed(config, now)?, ()))
        })?;
        self.limit(&added);
        Ok(())
    }

    /// How many exchanges of each kind there ever were.
    pub(crate) fn counts(&self) -> Vec<(Kind, u64)> {
        self.shared.journal.counts()
    }

    /// How many connections are open.
    pub(crate) fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed) as u64
    }

    /// How many exchanges the journal has, and how many it has dropped.
    pub(crate) fn journal_length(&self) -> (u64, u64) {
        self.shared.journal.length()
    }

    /// Takes the rule of that name away; whether there was one.
    pub fn heal(&self, name: &str) -> bool {
        self.shared
            .change(|imds| Ok::<_, ()>((imds.without_fault(name).ok_or(())?, ())))
            .is_ok()
    }

    /// Takes all rules away.
    pub fn heal_all(&self) {
        let _ = self
            .shared
            .change(|imds| Ok::<_, Infallible>((imds.without_faults(), ())));
    }

    /// The rules, in the order in which they are looked at, each with the number of requests that it
    /// has applied to.
    pub fn faults(&self) -> Vec<(Rule, u64)> {
        let imds = self.shared.imds.load();
        imds.faults()
            .map(|(rule, applied)| (rule.clone(), applied))
            .collect()
    }

    /// The exchanges that the journal has, and how many it has dropped.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the filter is not accepted.
    pub fn find(&self, filter: &Filter) -> Result<Found, Invalid> {
        self.shared.journal.find(filter)
    }

    /// How many exchanges there are in the journal.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the filter is not accepted.
    pub fn count(&self, filter: &Filter) -> Result<usize, Invalid> {
        Ok(self.find(filter)?.exchanges.len())
    }

    /// Whether assertions hold, of what the journal has.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if an assertion is not accepted.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use imds_emulator::Emulator;
    /// use imds_emulator::journal::Assertion;
    ///
    /// let imds = Emulator::builder().start().await?;
    /// // … the program under test runs …
    /// let report = imds.verify(&[Assertion::NoImdsv1, Assertion::MaxTokenPuts(1)])?;
    /// assert!(report.holds, "{report}");
    /// # Ok(()) }
    /// ```
    pub fn verify(&self, assertions: &[Assertion]) -> Result<Report, Invalid> {
        self.shared.journal.verify(assertions)
    }

    /// All exchanges from now on, as they end. Who is 1,024 behind misses the older ones.
    pub fn follow(&self) -> broadcast::Receiver<Arc<Exchange>> {
        self.shared.journal.follow()
    }

    /// Makes the journal empty.
    pub fn clear_journal(&self) {
        self.shared.journal.clear();
    }

    /// The state of a scenario; [`STARTED`](crate::fault::STARTED) if no rule has changed it.
    pub fn scenario(&self, name: &str) -> String {
        self.shared.imds.load().scenario(name)
    }

    /// Puts a scenario into a state.
    pub fn set_scenario(&self, name: &str, state: &str) {
        self.shared.imds.load().set_scenario(name, state);
    }

    /// Takes rules away when their time to live has run out, if they have one.
    pub(crate) fn limit(&self, rules: &[Rule]) {
        for rule in rules {
            let Some(ttl) = rule.when.ttl else { continue };
            let Some(id) = self.shared.imds.load().fault_id(&rule.name) else {
                continue;
            };
            // A forgotten timer keeps nothing alive.
            let shared = Arc::downgrade(&self.shared);
            let ttl = TimeDelta::from(ttl).to_std().unwrap_or_default();
            self.shared.runtime.spawn(async move {
                tokio::time::sleep(ttl).await;
                if let Some(shared) = shared.upgrade() {
                    shared.heal(id);
                }
            });
        }
    }

    /// A certificate that signatures of the identity document verify against (rule 60), as PEM.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] if it cannot be made.
    pub fn certificate(&self, certificate: Certificate) -> Result<String, IdentityError> {
        self.shared.imds.load().certificate(certificate)
    }
}

/// A fault, as long as this lives.
#[derive(Debug)]
#[must_use = "the fault is gone when this is dropped; `keep` leaves it"]
pub struct FaultGuard {
    shared: Arc<Shared>,
    id: u64,
}

impl FaultGuard {
    /// Takes the fault away.
    pub fn heal(self) {}

    /// Leaves the fault as it is.
    pub fn keep(mut self) {
        self.id = KEPT;
    }
}

/// No rule has this.
const KEPT: u64 = u64::MAX;

impl Drop for FaultGuard {
    fn drop(&mut self) {
        if self.id != KEPT {
            self.shared.heal(self.id);
        }
    }
}

/// What listeners and the handle share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) imds: ArcSwap<Imds>,
    /// Held by who changes `imds`; listeners look again after each change.
    pub(crate) changing: Mutex<()>,
    pub(crate) changes: watch::Sender<()>,
    pub(crate) clock: Clock,
    /// How many connections there are.
    pub(crate) connections: AtomicUsize,
    /// Where rules end by themselves.
    pub(crate) runtime: Handle,
    pub(crate) journal: Journal,
    pub(crate) began: Instant,
    /// What it was started as.
    pub(crate) initial: Config,
}

impl Shared {
    /// Puts another one in place of the instance.
    pub(crate) fn change<T, E>(
        &self,
        change: impl FnOnce(&Imds) -> Result<(Imds, T), E>,
    ) -> Result<T, E> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let (changed, value) = change(&self.imds.load())?;
        self.imds.store(Arc::new(changed));
        self.changes.send_replace(());
        Ok(value)
    }

    /// Takes a rule away, if it is still there.
    pub(crate) fn heal(&self, id: u64) {
        let _ = self.change(|imds| imds.without_fault_id(id).map(|imds| (imds, ())).ok_or(()));
    }
}
