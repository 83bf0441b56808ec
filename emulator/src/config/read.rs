//! Reads a part of the configuration, and reports all values in it that cannot be read.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use super::key::plain;
use crate::value::{Finding, Key, located};

/// What was read, and what could not be.
pub(super) struct Outcome<T> {
    /// What was read, without the values that cannot be read.
    pub(super) value: Option<T>,
    pub(super) malformed: Vec<Malformed>,
}

/// A value that cannot be read.
pub(super) struct Malformed {
    /// Where it is. Empty for the whole part.
    pub(super) key: String,
    pub(super) problem: String,
    /// The value could be meant for any key in this table, because its own is unknown.
    table: Option<String>,
    /// The list that lacks the value.
    list: Option<String>,
}

impl<T> Outcome<T> {
    /// Whether another value is not accepted only because of one that cannot be read.
    pub(super) fn explains(&self, finding: &Finding) -> bool {
        self.malformed.iter().any(|malformed| {
            let Malformed {
                key, table, list, ..
            } = malformed;
            // The following items of the list have other indices than in the source.
            is_below(&finding.key, key)
                || is_below(key, &finding.key)
                || list.iter().any(|list| is_below(&finding.key, list))
                || finding.other.iter().any(|other| {
                    is_below(other, key)
                        || is_below(key, other)
                        || table.iter().any(|table| is_below(other, table))
                })
        })
    }
}

/// Whether `key` is `above`, or below it.
pub(super) fn is_below(key: &str, above: &str) -> bool {
    key.strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Reads `source`. A value that cannot be read is removed and reported, until the rest can be read.
pub(super) fn read<T: DeserializeOwned>(source: &Value) -> Outcome<T> {
    let mut rest = source.clone();
    let mut malformed = Vec::new();
    let mut removed = Removed::default();
    loop {
        let error = match serde_path_to_error::deserialize(&rest) {
            Ok(value) => {
                return Outcome {
                    value: Some(value),
                    malformed,
                };
            }
            Err(error) => error,
        };
        let message = error.inner().to_string();
        let Located {
            parts,
            removable,
            message,
        } = Located::new(&error, &message);
        let original = removed.original(&parts);
        let missing = named(message, "missing field");
        // A field that was removed is no longer missing in the source.
        let is_reported = missing.is_none_or(|name| {
            let mut field = original.clone();
            field.push(Part::Name(name.to_owned()));
            !removed.has(&field)
        });
        if is_reported {
            let (_, above) = original.split_last().unzip();
            let above = above.unwrap_or_default();
            let key = written(&original);
            malformed.push(Malformed {
                problem: match key.as_str() {
                    // Its value is a secret.
                    "server.seed" => "the value is not accepted; accepted: a text".to_owned(),
                    _ => problem(message, value_at(&rest, &parts)),
                },
                key,
                table: named(message, "unknown field").map(|_| written(above)),
                list: matches!(original.last(), Some(Part::Index(_))).then(|| written(above)),
            });
        }
        let removable = parts.get(..removable).unwrap_or(&parts);
        let original = removed.original(removable);
        if !remove(&mut rest, removable) {
            return Outcome {
                value: None,
                malformed,
            };
        }
        removed.add(original);
    }
}

/// The key of a value that cannot be read, and the problem in the words of the configuration. The
/// problem may show the value, if `source` contains it.
#[cfg(feature = "admin")]
pub(crate) fn described(
    error: &serde_path_to_error::Error<serde_json::Error>,
    source: Option<&Value>,
) -> (String, String) {
    let message = error.inner().to_string();
    let Located { parts, message, .. } = Located::new(error, &message);
    let value = source.and_then(|source| value_at(source, &parts));
    (written(&parts), problem(message, value))
}

/// Where a value is that cannot be read, and the problem in the words of serde.
struct Located<'a> {
    parts: Vec<Part>,
    /// The number of the first parts that lead to the innermost value that can be removed. A command
    /// can only be removed as a whole.
    removable: usize,
    message: &'a str,
}

impl<'a> Located<'a> {
    fn new(error: &serde_path_to_error::Error<serde_json::Error>, message: &'a str) -> Self {
        let segments = || error.path().iter();
        let is_enum = |segment: &Segment| matches!(segment, Segment::Enum { .. });
        let mut parts: Vec<Part> = segments().map_while(Part::from).collect();
        // The key says where the value is.
        let message = match message.rsplit_once(" at line ") {
            Some((message, _)) if error.inner().line() != 0 => message,
            _ => message,
        };
        let (path, message) = located::split(message);
        parts.extend(path.into_iter().flat_map(Part::parse));
        Self {
            removable: segments().position(is_enum).unwrap_or(parts.len()),
            parts,
            message,
        }
    }
}

/// A part of the path to a value.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Part {
    Name(String),
    Index(usize),
}

impl Part {
    fn from(segment: &Segment) -> Option<Self> {
        match segment {
            Segment::Map { key } | Segment::Enum { variant: key } => Some(Self::Name(key.clone())),
            Segment::Seq { index } => Some(Self::Index(*index)),
            Segment::Unknown => None,
        }
    }

    /// The parts of a path like `body.text` or `items[0]`.
    fn parse(path: &str) -> Vec<Self> {
        let parts = path.split(['.', '[']).filter(|part| !part.is_empty());
        parts
            .map(|part| match part.strip_suffix(']').map(str::parse) {
                Some(Ok(index)) => Self::Index(index),
                _ => Self::Name(part.to_owned()),
            })
            .collect()
    }
}

/// The paths of the values that have been removed, with their indices in the source.
#[derive(Default)]
struct Removed(BTreeSet<Vec<Part>>);

impl Removed {
    fn add(&mut self, path: Vec<Part>) {
        self.0.insert(path);
    }

    fn has(&self, path: &[Part]) -> bool {
        self.0.contains(path)
    }

    /// The path in the source, for a path in what is left of it.
    fn original(&self, path: &[Part]) -> Vec<Part> {
        let mut original: Vec<Part> = Vec::new();
        for part in path {
            let mut part = part.clone();
            if let Part::Index(index) = &mut part {
                for removed in &self.0 {
                    if let Some((Part::Index(hole), list)) = removed.split_last()
                        && list == original
                        && hole <= index
                    {
                        *index += 1;
                    }
                }
            }
            original.push(part);
        }
        original
    }
}

fn value_at<'a>(root: &'a Value, path: &[Part]) -> Option<&'a Value> {
    path.iter().try_fold(root, |value, part| match part {
        Part::Name(name) => value.get(name),
        Part::Index(index) => value.get(index),
    })
}

/// Removes a value. Returns whether there was one.
fn remove(root: &mut Value, path: &[Part]) -> bool {
    let Some((last, above)) = path.split_last() else {
        return false;
    };
    let above = above.iter().try_fold(root, |value, part| match part {
        Part::Name(name) => value.get_mut(name),
        Part::Index(index) => value.get_mut(index),
    });
    match (above, last) {
        (Some(Value::Object(table)), Part::Name(name)) => table.remove(name).is_some(),
        (Some(Value::Array(list)), Part::Index(index)) if *index < list.len() => {
            list.remove(*index);
            true
        }
        _ => false,
    }
}

/// The path as a key.
fn written(path: &[Part]) -> String {
    let key = path.iter().fold(None, |key: Option<Key>, part| {
        Some(match (key, part) {
            (None, Part::Name(name)) => Key::root(name),
            (None, Part::Index(at)) => Key::root("").item(*at),
            (Some(key), Part::Name(name)) => key.name(name),
            (Some(key), Part::Index(at)) => key.item(*at),
        })
    });
    key.map_or_else(String::new, |key| key.path().to_owned())
}

/// The name in backquotes, if the message begins with `what`.
fn named<'a>(message: &'a str, what: &str) -> Option<&'a str> {
    let rest = message.strip_prefix(what)?;
    rest.split('`').nth(1)
}

/// The problem in the words of the configuration, given those of serde.
fn problem(message: &str, value: Option<&Value>) -> String {
    let accepted = match message {
        "invalid IPv4 address syntax" => Some("an IPv4 address, like 10.0.0.5"),
        "invalid IPv6 address syntax" => Some("an IPv6 address, like 2001:db8::5"),
        "invalid IP address syntax" => {
            Some("an IP address, like 10.0.0.5; for a block, with a length, like 10.0.0.0/16")
        }
        message => message.strip_prefix("expected "),
    };
    if let (Some(accepted), Some(value)) = (accepted, value) {
        return format!("{value} is not accepted; accepted: {accepted}");
    }
    let (what, expected) = match message.rsplit_once(", expected ") {
        Some((what, expected)) => (what, Some(expected)),
        None => (message, None),
    };
    let what = match what {
        "invalid type: map" => "invalid type: table",
        "invalid type: sequence" => "invalid type: list",
        what => what,
    };
    let expected = expected.map(|expected| match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, 0 or more",
        "i64" => "a whole number",
        "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "string or map" => "a text",
        "a sequence" => "a list",
        "a map" => "a table",
        expected if expected.starts_with("struct ") => "a table",
        expected => expected,
    });
    with_suggestion(&match expected {
        Some(expected) => format!("{what}, expected {expected}"),
        None => what.to_owned(),
    })
}

/// Adds the valid name that is most similar to the unknown one. A long list of names is omitted.
fn with_suggestion(message: &str) -> String {
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = message
        .starts_with("unknown ")
        .then(|| names.next())
        .flatten();
    let Some(unknown) = unknown else {
        return message.to_owned();
    };
    let names: Vec<&str> = names.collect();
    let suggestion = most_similar(unknown, names.iter().copied());
    let message = match (message.split_once(", expected "), suggestion) {
        (Some((what, _)), Some(_)) if names.len() > LISTED => what.to_owned(),
        (Some((what, _)), None) if names.len() > LISTED => {
            format!(
                "{what}; the documentation lists the {} accepted names",
                names.len()
            )
        }
        _ => message.to_owned(),
    };
    match suggestion {
        Some(name) => format!("{message}; did you mean `{name}`?"),
        None => message,
    }
}

/// The number of valid names up to which an error lists them all.
const LISTED: usize = 30;

/// The name that is most similar to an unknown one, if one is similar at all.
pub(super) fn most_similar<'a>(
    unknown: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let alike = |name: &str| strsim::jaro_winkler(&plain(name), &plain(unknown));
    names
        .into_iter()
        .map(|name| (alike(name), name))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}
