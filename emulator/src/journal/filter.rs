//! Which exchanges a query is about.

use globset::GlobMatcher;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Exchange, Outcome};
use crate::request::{ImdsVersion, TokenState, check_glob, glob, text_glob};
use crate::value::{Invalid, Key, all};

/// Selects exchanges: those that match everything that is given.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Filter {
    /// Glob of the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The version of IMDS that the client used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imds: Option<ImdsVersion>,
    /// The state of the request's token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenState>,
    /// The status of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The name of a rule that applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Glob of the `User-Agent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The client's address or network.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub client: Option<IpNet>,
    /// Glob of the name of the process. It needs `journal.process`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// Only exchanges with a higher number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Only this number of the newest exchanges.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

impl Filter {
    /// Selects exchanges by a glob of their path.
    pub fn path(glob: impl Into<String>) -> Self {
        Self {
            path: Some(glob.into()),
            ..Self::default()
        }
    }

    /// The conditions as `ctl requests find` takes them: ` with KEY=VALUE KEY=VALUE`, or nothing.
    pub(crate) fn conditions(&self) -> String {
        let Ok(serde_json::Value::Object(conditions)) = serde_json::to_value(self) else {
            return String::new();
        };
        let mut text = String::new();
        for (at, (key, value)) in conditions.iter().enumerate() {
            let before = if at == 0 { " with" } else { "" };
            let value = match value.as_str() {
                Some(word) => word.to_owned(),
                None => value.to_string(),
            };
            text.push_str(&format!("{before} {key}={value}"));
        }
        text
    }

    /// Checks and compiles the filter; `key` is where it stands.
    pub(crate) fn compile(&self, key: &Key) -> Result<Sieve<'_>, Invalid> {
        all([
            ("path", &self.path),
            ("user-agent", &self.user_agent),
            ("process", &self.process),
        ]
        .map(|(name, pattern)| {
            let check = |pattern: &String| check_glob(&key.field(name), pattern);
            pattern.as_ref().map_or(Ok(()), check)
        }))?;
        let path = self.path.as_deref().and_then(|path| glob(path).ok());
        let text = |pattern: &Option<String>| {
            let glob = text_glob(pattern.as_deref()?).ok()?;
            Some(glob.compile_matcher())
        };
        Ok(Sieve {
            filter: self,
            path: path.map(|glob| glob.compile_matcher()),
            user_agent: text(&self.user_agent),
            process: text(&self.process),
        })
    }

    /// Checks that the journal records what the filter is about; `key` is where it stands.
    pub(crate) fn check_recorded(&self, key: &Key, recorded: Recorded) -> Result<(), Invalid> {
        let Some(pattern) = &self.process else {
            return Ok(());
        };
        let option = Key::root("journal").field("process");
        key.field("process").compared_with(&option).unless(
            recorded.processes,
            pattern,
            "no condition, unless `journal.process` is true: otherwise the journal does not record \
             processes",
        )
    }
}

/// What the journal records on demand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recorded {
    pub(crate) processes: bool,
    pub(crate) packets: bool,
}

/// A compiled filter.
pub(crate) struct Sieve<'a> {
    filter: &'a Filter,
    path: Option<GlobMatcher>,
    user_agent: Option<GlobMatcher>,
    process: Option<GlobMatcher>,
}

impl Sieve<'_> {
    pub(crate) fn passes(&self, exchange: &Exchange) -> bool {
        let Self { filter, .. } = self;
        let agent = exchange.user_agent.as_deref().unwrap_or_default();
        self.path
            .as_ref()
            .is_none_or(|glob| exchange.path_matches(glob))
            && self
                .user_agent
                .as_ref()
                .is_none_or(|glob| glob.is_match(agent))
            && self.process.as_ref().is_none_or(|glob| {
                let process = exchange.process.as_ref();
                process.is_some_and(|process| glob.is_match(&process.name))
            })
            && filter
                .method
                .as_ref()
                .is_none_or(|method| *method == exchange.method)
            && filter.imds.is_none_or(|imds| imds == exchange.imds)
            && filter.token.is_none_or(|token| token == exchange.token)
            && filter
                .status
                .is_none_or(|status| Some(status) == exchange.status)
            && filter
                .outcome
                .is_none_or(|outcome| outcome == exchange.outcome)
            && filter
                .rule
                .as_deref()
                .is_none_or(|rule| exchange.rules.iter().any(|name| **name == *rule))
            && filter
                .client
                .is_none_or(|client| client.contains(&exchange.client))
            && filter.since.is_none_or(|since| exchange.number > since)
    }
}
