//! Errors within a value that is read as JSON first, and as what it stands for afterwards. serde
//! does not track the path within such a value, so the message of the error carries it.

use std::fmt::Display;

const START: &str = "at `";
const END: &str = "`: ";

/// The message of an error at `path` within the value.
pub(crate) fn message(path: impl Display, problem: impl Display) -> String {
    format!("{START}{path}{END}{problem}")
}

/// The path within the value, if the message carries one, and the problem.
pub(crate) fn split(message: &str) -> (Option<&str>, &str) {
    match message
        .strip_prefix(START)
        .and_then(|rest| rest.split_once(END))
    {
        Some((path, problem)) => (Some(path), problem),
        None => (None, message),
    }
}
