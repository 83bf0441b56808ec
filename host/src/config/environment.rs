//! Environment variables.

use std::collections::BTreeMap;
use std::env::{self, VarError};
use std::fmt;

use crate::error::{Error, ErrorKind};

/// The environment variables that settings are read from: those of the process, or others.
///
/// ```
/// use ec2_role_host::{Ec2RoleProvider, Environment};
///
/// // A program that must not be configured from outside:
/// let builder = Ec2RoleProvider::builder().environment(Environment::empty());
/// // A test:
/// let environment = Environment::from_iter([("AWS_EC2_METADATA_DISABLED", "true")]);
/// ```
#[derive(Clone, Default)]
pub struct Environment(Variables);

#[derive(Clone, Default)]
enum Variables {
    #[default]
    Process,
    Given(BTreeMap<String, String>),
}

impl Environment {
    /// The variables of the process, as they are when the provider is built.
    pub fn process() -> Self {
        Self(Variables::Process)
    }

    /// No variables. Without a home directory there are no shared configuration files either.
    pub fn empty() -> Self {
        Self(Variables::Given(BTreeMap::new()))
    }

    /// The value of a variable. An empty variable counts as not set.
    pub(crate) fn get(&self, name: &str) -> Result<Option<String>, Error> {
        let value = match &self.0 {
            Variables::Given(variables) => variables.get(name).cloned(),
            Variables::Process => match env::var(name) {
                Ok(value) => Some(value),
                Err(VarError::NotPresent) => None,
                Err(VarError::NotUnicode(_)) => {
                    return Err(Error::new(
                        ErrorKind::InvalidConfiguration,
                        format!(
                            "the environment variable {name} is not valid UTF-8; accepted: UTF-8"
                        ),
                    ));
                }
            },
        };
        Ok(value.filter(|value| !value.is_empty()))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        let variables = variables.into_iter();
        Self(Variables::Given(
            variables
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        ))
    }
}

/// Shows the names only, because environments contain secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Variables::Process => f.write_str("Environment::process()"),
            Variables::Given(variables) => f.debug_list().entries(variables.keys()).finish(),
        }
    }
}
