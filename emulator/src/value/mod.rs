//! The values of a configuration, and the errors for those that are not accepted.

mod check;
mod content;
pub(crate) mod located;
mod shift;
mod time;

pub use check::Invalid;
pub(crate) use check::{Checks, Finding, Key, all, is_name};
pub use content::{Content, True};
pub(crate) use content::{OrFalse, or_false};
pub use shift::Shift;
pub(crate) use time::to_seconds;
pub use time::{Moment, NotATime, Span};
