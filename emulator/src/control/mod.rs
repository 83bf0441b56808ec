//! The operations on a running emulator, and the queries about it.

mod apply;
mod expect;
mod mounted;
mod obstacles;
mod player;
mod shared;

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::broadcast;

pub use self::expect::ExpectGuard;
pub(crate) use self::mounted::{check_mounted, check_responses, check_steps};
pub(crate) use self::obstacles::Obstacles;
pub(crate) use self::player::Player;
#[cfg(all(feature = "isolation", target_os = "linux"))]
pub(crate) use self::shared::OwnNetwork;
pub(crate) use self::shared::Shared;

use crate::clock::Clock;
use crate::config::Config;
use crate::credentials::RoleKeys;
use crate::fault::Rule;
use crate::identity::{Certificate, IdentityError};
use crate::journal::{Assertion, Exchange, Filter, Found, Packets, Report};
use crate::preset::Preset;
use crate::timeline::{Command, Outcome, StepStatus, TimelineStep, ToState};
use crate::value::Invalid;

/// A handle on a running emulator, without HTTP. Clones are handles on the same emulator; they do
/// not keep its listeners running.
///
/// Every change of the emulator is a [`Command`], which [`apply`](Self::apply) performs. The other
/// methods that change the emulator build the command.
#[derive(Clone, Debug)]
pub struct Control {
    pub(crate) shared: Arc<Shared>,
}

impl Control {
    /// Applies a command. A request sees either its whole effect or nothing of it.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if a value in the command is not accepted; then nothing is changed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use imds_emulator::{Command, Emulator, Outcome, Preset};
    ///
    /// let imds = Emulator::builder().start().await?;
    /// imds.apply(Command::Preset(Preset::ImdsBrownout))?;
    /// assert_eq!(imds.apply(Command::Heal("no such rule".into())), Ok(Outcome::Absent));
    /// # Ok(()) }
    /// ```
    pub fn apply(&self, command: Command) -> Result<Outcome, Invalid> {
        self.shared.apply(command, self.now())
    }

    /// The present moment, after the steps of the timeline that are due have been taken.
    fn now(&self) -> DateTime<Utc> {
        self.shared.tick();
        self.shared.clock.now()
    }

    /// The emulator's clock.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// The present configuration. Moments that were configured as spans are fixed.
    pub fn config(&self) -> Config {
        self.shared.imds().config().clone()
    }

    /// Changes the configuration of the running emulator: the instance, its metadata options and its
    /// events. The addresses, the port and the seed stay as they are; other settings of the server
    /// apply to new connections. Another role shows at the next rotation `[I50]`.
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
        self.shared.configure(self.now(), |config| {
            change(config);
            Ok(())
        })
    }

    /// Restores the configuration that the emulator started with, its rules and its timeline
    /// included, and clears the journal and the states of scenarios. The clock, tokens and
    /// credentials stay.
    ///
    /// # Errors
    ///
    /// None in practice: the configuration was accepted at the start.
    pub fn reset(&self) -> Result<(), Invalid> {
        self.apply(Command::Reset).map(drop)
    }

    /// Revokes all tokens that were issued so far, as a restart of IMDS does.
    pub fn revoke_tokens(&self) {
        let _ = self.apply(Command::RevokeTokens);
    }

    /// Issues new credentials for the role now.
    pub fn rotate_credentials(&self) {
        let _ = self.apply(Command::RotateCredentials);
    }

    /// The keys of the role's present credentials, if the instance has a role and no fault hides them.
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

    /// Injects a fault, until the guard is dropped.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the rule is not accepted, or if another rule has its name.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use imds_emulator::Emulator;
    /// use imds_emulator::fault::{Fault, Rule};
    ///
    /// let imds = Emulator::builder().start().await?;
    /// let outage = imds.fault(Rule::new("outage", Fault::blackhole()).on("/latest/api/token"))?;
    /// // No client gets a token now.
    /// drop(outage);
    /// assert!(imds.faults().is_empty());
    /// # Ok(()) }
    /// ```
    pub fn fault(&self, rule: Rule) -> Result<FaultGuard, Invalid> {
        Ok(FaultGuard {
            id: self.shared.add_fault(rule, self.now())?,
            shared: Arc::clone(&self.shared),
        })
    }

    /// Applies a preset: adds its rules, or announces its event.
    /// [`remove_preset`](Self::remove_preset) removes them again.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the preset is applied already.
    pub fn preset(&self, preset: Preset) -> Result<(), Invalid> {
        self.apply(Command::Preset(preset)).map(drop)
    }

    /// Removes the rules of a preset, or its event. Returns whether the preset was applied.
    pub fn remove_preset(&self, preset: Preset) -> bool {
        self.apply(Command::RemovePreset(preset)) == Ok(Outcome::Done)
    }

    /// Adds a rule without a guard. It replaces the rule with the same name, if there is one.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the rule is not accepted; then nothing is changed.
    pub fn put_fault(&self, rule: Rule) -> Result<(), Invalid> {
        self.apply(Command::PutFault(Box::new(rule))).map(drop)
    }

    /// Replaces all rules with these.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if a rule is not accepted; then nothing is changed.
    pub fn replace_faults(&self, rules: Vec<Rule>) -> Result<(), Invalid> {
        self.apply(Command::ReplaceFaults(rules)).map(drop)
    }

    /// Removes the rule with this name. Returns whether there was one.
    pub fn heal(&self, name: &str) -> bool {
        self.apply(Command::Heal(name.into())) == Ok(Outcome::Done)
    }

    /// Removes all rules.
    pub fn heal_all(&self) {
        let _ = self.apply(Command::HealAll);
    }

    /// The rules in the order in which they are tried, each with the number of requests that it has
    /// applied to.
    pub fn faults(&self) -> Vec<(Rule, u64)> {
        let imds = self.shared.imds();
        imds.faults()
            .map(|(rule, applied)| (rule.clone(), applied))
            .collect()
    }

    /// The exchanges in the journal that pass a filter, and how many the journal has dropped.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the filter is not accepted.
    pub fn find(&self, filter: &Filter) -> Result<Found, Invalid> {
        let recorded = self.shared.recorded();
        self.shared.journal.find(filter, recorded)
    }

    /// How many exchanges in the journal pass a filter.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the filter is not accepted.
    pub fn count(&self, filter: &Filter) -> Result<usize, Invalid> {
        Ok(self.find(filter)?.exchanges.len())
    }

    /// The packets that clients have sent to IMDS, if the emulator counts them (`journal.packets`): those
    /// of isolated commands, and those in a network that exists (`Builder::link_local`).
    ///
    /// EC2 limits the packets that an instance may send to IMDS, DNS and the time service together
    /// `[I26]`.
    pub fn packets(&self) -> Option<Packets> {
        let recorded = self.shared.recorded().packets;
        recorded.then(|| self.shared.journal.packets())
    }

    /// What keeps a rule from taking effect in a network of the emulator.
    #[cfg(feature = "admin")]
    pub(crate) fn obstacle(&self, rule: &Rule) -> Option<String> {
        let obstacles = &self.shared.obstacles;
        if rule.fault.conditions().is_some() {
            obstacles.first(|obstacle| &obstacle.packets)
        } else if rule.fault.instead().is_some() {
            // Of the faults that need a network of the emulator, this is the one of the route.
            obstacles.first(|obstacle| &obstacle.route)
        } else {
            None
        }
    }

    /// Whether there is, or was, a network that the emulator owns.
    #[cfg(feature = "admin")]
    pub(crate) fn owns_network(&self) -> bool {
        self.shared.own_network.get().is_some()
    }

    /// Checks whether assertions hold for the exchanges in the journal.
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
        let recorded = self.shared.recorded();
        self.shared.journal.verify(assertions, recorded)
    }

    /// Expects that an assertion holds for the requests from now on. The guard checks it when it is
    /// dropped, and panics if it does not hold, so a test cannot forget to.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use imds_emulator::Emulator;
    /// use imds_emulator::journal::{Assertion, Filter, MaxRequests};
    ///
    /// let imds = Emulator::builder().start().await?;
    /// let _only_imdsv2 = imds.expect(Assertion::NoImdsv1);
    /// let one_token = imds.expect(MaxRequests::new(1).of(Filter::path("/latest/api/token")));
    /// // … the program under test runs …
    /// one_token.verify();
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn expect(&self, assertion: impl Into<Assertion>) -> ExpectGuard {
        ExpectGuard::new(Arc::clone(&self.shared), assertion.into())
    }

    /// Receives all exchanges from now on, when they end. A slow receiver loses the oldest exchanges
    /// once 1,024 are pending.
    pub fn follow(&self) -> broadcast::Receiver<Arc<Exchange>> {
        self.shared.journal.follow()
    }

    /// Forgets all exchanges in the journal.
    pub fn clear_journal(&self) {
        let _ = self.apply(Command::ClearJournal);
    }

    /// The state of a scenario: [`STARTED`](crate::fault::STARTED) until something changes it.
    pub fn scenario(&self, name: &str) -> String {
        self.shared.imds().scenario(name)
    }

    /// Sets the state of a scenario.
    pub fn set_scenario(&self, name: &str, state: &str) {
        let _ = self.apply(Command::Scenario(ToState::new(name, state)));
    }

    /// The steps of the timeline and their states.
    pub fn timeline(&self) -> Vec<StepStatus> {
        self.shared.tick();
        self.shared.timeline.statuses()
    }

    /// Replaces all steps of the timeline with these. Their times count from now.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if a step is not accepted; then nothing is changed.
    pub fn set_timeline(&self, steps: Vec<TimelineStep>) -> Result<(), Invalid> {
        self.apply(Command::SetTimeline(steps)).map(drop)
    }

    /// Takes a step of the timeline now, even if it is not due or was taken before.
    ///
    /// # Errors
    ///
    /// [`StepError`] if there is no step with this name, or if the step fails.
    pub fn take_step(&self, name: &str) -> Result<(), StepError> {
        match self.apply(Command::TakeStep(name.into())) {
            Ok(Outcome::Absent) => Err(StepError::Unknown(name.into())),
            Ok(Outcome::Done) => Ok(()),
            Err(invalid) => Err(StepError::Failed(invalid)),
        }
    }

    /// A certificate that verifies signatures of the identity document `[I60]`, as PEM.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] if the certificate cannot be made.
    pub fn certificate(&self, certificate: Certificate) -> Result<String, IdentityError> {
        self.shared.imds().certificate(certificate)
    }
}

/// The reason why a step of the timeline was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepError {
    /// There is no step with this name.
    Unknown(String),
    /// The step failed.
    Failed(Invalid),
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "the timeline has no step {name:?}"),
            Self::Failed(invalid) => invalid.fmt(f),
        }
    }
}

impl std::error::Error for StepError {}

/// A fault that is removed when this is dropped.
#[derive(Debug)]
#[must_use = "the fault is removed when this is dropped; `keep` leaves it"]
pub struct FaultGuard {
    shared: Arc<Shared>,
    /// Of the rule; `None` if it is to stay.
    id: Option<u64>,
}

impl FaultGuard {
    /// Removes the fault.
    pub fn heal(self) {}

    /// Leaves the fault in place.
    pub fn keep(mut self) {
        self.id = None;
    }
}

impl Drop for FaultGuard {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.shared.remove_fault(id);
        }
    }
}
