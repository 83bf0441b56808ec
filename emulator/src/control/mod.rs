//! What can be done to a running emulator, and asked of it.

mod player;
mod shared;

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::broadcast;

pub(crate) use self::player::Player;
pub(crate) use self::shared::Shared;

use crate::clock::Clock;
use crate::config::Config;
use crate::credentials::RoleKeys;
use crate::fault::Rule;
use crate::imds::{Certificate, IdentityError};
use crate::journal::{Assertion, Exchange, Filter, Found, Kind, Report};
use crate::preset::Preset;
use crate::timeline::{StepStatus, TimelineStep};
use crate::value::Invalid;

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
        self.shared.imds().config().clone()
    }

    /// Changes the instance, its metadata options or its events while it runs. Addresses, port and
    /// seed stay as they are; other settings of the server are for connections from then on.
    /// Another role shows at the next rotation `[I50]`.
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
        self.shared.limit(&added);
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
        self.shared.limit(&initial.faults);
        self.shared.timeline.start(initial.timeline.clone(), now);
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

    /// The keys that the role's credentials have at present, if there is a role and nothing is wrong.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let imds = imds_emulator::Emulator::builder().start().await?;
    /// let before = imds.role_keys();
    /// imds.rotate_credentials();
    /// assert_ne!(imds.role_keys(), before);
    /// # Ok(()) }
    /// ```
    pub fn role_keys(&self) -> Option<RoleKeys> {
        self.shared.imds().role_keys(self.shared.clock.now())
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
        self.shared.limit(&added);
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
        self.change(|config| config.add_preset(preset))
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
        self.shared.limit(&added);
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
        self.shared.limit(&added);
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
        let imds = self.shared.imds();
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
        self.shared.imds().scenario(name)
    }

    /// Puts a scenario into a state.
    pub fn set_scenario(&self, name: &str, state: &str) {
        self.shared.imds().set_scenario(name, state);
    }

    /// The steps of the timeline, and what has become of them.
    pub fn timeline(&self) -> Vec<StepStatus> {
        self.shared.tick();
        self.shared.timeline.statuses()
    }

    /// Puts these steps in place of all others. Their times count from now.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if a step is not accepted; then the old ones stay.
    pub fn set_timeline(&self, steps: Vec<TimelineStep>) -> Result<(), Invalid> {
        self.config().check_timeline(&steps)?;
        self.shared.timeline.start(steps, self.shared.clock.now());
        // Listeners look again.
        self.shared.changes.send_replace(());
        Ok(())
    }

    /// Takes a step of the timeline, whether its time has come or not.
    ///
    /// # Errors
    ///
    /// [`StepError`] if there is no step of that name, or if it went wrong.
    pub fn take_step(&self, name: &str) -> Result<(), StepError> {
        let now = self.shared.clock.now();
        let step = self.shared.timeline.take(name, now);
        let step = step.ok_or_else(|| StepError::Unknown(name.into()))?;
        self.shared.perform(&step, now).map_err(StepError::Failed)
    }

    /// A certificate that signatures of the identity document verify against `[I60]`, as PEM.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] if it cannot be made.
    pub fn certificate(&self, certificate: Certificate) -> Result<String, IdentityError> {
        self.shared.imds().certificate(certificate)
    }
}

/// Why a step was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepError {
    /// There is no step of this name.
    Unknown(String),
    /// It went wrong.
    Failed(Invalid),
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "there is no step {name:?}"),
            Self::Failed(invalid) => invalid.fmt(f),
        }
    }
}

impl std::error::Error for StepError {}

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
