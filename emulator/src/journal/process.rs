//! The process that a request comes from.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A process that sends requests.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Process {
    /// The process ID, as the emulator sees it. The processes of an isolated command see other IDs.
    pub pid: u32,
    /// The name, as in `/proc/PID/comm`: that of the program, or of a script that was started by its
    /// own name.
    pub name: String,
    /// The parent. An isolated command itself has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
}

/// The parent of a process that sends requests.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Parent {
    /// The process ID.
    pub pid: u32,
    /// The name.
    pub name: String,
}

/// As in a log: `curl[4711]`.
impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.name.escape_debug(), self.pid)
    }
}
