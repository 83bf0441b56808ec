//! An invalid configuration, and where it is.

use std::fmt;

/// An invalid configuration. `Display` lists everything that is wrong with it: source, key, value,
/// and what is accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigError {
    /// At least one.
    problems: Vec<Problem>,
}

/// A value, a key or a source that is not accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Problem {
    /// A file, a variable or an option.
    pub(super) source: String,
    /// Empty if the problem is the source as a whole.
    pub(super) key: String,
    pub(super) what: String,
}

impl Problem {
    pub(super) fn new(source: &str, key: impl Into<String>, what: impl ToString) -> Self {
        Self {
            source: source.to_owned(),
            key: key.into(),
            what: what.to_string(),
        }
    }
}

impl ConfigError {
    /// The error, if there are any problems.
    pub(super) fn unless_empty(problems: Vec<Problem>) -> Result<(), Self> {
        match problems.is_empty() {
            true => Ok(()),
            false => Err(Self { problems }),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [problem] => problem.fmt(f),
            problems => {
                write!(f, "{} errors in the configuration:", problems.len())?;
                problems.iter().try_for_each(|problem| {
                    let text = problem.to_string().replace('\n', "\n    ");
                    write!(f, "\n  {text}")
                })
            }
        }
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, key, what } = self;
        match key.as_str() {
            "" => write!(f, "{source}: {what}"),
            key => write!(f, "{source}: {key}: {what}"),
        }
    }
}
