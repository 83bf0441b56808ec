//! The methods of [`Control`](crate::Control), on the emulator itself.

use std::sync::Arc;

use tokio::sync::broadcast::Receiver;

use super::Emulator;
use crate::clock::Clock;
use crate::config::{Config, Invalid};
use crate::control::{ExpectGuard, FaultGuard, StepError};
use crate::credentials::RoleKeys;
use crate::fault::Rule;
use crate::identity::{Certificate, IdentityError};
use crate::journal::{Assertion, Exchange, Filter, Found, Packets, Report};
use crate::preset::Preset;
use crate::timeline::{Command, Outcome, StepStatus, TimelineStep};

/// Methods that call the method of the same name of [`Control`](crate::Control).
macro_rules! delegate {
    ($(
        $(#[$attribute:meta])*
        fn $name:ident(&self $(, $argument:ident: $type:ty)*) $(-> $result:ty)?;
    )*) => {
        impl Emulator {
            $(
                $(#[$attribute])*
                #[doc = ""]
                #[doc = concat!("See [`Control::", stringify!($name), "`](crate::Control::", stringify!($name), ").")]
                #[track_caller]
                pub fn $name(&self $(, $argument: $type)*) $(-> $result)? {
                    self.control.$name($($argument),*)
                }
            )*
        }
    };
}

delegate! {
    /// Applies a command.
    fn apply(&self, command: Command) -> Result<Outcome, Invalid>;
    /// The emulator's clock.
    fn clock(&self) -> &Clock;
    /// The present configuration.
    fn config(&self) -> Config;
    /// Changes the configuration.
    fn change(&self, change: impl FnOnce(&mut Config)) -> Result<(), Invalid>;
    /// Restores the configuration that the emulator started with, and clears the journal.
    fn reset(&self) -> Result<(), Invalid>;
    /// Revokes all tokens.
    fn revoke_tokens(&self);
    /// Issues new credentials for the role now.
    fn rotate_credentials(&self);
    /// The keys of the role's present credentials.
    fn role_keys(&self) -> Option<RoleKeys>;
    /// Injects a fault, until the guard is dropped.
    fn fault(&self, rule: Rule) -> Result<FaultGuard, Invalid>;
    /// Adds a rule without a guard. It replaces the rule with the same name.
    fn put_fault(&self, rule: Rule) -> Result<(), Invalid>;
    /// Replaces all rules with these.
    fn replace_faults(&self, rules: Vec<Rule>) -> Result<(), Invalid>;
    /// Removes the rule with this name. Returns whether there was one.
    fn heal(&self, name: &str) -> bool;
    /// Removes all rules.
    fn heal_all(&self);
    /// The rules, each with the number of requests that it has applied to.
    fn faults(&self) -> Vec<(Rule, u64)>;
    /// Applies a preset.
    fn preset(&self, preset: Preset) -> Result<(), Invalid>;
    /// Removes a preset. Returns whether it was applied.
    fn remove_preset(&self, preset: Preset) -> bool;
    /// The exchanges in the journal that pass a filter.
    fn find(&self, filter: &Filter) -> Result<Found, Invalid>;
    /// How many exchanges in the journal pass a filter.
    fn count(&self, filter: &Filter) -> Result<usize, Invalid>;
    /// The packets that clients have sent to IMDS.
    fn packets(&self) -> Option<Packets>;
    /// Checks whether assertions hold for the exchanges in the journal.
    fn verify(&self, assertions: &[Assertion]) -> Result<Report, Invalid>;
    /// Expects that an assertion holds for the requests from now on.
    fn expect(&self, assertion: impl Into<Assertion>) -> ExpectGuard;
    /// Receives all exchanges from now on.
    fn follow(&self) -> Receiver<Arc<Exchange>>;
    /// Forgets all exchanges in the journal.
    fn clear_journal(&self);
    /// The state of a scenario.
    fn scenario(&self, name: &str) -> String;
    /// Sets the state of a scenario.
    fn set_scenario(&self, name: &str, state: &str);
    /// The steps of the timeline and their states.
    fn timeline(&self) -> Vec<StepStatus>;
    /// Replaces all steps of the timeline with these.
    fn set_timeline(&self, steps: Vec<TimelineStep>) -> Result<(), Invalid>;
    /// Takes a step of the timeline now.
    fn take_step(&self, name: &str) -> Result<(), StepError>;
    /// A certificate that verifies signatures of the identity document, as PEM.
    fn certificate(&self, certificate: Certificate) -> Result<String, IdentityError>;
}
