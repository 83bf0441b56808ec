//! The sources of a configuration, in layers: defaults, files, environment, flags.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::error::Problem;
use super::key::{Place, Schema, Setting};
use super::read::{is_below, read};
use super::{Config, ConfigError, Content, aemm};
use crate::value::Key;

/// The prefix of environment variables for the configuration. The rest of a variable's name is the
/// path of the key in upper case, with `__` between its parts and `_` for `-`:
/// `IMDS_EMULATOR_INSTANCE__INSTANCE_TYPE`.
pub const ENVIRONMENT: &str = "IMDS_EMULATOR_";

/// A configuration that is merged from several sources. Later sources take precedence.
///
/// The sources are checked together, by [`Self::config`]: what one of them sets can require what
/// another one sets, in any order.
///
/// ```
/// use imds_emulator::config::Layers;
///
/// let mut layers = Layers::new();
/// layers.assign("--set", "events.spot-interruption.action=terminate");
/// layers.assign("--set", "instance.life-cycle=spot");
/// assert!(layers.config()?.events.spot_interruption.is_some());
/// # Ok::<(), imds_emulator::config::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Layers {
    written: Value,
    /// The keys that have been written, each with its source, in the order of the sources.
    origins: Vec<Origin>,
    /// What could not be merged.
    problems: Vec<Problem>,
    /// A source could not be read, so what it would have set is missing.
    is_incomplete: bool,
    warnings: Vec<String>,
    schema: Schema,
}

#[derive(Clone, Debug)]
struct Origin {
    key: String,
    source: String,
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
            origins: Vec::new(),
            problems: Vec::new(),
            is_incomplete: false,
            warnings: Vec::new(),
            schema: Schema::new(),
        }
    }

    /// The configuration so far.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] lists everything that is wrong with the sources so far.
    pub fn config(&self) -> Result<Config, ConfigError> {
        let mut problems = self.problems.clone();
        let outcome = read::<Config>(&self.written);
        problems.extend(outcome.malformed.iter().map(|malformed| {
            let source = self.source(&malformed.key, None);
            Problem::new(source, &malformed.key, &malformed.problem)
        }));
        if !self.is_incomplete
            && let Some(config) = &outcome.value
            && let Err(invalid) = config.check()
        {
            let findings = invalid.into_findings().into_iter();
            let own = findings
                .map(|finding| outcome.in_source(finding))
                .filter(|finding| !outcome.explains(finding));
            problems.extend(own.map(|finding| {
                let source = self.source(&finding.key, finding.other.as_deref());
                Problem::new(source, finding.key, finding.problem)
            }));
        }
        ConfigError::unless_empty(problems)?;
        // Without problems there is a configuration.
        Ok(outcome.value.unwrap_or_default())
    }

    /// What is not emulated of the sources so far, one sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Adds a file: JSON if its name ends in `.json`, TOML otherwise.
    pub fn file(&mut self, path: &Path) {
        let source = path.display().to_string();
        let Some(text) = self.text(&source, path) else {
            return;
        };
        let layer = match path.extension() {
            Some(extension) if extension == "json" => parse_json(&text),
            _ => parse_toml(&text),
        };
        let mut layer = match layer {
            Ok(layer) => layer,
            Err(error) => return self.unreadable(&source, error),
        };
        let folder = path.parent().unwrap_or(Path::new("."));
        for (key, error) in read_files(&mut layer, folder) {
            self.problems.push(Problem::new(&source, key, error));
        }
        self.write(&source, &[], layer);
    }

    /// Adds a configuration file of amazon-ec2-metadata-mock (AEMM), which is JSON. The documentation
    /// of the emulator has a table of its keys, and of what they become.
    pub fn aemm_file(&mut self, path: &Path) {
        let source = path.display().to_string();
        let Some(text) = self.text(&source, path) else {
            return;
        };
        match parse_json(&text) {
            Ok(Value::Object(file)) => {
                let translated = aemm::translate(&file);
                for (key, what) in translated.problems {
                    self.problems.push(Problem::new(&source, key, what));
                }
                for (key, what) in translated.warnings {
                    self.warnings.push(format!("{source}: {key}: {what}"));
                }
                for (key, path, value) in translated.settings {
                    let source = match key.as_str() {
                        "" => source.clone(),
                        key => format!("{source}: {key}"),
                    };
                    self.write(&source, &path, value);
                }
            }
            Ok(_) => self.unreadable(&source, "not a JSON object".to_owned()),
            Err(error) => self.unreadable(&source, error),
        }
    }

    /// Adds a TOML document. `source` names it in errors.
    pub fn toml(&mut self, source: &str, document: &str) {
        match parse_toml(document) {
            Ok(layer) => self.write(source, &[], layer),
            Err(error) => self.unreadable(source, error),
        }
    }

    /// Adds the environment variables that begin with [`ENVIRONMENT`]. Those that Kubernetes sets
    /// for a service with the name `imds-emulator`, such as `IMDS_EMULATOR_SERVICE_HOST`, are
    /// ignored.
    pub fn environment(&mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) {
        let mut ours: Vec<(String, OsString)> = variables
            .into_iter()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, value)| {
                name.strip_prefix(ENVIRONMENT)
                    .is_some_and(|key| !is_of_kubernetes(key, value))
            })
            .collect();
        // A table comes before the keys in it.
        ours.sort();
        for (name, value) in ours {
            let Ok(value) = value.into_string() else {
                let problem = Problem::new(&name, "", "the value is not UTF-8");
                self.problems.push(problem);
                continue;
            };
            let key = name.strip_prefix(ENVIRONMENT).unwrap_or_default();
            let parts: Vec<String> = key.split("__").map(str::to_owned).collect();
            if parts.iter().any(String::is_empty) {
                let problem = format!(
                    "{key:?} is not a key; accepted: names with __ in between, like INSTANCE__INSTANCE_TYPE"
                );
                self.problems.push(Problem::new(&name, "", problem));
                continue;
            }
            self.set_parts(&name, &parts, &value);
        }
    }

    /// Sets one key, like `instance.instance-type`, to a value in TOML; a text needs no quotes.
    /// Quote parts of the key that contain a dot: `data."meta-data/a.b"`. `source` names the
    /// setting in errors.
    pub fn set(&mut self, source: &str, key: &str, value: &str) {
        match Setting::parse(key) {
            Some(Setting { parts, value: None }) => self.set_parts(source, &parts, value),
            _ => {
                let problem = format!(
                    "{key:?} is not a key; accepted: names with dots in between, like instance.instance-type"
                );
                self.problems.push(Problem::new(source, "", problem));
            }
        }
    }

    /// Sets one key, as [`Self::set`] does, from `KEY=VALUE`.
    pub fn assign(&mut self, source: &str, setting: &str) {
        match Setting::parse(setting) {
            Some(Setting {
                parts,
                value: Some(value),
            }) => self.set_parts(source, &parts, value),
            _ => {
                let problem = format!(
                    "{setting:?} is not a setting; accepted: KEY=VALUE, like instance.instance-type=m7g.large"
                );
                self.problems.push(Problem::new(source, "", problem));
            }
        }
    }

    fn set_parts(&mut self, source: &str, parts: &[String], text: &str) {
        let place = self.schema.find(parts);
        let value = value(&place, text);
        let names = place.names;
        self.write(source, &names, value);
    }

    /// The text of a file.
    fn text(&mut self, source: &str, path: &Path) -> Option<String> {
        match std::fs::read_to_string(path) {
            Ok(text) => Some(text),
            Err(error) => {
                self.unreadable(source, format!("cannot read the configuration: {error}"));
                None
            }
        }
    }

    fn unreadable(&mut self, source: &str, error: String) {
        self.is_incomplete = true;
        self.problems.push(Problem::new(source, "", error));
    }

    /// Adds `value` at a path on top.
    fn write(&mut self, source: &str, path: &[String], value: Value) {
        let key = path.iter().fold(None, |key: Option<Key>, name| {
            Some(key.map_or_else(|| Key::root(name), |key| key.name(name)))
        });
        self.note(source, key.as_ref(), &value);
        let layer = path.iter().rev().fold(value, |value, name| {
            Value::Object(Map::from_iter([(name.clone(), value)]))
        });
        merge(&mut self.written, layer);
    }

    /// Notes where the values in `value` come from.
    fn note(&mut self, source: &str, key: Option<&Key>, value: &Value) {
        let name = key.map_or("", Key::path);
        if !value.is_object() {
            self.origins.retain(|origin| !is_below(&origin.key, name));
        }
        self.origins.push(Origin {
            key: name.to_owned(),
            source: source.to_owned(),
        });
        match value {
            Value::Object(table) => {
                for (name, value) in table {
                    let key = key.map_or_else(|| Key::root(name), |key| key.name(name));
                    self.note(source, Some(&key), value);
                }
            }
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    let key = key.map_or_else(|| Key::root("").item(at), |key| key.item(at));
                    self.note(source, Some(&key), item);
                }
            }
            _ => {}
        }
    }

    /// The source of a value: of the last one that was written at the key, or else nearest to it.
    fn source(&self, key: &str, other: Option<&str>) -> &str {
        let at = |key: &str| self.origins.iter().rev().find(|origin| origin.key == key);
        let below = |key: &str| {
            let mut origins = self.origins.iter().rev();
            origins.find(|origin| is_below(&origin.key, key))
        };
        let nearest = || {
            let mut above = self
                .origins
                .iter()
                .filter(|origin| is_below(key, &origin.key));
            let first = above.next();
            above.fold(first, |best, origin| match best {
                Some(best) if best.key.len() > origin.key.len() => Some(best),
                _ => Some(origin),
            })
        };
        let origin = at(key)
            .or_else(|| below(key))
            .or_else(|| other.and_then(at))
            .or_else(nearest)
            .or_else(|| self.origins.last());
        origin.map_or("the defaults", |origin| &origin.source)
    }
}

/// Whether Kubernetes sets such a variable for a service.
fn is_of_kubernetes(key: &str, value: &OsStr) -> bool {
    let is_url = |value: &str| value.starts_with("tcp://") || value.starts_with("udp://");
    key == "SERVICE_HOST"
        || key.starts_with("SERVICE_PORT")
        || key == "PORT" && value.to_str().is_some_and(is_url)
        || key
            .strip_prefix("PORT_")
            .is_some_and(|port| port.starts_with(|digit: char| digit.is_ascii_digit()))
}

/// The value that a text stands for. If the key accepts what it is as TOML, that is it; otherwise it
/// is a text, like `123456789012` for an account ID.
fn value(place: &Place<'_>, text: &str) -> Value {
    let as_text = || Value::String(text.to_owned());
    let Ok(toml) = text.trim().parse().map(json) else {
        return as_text();
    };
    if place.accepts(&toml) || !(place.is_known() && place.accepts(&as_text())) {
        return toml;
    }
    as_text()
}

fn parse_json(document: &str) -> Result<Value, String> {
    serde_json::from_str(document)
        .map_err(|error| format!("not valid JSON, which is expected here: {error}"))
}

fn parse_toml(document: &str) -> Result<Value, String> {
    let table: Result<toml::Table, _> = document.parse();
    table
        .map(|table| json(toml::Value::Table(table)))
        .map_err(|error: toml::de::Error| error.to_string())
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

/// Replaces the paths of files by their contents. Returns the keys whose files cannot be read.
fn read_files(layer: &mut Value, folder: &Path) -> Vec<(String, String)> {
    let mut errors = Vec::new();
    let mut read = |key: String, content: &mut Value| {
        if let Err(error) = read_file(content, folder) {
            errors.push((key, error));
        }
    };
    if let Some(content) = layer.pointer_mut("/instance/user-data") {
        read("instance.user-data".to_owned(), content);
    }
    if let Some(data) = layer.get_mut("data").and_then(Value::as_object_mut) {
        for (path, content) in data {
            read(format!("data.{path:?}"), content);
        }
    }
    errors
}

fn read_file(content: &mut Value, folder: &Path) -> Result<(), String> {
    let Ok(Content::File { file }) = serde_json::from_value(content.clone()) else {
        return Ok(());
    };
    let path = folder.join(file);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => {
            // Reported once, here.
            *content = Value::String(String::new());
            return Err(format!("{}: {error}", path.display()));
        }
    };
    *content = match String::from_utf8(bytes) {
        Ok(text) => Value::String(text),
        Err(bytes) => serde_json::json!({ "base64": STANDARD.encode(bytes.into_bytes()) }),
    };
    Ok(())
}
