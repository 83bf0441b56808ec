//! Enums whose values have names that AWS chose. Each name is written once, for serde; `Display`
//! takes it from there.

use std::fmt;

use serde::Serialize as _;
use strum::VariantArray as _;

use super::{
    Architecture, HttpTokens, InstanceAction, LifeCycle, MaintenanceCode, MaintenanceState,
    SpotAction, Switch, TargetLifecycleState,
};

macro_rules! named {
    ($($name:ident)*) => { $(
        impl $name {
            /// All values, in the order of their declaration.
            pub const ALL: &[Self] = Self::VARIANTS;
        }

        /// The name that IMDS and the configuration use.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.serialize(f)
            }
        }
    )* };
}

named! {
    Architecture HttpTokens InstanceAction LifeCycle MaintenanceCode MaintenanceState SpotAction
    Switch TargetLifecycleState
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_configuration() {
        fn check<T: fmt::Display + serde::Serialize>(all: &[T], names: &str) {
            let displayed: Vec<String> = all.iter().map(ToString::to_string).collect();
            assert_eq!(displayed.join(" "), names);
            assert_eq!(
                serde_json::to_value(all).unwrap(),
                serde_json::to_value(displayed).unwrap()
            );
        }
        check(Architecture::ALL, "x86_64 arm64 i386");
        check(LifeCycle::ALL, "on-demand spot scheduled capacity-block");
        check(
            MaintenanceCode::ALL,
            "instance-reboot system-reboot system-maintenance instance-retirement instance-stop",
        );
        check(
            TargetLifecycleState::ALL,
            "Detached InService Standby Terminated Warmed:Hibernated Warmed:Running Warmed:Stopped \
             Warmed:Terminated",
        );
    }
}
