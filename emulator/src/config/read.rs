//! Reads a part of the configuration, and reports all values in it that cannot be read.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use super::key::{Schema, plain};
use crate::value::{Finding, Key, located};

/// What was read, and what could not be.
pub(super) struct Outcome<T> {
    /// What was read. Values that cannot be read are missing in it, or others stand in for them.
    pub(super) value: Option<T>,
    pub(super) malformed: Vec<Malformed>,
    /// The keys of the values that were removed or replaced.
    holes: Vec<String>,
    removed: Removed,
}

/// A value that cannot be read.
pub(super) struct Malformed {
    /// Where it is. Empty for the whole part.
    pub(super) key: String,
    pub(super) problem: String,
    /// The value could be meant for any key in this table, because its own is unknown.
    table: Option<String>,
}

impl<T> Outcome<T> {
    /// The finding with the indices that its keys have in the source.
    pub(super) fn in_source(&self, finding: Finding) -> Finding {
        Finding {
            key: self.removed.original_key(finding.key),
            other: finding.other.map(|key| self.removed.original_key(key)),
            ..finding
        }
    }

    /// Whether another value is not accepted only because of one that cannot be read.
    pub(super) fn explains(&self, Finding { key, other, .. }: &Finding) -> bool {
        let is_near = |key: &str, hole: &str| is_below(key, hole) || is_below(hole, key);
        let tables = || self.malformed.iter().filter_map(|one| one.table.as_ref());
        self.holes.iter().any(|hole| is_near(key, hole))
            || other.as_ref().is_some_and(|other| {
                self.holes.iter().any(|hole| is_near(other, hole))
                    || tables().any(|table| is_below(other, table))
                    // A command that was removed may have set what the check compared with.
                    || self.removed.lists().any(|list| is_below(key, &list))
            })
    }
}

/// Whether `key` is `above`, or below it.
pub(super) fn is_below(key: &str, above: &str) -> bool {
    key.strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Reads `source`. A value that cannot be read is reported, and removed until the rest can be read. If
/// it is required, another one stands in for it, so that the rest of its table can be checked.
pub(super) fn read<T: DeserializeOwned + JsonSchema>(source: &Value) -> Outcome<T> {
    let mut rest = source.clone();
    let mut malformed = Vec::new();
    let mut holes = Vec::new();
    let mut removed = Removed::default();
    let mut filled: Vec<Vec<Part>> = Vec::new();
    let mut schema = None;
    let value = loop {
        let error = match serde_path_to_error::deserialize(&rest) {
            Ok(value) => break Some(value),
            Err(error) => error,
        };
        let message = error.inner().to_string();
        let Located {
            parts,
            command,
            message,
        } = Located::new(&error, &message);
        let original = removed.original(&parts);
        let missing = named(message, "missing field").map(|name| Part::Name(name.to_owned()));
        // A field that was removed is not missing in the source.
        let is_known = missing.as_ref().is_some_and(|name| {
            let field: Vec<Part> = original.iter().chain([name]).cloned().collect();
            removed.has(&field)
        });
        if !is_known {
            let (_, above) = original.split_last().unzip();
            let key = written(&original);
            malformed.push(Malformed {
                problem: match key.as_str() {
                    // Its value is a secret.
                    "server.seed" => "the value is not accepted; accepted: a text".to_owned(),
                    _ => problem(message, value_at(&rest, &parts)),
                },
                key,
                table: named(message, "unknown field").map(|_| written(above.unwrap_or_default())),
            });
        }
        let schema = schema.get_or_insert_with(Schema::of::<T>);
        let mut fill = |rest: &mut Value, path: &[Part], original: Vec<Part>| {
            // Once at most, so that the loop ends.
            let is_new = !filled.contains(&original);
            let is_filled = is_new && fill::<T>(rest, path, schema.examples(path));
            if is_filled {
                filled.push(original);
            }
            is_filled
        };
        if let Some(name) = missing {
            let field: Vec<Part> = parts.iter().cloned().chain([name.clone()]).collect();
            let original: Vec<Part> = original.into_iter().chain([name]).collect();
            let key = written(&original);
            if fill(&mut rest, &field, original) {
                holes.push(key);
                continue;
            }
        }
        // A command cannot lose its name, so it is removed as a whole.
        let is_name = |length: usize| command.is_some_and(|command| length == command + 1);
        let mut targets = (1..=parts.len()).rev().filter(|length| !is_name(*length));
        let target = targets.find_map(|length| {
            let path = parts.get(..length)?;
            let original = removed.original(path);
            let is_item = matches!(path.last(), Some(Part::Index(_)));
            if is_item && fill(&mut rest, path, original.clone()) {
                return Some((original, false));
            }
            remove(&mut rest, path).then_some((original, true))
        });
        let Some((original, is_removed)) = target else {
            break None;
        };
        holes.push(written(&original));
        if is_removed {
            removed.add(original);
        }
    };
    Outcome {
        value,
        malformed,
        holes,
        removed,
    }
}

/// Puts the first of the examples at the path that can be read there. Returns whether there is one.
fn fill<T: DeserializeOwned>(rest: &mut Value, path: &[Part], examples: Vec<Value>) -> bool {
    let Some((last, above)) = path.split_last() else {
        return false;
    };
    // An item is replaced only by a table, because the index of a table can matter. Addresses, texts
    // and commands are removed.
    if matches!(last, Part::Index(_)) && !matches!(examples.as_slice(), [Value::Object(_)]) {
        return false;
    }
    for example in examples {
        let before = rest.clone();
        if !put(rest, path, example) {
            return false;
        }
        let outcome: Result<T, _> = serde_path_to_error::deserialize(&*rest);
        let is_read = outcome.err().is_none_or(|error| {
            let message = error.inner().to_string();
            let Located { parts, message, .. } = Located::new(&error, &message);
            let is_of_table = parts == above
                && named(message, "missing field")
                    .is_none_or(|name| *last == Part::Name(name.to_owned()))
                && named(message, "unknown field").is_none();
            !parts.starts_with(path) && !is_of_table
        });
        if is_read {
            return true;
        }
        *rest = before;
    }
    false
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
    /// The number of the first parts that lead to the command, if the value is in one. Its name
    /// follows.
    command: Option<usize>,
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
            command: segments().position(is_enum),
            parts,
            message,
        }
    }
}

/// A part of the path to a value.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Part {
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

    /// The key in the source, for a key in what is left of it.
    fn original_key(&self, mut key: String) -> String {
        // The items of a list come in the order of their indices, and before what is below them.
        for (list, hole) in self.items() {
            let item = key
                .strip_prefix(&list)
                .and_then(|rest| rest.strip_prefix('['))
                .and_then(|rest| rest.split_once(']'));
            if let Some((index, rest)) = item
                && let Ok(index) = index.parse::<usize>()
                && hole <= index
            {
                key = format!("{list}[{}]{rest}", index + 1);
            }
        }
        key
    }

    /// The keys of the lists that items were removed from.
    fn lists(&self) -> impl Iterator<Item = String> {
        self.items().map(|(list, _)| list)
    }

    /// The items that were removed, each as the key of its list and its index.
    fn items(&self) -> impl Iterator<Item = (String, usize)> {
        self.0.iter().filter_map(|path| match path.split_last()? {
            (Part::Index(index), list) => Some((written(list), *index)),
            _ => None,
        })
    }
}

/// Puts a value at the path. Returns whether there is a table or an item for it.
fn put(root: &mut Value, path: &[Part], value: Value) -> bool {
    let Some((last, above)) = path.split_last() else {
        return false;
    };
    match (value_at_mut(root, above), last) {
        (Some(Value::Object(table)), Part::Name(name)) => {
            table.insert(name.clone(), value);
            true
        }
        (Some(Value::Array(list)), Part::Index(index)) => match list.get_mut(*index) {
            Some(item) => {
                *item = value;
                true
            }
            None => false,
        },
        _ => false,
    }
}

fn value_at_mut<'a>(root: &'a mut Value, path: &[Part]) -> Option<&'a mut Value> {
    path.iter().try_fold(root, |value, part| match part {
        Part::Name(name) => value.get_mut(name),
        Part::Index(index) => value.get_mut(index),
    })
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
    match (value_at_mut(root, above), last) {
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
