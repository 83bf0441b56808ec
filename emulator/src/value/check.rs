//! Errors about values, and their location in the configuration.

use std::fmt::{self, Display};

use super::Span;

/// One or more values that are not accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Invalid {
    /// At least one.
    findings: Vec<Finding>,
}

/// A value that is not accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Finding {
    /// The key in the configuration, like `instance.network-interfaces[0].mac`.
    pub(crate) key: String,
    /// Another key, whose value the check compared with.
    pub(crate) other: Option<String>,
    /// The value and what is accepted, or what is wrong with it.
    pub(crate) problem: String,
}

impl Invalid {
    /// The error with `root.` removed from the start of its keys.
    #[cfg(feature = "admin")]
    pub(crate) fn below(mut self, root: &str) -> Self {
        for finding in &mut self.findings {
            let rest = finding.key.strip_prefix(root);
            if let Some(rest) = rest.and_then(|rest| rest.strip_prefix('.')) {
                finding.key = rest.to_owned();
            }
        }
        self
    }

    /// The values that `before` does not have, if there are any.
    pub(crate) fn without(mut self, before: &Self) -> Result<(), Self> {
        self.findings
            .retain(|finding| !before.findings.contains(finding));
        match self.findings.is_empty() {
            true => Ok(()),
            false => Err(self),
        }
    }

    /// The same values, where their keys stand below `key`.
    pub(crate) fn within(mut self, key: &Key) -> Self {
        for finding in &mut self.findings {
            finding.key = format!("{}.{}", key.path, finding.key);
        }
        self
    }

    /// The key of the first value, like `instance.network-interfaces[0].mac`.
    pub fn key(&self) -> &str {
        self.findings
            .first()
            .map_or("", |finding| finding.key.as_str())
    }

    pub(crate) fn into_findings(self) -> Vec<Finding> {
        self.findings
    }
}

/// One line per value.
impl Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Finding { key, problem, .. }) in self.findings.iter().enumerate() {
            let separator = if at == 0 { "" } else { "\n" };
            write!(f, "{separator}{key}: {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

/// Collects the results of checks, so that all values that are not accepted are reported at once.
#[derive(Default)]
pub(crate) struct Checks(Vec<Finding>);

impl Checks {
    pub(crate) fn add(&mut self, result: Result<(), Invalid>) {
        self.extend([result]);
    }

    pub(crate) fn result(self) -> Result<(), Invalid> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(Invalid { findings: self.0 }),
        }
    }
}

impl Extend<Result<(), Invalid>> for Checks {
    fn extend<T: IntoIterator<Item = Result<(), Invalid>>>(&mut self, results: T) {
        let invalid = results.into_iter().filter_map(Result::err);
        self.0.extend(invalid.flat_map(Invalid::into_findings));
    }
}

/// All of the checks, which have been carried out independently of each other.
pub(crate) fn all(results: impl IntoIterator<Item = Result<(), Invalid>>) -> Result<(), Invalid> {
    let mut checks = Checks::default();
    checks.extend(results);
    checks.result()
}

/// The path to a value in the configuration.
pub(crate) struct Key {
    path: String,
    /// Another key, whose value a check compares with.
    other: Option<String>,
}

impl Key {
    pub(crate) fn root(name: &str) -> Self {
        Self::at(name.into())
    }

    fn at(path: String) -> Self {
        Self { path, other: None }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn field(&self, name: impl Display) -> Self {
        Self::at(format!("{}.{name}", self.path))
    }

    /// A key of a table that can have any keys. As in TOML, it is in quotes if it has other
    /// characters than letters, digits, `-` and `_`.
    pub(crate) fn name(&self, name: impl Display) -> Self {
        let name = name.to_string();
        match is_name(&name, "-_") {
            true => self.field(name),
            false => self.field(format_args!("{name:?}")),
        }
    }

    pub(crate) fn item(&self, at: usize) -> Self {
        Self::at(format!("{}[{at}]", self.path))
    }

    /// The key, whose value is compared with that of another key.
    pub(crate) fn compared_with(mut self, other: &Self) -> Self {
        self.other = Some(other.path.clone());
        self
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
            findings: vec![Finding {
                key: self.path.clone(),
                other: self.other.clone(),
                problem: problem.to_string(),
            }],
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
