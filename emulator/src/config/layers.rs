//! The sources of a configuration, one over the other: defaults, file, environment, flags.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::{Config, Content};

/// Environment variables for the configuration begin so. The rest is the path of the key in upper
/// case, with `__` between its parts and `_` for `-`: `IMDS_EMULATOR_INSTANCE__INSTANCE_TYPE`.
pub const ENVIRONMENT: &str = "IMDS_EMULATOR_";

/// A configuration that is put together from several sources; later ones win.
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
    /// The defaults alone.
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

    /// A file: JSON if its name ends in `.json`, else TOML.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if it cannot be read, or is not accepted.
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

    /// A TOML document.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with `source` for where it is from.
    pub fn toml(&mut self, source: &str, document: &str) -> Result<(), ConfigError> {
        let layer = parse_toml(source, document)?;
        self.apply(source, layer)
    }

    /// Those environment variables that begin with [`ENVIRONMENT`].
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
                .map_err(|_| ConfigError::new(&name, "", "it is not UTF-8".into()))?;
            let parts: Vec<&str> = name.trim_start_matches(ENVIRONMENT).split("__").collect();
            self.set_parts(&name, &parts, &value)?;
        }
        Ok(())
    }

    /// One key, like `instance.instance-type`, with a value as TOML writes it; a text needs no
    /// quotes. Parts of the key that have a dot are put in quotes: `data."meta-data/a.b"`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with `source` for where it is from.
    pub fn set(&mut self, source: &str, key: &str, value: &str) -> Result<(), ConfigError> {
        let parts = split_key(key).ok_or_else(|| {
            ConfigError::new(
                source,
                key,
                format!("{key:?} is no key; accepted are names with dots between them"),
            )
        })?;
        self.set_parts(source, &parts, value)
    }

    fn set_parts(&mut self, source: &str, parts: &[&str], value: &str) -> Result<(), ConfigError> {
        // What does not fit as TOML may be meant as a text: `123456789012` for an account.
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
                // Of the two the one that got further.
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
            // The environment knows no lower case and no hyphens.
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

    /// Puts `layer` over what there is, if the whole is accepted then.
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

/// The same as JSON, which has no dates: they become texts.
fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        // Nor has it numbers that are none: as `null` they would count as not set.
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

/// Tables are merged, everything else is replaced.
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

/// Puts what the files hold in place of their names.
fn read_files(source: &str, layer: &mut Value, folder: &Path) -> Result<(), ConfigError> {
    let user_data = layer
        .pointer_mut("/instance/user-data")
        .map(|content| ("instance.user-data".to_owned(), content));
    let mut contents: Vec<(String, &mut Value)> = Vec::new();
    // One borrow of the layer at a time.
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

/// The parts of a key with dots, of which some may be in quotes.
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

/// Adds the accepted name that is most like the wrong one.
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

/// A configuration that is not accepted.
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
            // What serde_path_to_error says of the whole.
            key: if key == "." {
                String::new()
            } else {
                key.into()
            },
            what,
        }
    }

    /// Whether a value is of the wrong kind, rather than one that is not accepted.
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
