//! The sources of a configuration, in layers: defaults, file, environment, flags.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::{Config, Content};

/// The prefix of environment variables for the configuration. The rest of a variable's name is the
/// path of the key in upper case, with `__` between its parts and `_` for `-`:
/// `IMDS_EMULATOR_INSTANCE__INSTANCE_TYPE`.
pub const ENVIRONMENT: &str = "IMDS_EMULATOR_";

/// A configuration that is merged from several sources. Later sources take precedence.
#[derive(Clone, Debug)]
pub struct Layers {
    written: Value,
    config: Config,
}

impl Default for Layers {
    fn default() -> Self {
        Self::new()
    }
}

impl Layers {
    /// Only the defaults.
    pub fn new() -> Self {
        Self {
            written: Value::Object(Map::new()),
            config: Config::default(),
        }
    }

    /// The configuration so far.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Adds a file: JSON if its name ends in `.json`, TOML otherwise.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the file cannot be read or is invalid.
    pub fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let source = path.display().to_string();
        let failed = |what: String| ConfigError::new(&source, "", what);
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        let mut layer = if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?
        } else {
            parse_toml(&source, &text)?
        };
        let folder = path.parent().unwrap_or(Path::new("."));
        read_files(&source, &mut layer, folder)?;
        self.apply(&source, layer)
    }

    /// Adds a TOML document. `source` names it in errors.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the document is invalid.
    pub fn toml(&mut self, source: &str, document: &str) -> Result<(), ConfigError> {
        let layer = parse_toml(source, document)?;
        self.apply(source, layer)
    }

    /// Adds the environment variables that begin with [`ENVIRONMENT`].
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the variable.
    pub fn environment(
        &mut self,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(), ConfigError> {
        let mut ours: Vec<(String, OsString)> = variables
            .into_iter()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| name.starts_with(ENVIRONMENT))
            .collect();
        ours.sort();
        for (name, value) in ours {
            let value = value
                .into_string()
                .map_err(|_| ConfigError::new(&name, "", "the value is not UTF-8".into()))?;
            let parts: Vec<&str> = name.trim_start_matches(ENVIRONMENT).split("__").collect();
            self.set_parts(&name, &parts, &value)?;
        }
        Ok(())
    }

    /// Sets one key, like `instance.instance-type`, to a value in TOML; a text needs no quotes.
    /// Quote parts of the key that contain a dot: `data."meta-data/a.b"`. `source` names the
    /// setting in errors.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the key or the value is invalid.
    pub fn set(&mut self, source: &str, key: &str, value: &str) -> Result<(), ConfigError> {
        let parts = split_key(key).ok_or_else(|| {
            ConfigError::new(
                source,
                key,
                format!("{key:?} is not a key; accepted: names with dots in between, like instance.instance-type"),
            )
        })?;
        self.set_parts(source, &parts, value)
    }

    fn set_parts(&mut self, source: &str, parts: &[&str], value: &str) -> Result<(), ConfigError> {
        // A value that does not fit as TOML may be meant as a text, like `123456789012` for an
        // account ID.
        let text = Value::String(value.into());
        let toml = format!("value = {value}")
            .parse::<toml::Table>()
            .ok()
            .and_then(|mut table| table.remove("value"))
            .map_or_else(|| text.clone(), json);
        let as_text = self.apply_at(source, parts, text);
        match as_text {
            Ok(()) => Ok(()),
            Err(error) if toml.is_string() => Err(error),
            Err(as_text) => self.apply_at(source, parts, toml).map_err(|as_toml| {
                // Returns the error of the attempt that got further.
                if as_toml.is_about_kind() {
                    as_text
                } else {
                    as_toml
                }
            }),
        }
    }

    fn apply_at(&mut self, source: &str, parts: &[&str], value: Value) -> Result<(), ConfigError> {
        let known = serde_json::to_value(Config::default()).unwrap_or_default();
        let mut names = Vec::new();
        let mut place = Some(&known);
        for part in parts {
            // Environment variables have neither lower case nor hyphens.
            let name = place
                .and_then(Value::as_object)
                .and_then(|table| table.keys().find(|name| plain(name) == plain(part)))
                .map_or_else(|| part.to_lowercase().replace('_', "-"), Clone::clone);
            place = place.and_then(|place| place.get(&name));
            names.push(if place.is_some() {
                name
            } else {
                (*part).to_owned()
            });
        }
        let layer = names.into_iter().rev().fold(value, |value, name| {
            Value::Object(Map::from_iter([(name, value)]))
        });
        self.apply(source, layer)
    }

    /// Adds `layer` on top, if the result is valid.
    fn apply(&mut self, source: &str, layer: Value) -> Result<(), ConfigError> {
        let mut written = self.written.clone();
        merge(&mut written, layer);
        let config: Config = serde_path_to_error::deserialize(&written).map_err(|error| {
            let path = error.path().to_string();
            ConfigError::new(source, &path, with_suggestion(&error.inner().to_string()))
        })?;
        config
            .check()
            .map_err(|invalid| ConfigError::new(source, "", invalid.to_string()))?;
        self.written = written;
        self.config = config;
        Ok(())
    }
}

fn plain(name: &str) -> String {
    name.chars()
        .filter(|letter| !matches!(letter, '-' | '_'))
        .map(|letter| letter.to_ascii_lowercase())
        .collect()
}

fn parse_toml(source: &str, document: &str) -> Result<Value, ConfigError> {
    let table: toml::Table = document
        .parse()
        .map_err(|error: toml::de::Error| ConfigError::new(source, "", error.to_string()))?;
    Ok(json(toml::Value::Table(table)))
}

/// The TOML value as JSON. Dates become texts.
fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        // JSON has no infinity and no NaN. As `null` they would count as not set.
        toml::Value::Float(number) => serde_json::Number::from_f64(number)
            .map_or_else(|| number.to_string().into(), Value::Number),
        toml::Value::Boolean(is) => is.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(values) => values.into_iter().map(json).collect(),
        toml::Value::Table(table) => table
            .into_iter()
            .map(|(name, value)| (name, json(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

/// Merges tables, and replaces everything else.
fn merge(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (name, value) in above {
                merge(below.entry(name).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above,
    }
}

/// Replaces the paths of files by their contents.
fn read_files(source: &str, layer: &mut Value, folder: &Path) -> Result<(), ConfigError> {
    let user_data = layer
        .pointer_mut("/instance/user-data")
        .map(|content| ("instance.user-data".to_owned(), content));
    let mut contents: Vec<(String, &mut Value)> = Vec::new();
    // Only one borrow of the layer at a time.
    if let Some((key, content)) = user_data {
        read_file(source, &key, content, folder)?;
    }
    if let Some(data) = layer.get_mut("data").and_then(Value::as_object_mut) {
        contents.extend(
            data.iter_mut()
                .map(|(path, content)| (format!("data.{path:?}"), content)),
        );
    }
    contents
        .into_iter()
        .try_for_each(|(key, content)| read_file(source, &key, content, folder))
}

fn read_file(
    source: &str,
    key: &str,
    content: &mut Value,
    folder: &Path,
) -> Result<(), ConfigError> {
    let Ok(Content::File { file }) = serde_json::from_value(content.clone()) else {
        return Ok(());
    };
    let path = folder.join(file);
    let bytes = std::fs::read(&path)
        .map_err(|error| ConfigError::new(source, key, format!("{}: {error}", path.display())))?;
    *content = match String::from_utf8(bytes) {
        Ok(text) => Value::String(text),
        Err(bytes) => serde_json::json!({ "base64": STANDARD.encode(bytes.into_bytes()) }),
    };
    Ok(())
}

/// Splits a key at its dots, except those in quotes.
fn split_key(key: &str) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let mut rest = key;
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (part, after) = quoted.split_once('"')?;
                match after.strip_prefix('.') {
                    Some(after) => (part, Some(after)),
                    None if after.is_empty() => (part, None),
                    None => return None,
                }
            }
            None => match rest.split_once('.') {
                Some((part, after)) => (part, Some(after)),
                None => (rest, None),
            },
        };
        if part.is_empty() {
            return None;
        }
        parts.push(part);
        match after {
            Some(after) => rest = after,
            None => return Some(parts),
        }
    }
}

/// Adds the valid name that is most similar to the unknown one.
fn with_suggestion(message: &str) -> String {
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = message
        .starts_with("unknown ")
        .then(|| names.next())
        .flatten();
    let best = unknown.and_then(|unknown| {
        names
            .map(|name| (strsim::jaro_winkler(&plain(name), &plain(unknown)), name))
            .filter(|(likeness, _)| *likeness > 0.75)
            .max_by(|(one, _), (other, _)| one.total_cmp(other))
    });
    match best {
        Some((_, name)) => format!("{message}; did you mean `{name}`?"),
        None => message.to_owned(),
    }
}

/// An invalid configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigError {
    source: String,
    key: String,
    what: String,
}

impl ConfigError {
    fn new(source: &str, key: &str, what: String) -> Self {
        Self {
            source: source.into(),
            // The path that `serde_path_to_error` reports for the root.
            key: if key == "." {
                String::new()
            } else {
                key.into()
            },
            what,
        }
    }

    /// Whether a value has the wrong type, as opposed to an invalid value.
    fn is_about_kind(&self) -> bool {
        self.what.starts_with("invalid type")
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, key, what } = self;
        match key.as_str() {
            "" => write!(f, "{source}: {what}"),
            key => write!(f, "{source}: {key}: {what}"),
        }
    }
}

impl std::error::Error for ConfigError {}
