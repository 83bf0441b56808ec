//! Spans of time that can be negative.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use chrono::TimeDelta;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_with::{DeserializeFromStr, SerializeDisplay};

use super::{NotATime, Span};

/// A shift in time: `5m` forward, `-5m` back.
///
/// ```
/// use imds_emulator::fault::Shift;
///
/// let shift: Shift = "-5m".parse()?;
/// assert_eq!(chrono::TimeDelta::from(shift).num_seconds(), -300);
/// assert_eq!(shift.to_string(), "-5m");
/// # Ok::<(), imds_emulator::config::NotATime>(())
/// ```
#[derive(Clone, Copy, Debug, DeserializeFromStr, Eq, PartialEq, SerializeDisplay)]
pub struct Shift {
    span: Span,
    back: bool,
}

impl Shift {
    /// Forward in time.
    pub const fn forward(span: Span) -> Self {
        Self { span, back: false }
    }

    /// Back in time.
    pub const fn back(span: Span) -> Self {
        Self { span, back: true }
    }
}

impl FromStr for Shift {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let (back, span) = match text.strip_prefix('-') {
            Some(span) => (true, span),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        Ok(Self {
            span: span.parse()?,
            back,
        })
    }
}

impl fmt::Display for Shift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.back { "-" } else { "" }, self.span)
    }
}

impl From<Shift> for TimeDelta {
    fn from(shift: Shift) -> Self {
        let span = Self::from(shift.span);
        if shift.back { -span } else { span }
    }
}

impl JsonSchema for Shift {
    fn schema_name() -> Cow<'static, str> {
        "Shift".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "a length of time, with - in front for back in time",
            "examples": ["5m", "-5m"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifts_are_written_as_they_are_read() {
        for (text, written, seconds) in
            [("5m", "5m", 300), ("+5m", "5m", 300), ("-5m", "-5m", -300)]
        {
            let shift: Shift = text.parse().unwrap();
            assert_eq!(TimeDelta::from(shift).num_seconds(), seconds);
            assert_eq!(serde_json::to_value(shift).unwrap(), written);
        }
        assert!("5".parse::<Shift>().is_err());
        let schema = schemars::schema_for!(Shift).to_value();
        assert_eq!(
            (&schema["title"], &schema["type"]),
            (&"Shift".into(), &"string".into())
        );
    }
}
