//! Errors about values, and their location in the configuration.

use std::fmt::{self, Display};

use super::Span;

/// A value that is not accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Invalid {
    key: String,
    /// The value and what is accepted, or what is wrong with it.
    problem: String,
}

impl Invalid {
    /// The error with `root.` removed from the start of its key.
    #[cfg(feature = "admin")]
    pub(crate) fn below(mut self, root: &str) -> Self {
        let rest = self.key.strip_prefix(root);
        if let Some(rest) = rest.and_then(|rest| rest.strip_prefix('.')) {
            self.key = rest.to_owned();
        }
        self
    }

    /// The same value, where its key stands below `key`.
    pub(crate) fn within(mut self, key: &Key) -> Self {
        self.key = format!("{}.{}", key.0, self.key);
        self
    }

    /// The key in the configuration, like `instance.network-interfaces[0].mac`.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.problem)
    }
}

impl std::error::Error for Invalid {}

/// The path to a value in the configuration.
pub(crate) struct Key(String);

impl Key {
    pub(crate) fn root(name: &str) -> Self {
        Self(name.into())
    }

    pub(crate) fn field(&self, name: impl Display) -> Self {
        Self(format!("{}.{name}", self.0))
    }

    pub(crate) fn item(&self, at: usize) -> Self {
        Self(format!("{}[{at}]", self.0))
    }

    /// Returns an error unless `right`.
    pub(crate) fn unless(
        &self,
        right: bool,
        value: impl Display,
        accepted: impl Display,
    ) -> Result<(), Invalid> {
        if right {
            return Ok(());
        }
        let value = value.to_string();
        Err(self.malformed(format_args!(
            "{value:?} is not accepted; accepted: {accepted}"
        )))
    }

    /// The error for a value that cannot be parsed, with the parser's message.
    pub(crate) fn malformed(&self, problem: impl Display) -> Invalid {
        Invalid {
            key: self.0.clone(),
            problem: problem.to_string(),
        }
    }

    pub(crate) fn longer_than_zero(&self, span: Span) -> Result<(), Invalid> {
        self.unless(
            span > Span::default(),
            span,
            "a time longer than zero, like 5s",
        )
    }

    /// Accepts one line of text that is not empty.
    pub(crate) fn line(&self, value: &str) -> Result<(), Invalid> {
        self.unless(
            !value.is_empty() && !value.chars().any(char::is_control),
            value,
            "one line of text",
        )
    }
}

/// Whether `value` has at least one character, and all are ASCII letters, digits or in `others`.
pub(crate) fn is_name(value: &str, others: &str) -> bool {
    !value.is_empty()
        && value
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || others.contains(letter))
}
