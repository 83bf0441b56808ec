//! Spans of time and moments, as they are written in a configuration.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde_with::SerializeDisplay;

/// A length of time, written like `6h 20m`, `90s` or `500ms`.
///
/// ```
/// use imds_emulator::config::Span;
///
/// let span: Span = "6h 20m".parse()?;
/// assert_eq!(chrono::TimeDelta::from(span).num_minutes(), 380);
/// assert_eq!(span.to_string(), "6h 20m");
/// assert!("soon".parse::<Span>().is_err());
/// # Ok::<(), imds_emulator::config::NotATime>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, SerializeDisplay)]
pub struct Span(TimeDelta);

/// The longest span. Added to a date, it stays far from the end of the calendar.
const CENTURY: TimeDelta = TimeDelta::days(36_525);

impl Span {
    /// A span of `seconds` seconds.
    pub const fn seconds(seconds: u32) -> Self {
        // Any u32 of seconds is a TimeDelta.
        match TimeDelta::new(seconds as i64, 0) {
            Some(span) => Self(span),
            None => Self(TimeDelta::zero()),
        }
    }

    /// A span of `minutes` minutes.
    pub const fn minutes(minutes: u16) -> Self {
        Self::seconds(minutes as u32 * 60)
    }
}

impl FromStr for Span {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let span = humantime::parse_duration(text).map_err(|_| NotATime::span(text))?;
        match TimeDelta::from_std(span) {
            Ok(span) if span <= CENTURY => Ok(Self(span)),
            _ => Err(NotATime::span(text)),
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text("a length of time, like 5s or 6h 20m", PhantomData))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = self.0.to_std().unwrap_or_default();
        humantime::format_duration(span).fmt(f)
    }
}

impl From<Span> for TimeDelta {
    fn from(span: Span) -> Self {
        span.0
    }
}

impl From<TimeDelta> for Span {
    /// Limits the span to the range from zero to a century.
    fn from(span: TimeDelta) -> Self {
        Self(span.clamp(TimeDelta::zero(), CENTURY))
    }
}

impl From<Duration> for Span {
    /// Limits the span to a century.
    fn from(span: Duration) -> Self {
        Self(TimeDelta::from_std(span).map_or(CENTURY, |span| span.min(CENTURY)))
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "a length of time: numbers with units, like 6h 20m, 90s or 500ms",
            "examples": ["6h 20m", "90s", "500ms"],
        })
    }
}

/// A moment: a date and time (RFC 3339), or a span counted from when it is configured, like `+2m`.
///
/// ```
/// use imds_emulator::config::Moment;
///
/// let start = "2026-01-02T03:04:05Z".parse()?;
/// assert_eq!("+2m".parse::<Moment>()?.after(start).to_string(), "2026-01-02 03:06:05 UTC");
/// assert!("tomorrow".parse::<Moment>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq, SerializeDisplay)]
#[non_exhaustive]
pub enum Moment {
    /// A date and time.
    At(DateTime<Utc>),
    /// A span after the start of the emulator, or after the change of the configuration that sets
    /// it.
    After(Span),
}

/// The Unix times that RFC 3339 can express: those of the years 0 to 9999.
const EXPRESSIBLE: RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;

impl Moment {
    /// The date and time, for a moment that is configured at `now`.
    pub fn after(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::At(moment) => moment,
            Self::After(span) => now
                .checked_add_signed(span.into())
                .unwrap_or(DateTime::<Utc>::MAX_UTC),
        }
    }

    /// Turns a span into the date and time that it means at `now`.
    pub(crate) fn fix(&mut self, now: DateTime<Utc>) {
        let moment = self.after(now);
        // Clocks can be set to years that RFC 3339 cannot express.
        let (first, last) = EXPRESSIBLE.into_inner();
        let nearest = moment.timestamp().clamp(first, last);
        *self = Self::At(match EXPRESSIBLE.contains(&moment.timestamp()) {
            true => moment,
            false => DateTime::from_timestamp(nearest, 0).unwrap_or(moment),
        });
    }
}

impl Default for Moment {
    fn default() -> Self {
        Self::After(Span::default())
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let accepted = "a date and time like 2026-01-02T03:04:05Z, or a length of time like +2m";
        deserializer.deserialize_str(Text(accepted, PhantomData))
    }
}

/// Reads a time from a text; the first field says what is accepted.
struct Text<T>(&'static str, PhantomData<T>);

impl<T: FromStr<Err = NotATime>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

impl FromStr for Moment {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        if let Some(span) = text.strip_prefix('+') {
            return span
                .parse()
                .map(Self::After)
                .map_err(|_| NotATime::moment(text));
        }
        match DateTime::parse_from_rfc3339(text) {
            // With another time zone, a valid date can lie before the year 0 or after 9999 in UTC.
            Ok(moment) if EXPRESSIBLE.contains(&moment.timestamp()) => {
                Ok(Self::At(moment.to_utc()))
            }
            _ => Err(NotATime::moment(text)),
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(moment) => f.write_str(&moment.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            Self::After(span) => write!(f, "+{span}"),
        }
    }
}

impl JsonSchema for Moment {
    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "a date and time (RFC 3339), or + and a length of time after the start, like +2m",
            "examples": ["2026-01-02T03:04:05Z", "+2m"],
        })
    }
}

/// A text that is not a valid span or moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotATime {
    value: String,
    accepted: &'static str,
}

impl NotATime {
    fn span(value: &str) -> Self {
        Self {
            value: value.into(),
            accepted: "numbers with units, like 6h 20m, 90s or 500ms, up to 100 years",
        }
    }

    fn moment(value: &str) -> Self {
        Self {
            value: value.into(),
            accepted: "a date and time like 2026-01-02T03:04:05Z, or + and a length of time, like +2m",
        }
    }
}

impl fmt::Display for NotATime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not accepted; accepted: {}",
            self.value, self.accepted
        )
    }
}

impl std::error::Error for NotATime {}

/// The moment without its fraction of a second, as documents show it.
pub(crate) fn to_seconds(moment: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp(moment.timestamp(), 0).unwrap_or(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_not_below_zero_and_not_above_a_century() {
        let century: Span = "100years".parse().unwrap();
        for (span, expected) in [
            (TimeDelta::seconds(-1).into(), Span::default()),
            (TimeDelta::seconds(1).into(), Span::seconds(1)),
            (TimeDelta::MAX.into(), century),
            (
                Duration::from_millis(1500).into(),
                "1s 500ms".parse().unwrap(),
            ),
            (Duration::MAX.into(), century),
        ] {
            let span: Span = span;
            assert_eq!(span, expected);
        }
        assert!("101years".parse::<Span>().is_err());
    }

    #[test]
    fn a_moment_that_is_fixed_can_be_told_and_read_again_whatever_the_clock_shows() {
        let century = "100years".parse().unwrap();
        for (now, told) in [
            ("2026-01-02T03:04:05.5Z", "2126-01-03T03:04:05.500Z"),
            ("9999-12-31T00:00:00Z", "9999-12-31T23:59:59Z"),
            ("+12026-01-02T03:04:05Z", "9999-12-31T23:59:59Z"),
            ("-12026-01-02T03:04:05Z", "0000-01-01T00:00:00Z"),
        ] {
            let mut moment = Moment::After(century);
            moment.fix(now.parse().unwrap());
            assert_eq!(moment.to_string(), told, "{now}");
            assert_eq!(told.parse(), Ok(moment));
        }
    }

    #[test]
    fn a_moment_that_utc_cannot_tell_is_none() {
        for text in ["0000-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }
}
