//! Every key, in every kind of source.

use std::ffi::OsString;

use imds_emulator::config::{Config, ENVIRONMENT, Layers};
use serde_json::{Map, Value};

use crate::full::FULL;

/// Values for the keys that [`FULL`] lacks, other than the default. With these, some categories would
/// not exist, or would be otherwise.
const OTHERS: &str = r#"
[server]
hosts = ["127.0.0.2"]
port = 4000
dialect = "xen"
keep-alive = true
head-timeout = "5s"
seed = "12345"
peers = [{ network = "10.0.0.0/8", hops = 2 }]

[metadata-options]
HttpEndpoint = "disabled"
HttpTokens = "optional"
HttpPutResponseHopLimit = 2
HttpProtocolIpv6 = "disabled"
InstanceMetadataTags = "disabled"

[instance]
public = false

[instance.tags]
"a=b.c/d" = "1"

[instance.iam]
info-code = "InstanceProfileNotFound"
code = "Failed"
message = "a = b"

[[events.maintenance]]
code = "instance-stop"
description = "a description"
event-id = "instance-event-1"
announced = "+1m"
not-before = "+2m"
not-after = false
state = "completed"

[data]
"meta-data/x.y" = "1"
"meta-data/z" = { absent = true }

[[faults]]
name = "a fault"
match = { path = "/**" }
when = { count = 1 }
fault = { type = "status", code = 503 }

[[timeline]]
name = "a step"
at = "1m"
do = [{ heal = "a fault" }]

[journal]
capacity = 7
process = true
packets = true

[admin]
enabled = true
host = "127.0.0.3"
port = 4001
socket = "/tmp/admin.sock"
"#;

/// Keys that are accepted only together with others, and those.
const TOGETHER: &[(&str, &[&str])] = &[
    ("events.spot-interruption.action", &["instance.life-cycle"]),
    (
        "events.spot-interruption.announced",
        &["instance.life-cycle", "events.spot-interruption.action"],
    ),
    (
        "events.spot-interruption.time",
        &["instance.life-cycle", "events.spot-interruption.action"],
    ),
    ("instance.iam.lifetime", &["instance.iam.lead"]),
    (
        "instance.placement.outpost-arn",
        &["instance.placement.availability-zone"],
    ),
    (
        "instance.tags.a=b.c/d",
        &["metadata-options.InstanceMetadataTags"],
    ),
];

/// A key and its value.
#[derive(Clone, Debug)]
struct Setting {
    path: Vec<String>,
    value: Value,
}

impl Setting {
    fn key(&self) -> String {
        self.path.join(".")
    }

    /// The value as a user writes it: a text without quotes, anything else in TOML.
    fn text(&self) -> String {
        match &self.value {
            // These are TOML; a user who means a text quotes them, where the key accepts both.
            Value::String(text) => text.clone(),
            value => toml::Value::try_from(value).unwrap().to_string(),
        }
    }

    fn variable(&self) -> (OsString, OsString) {
        let mut names = self.path.clone();
        // The keys of these tables are names that users choose.
        let chosen = ["tags", "data", "active-keys", "signer-ocsp"];
        let end = names
            .iter()
            .position(|name| chosen.contains(&name.as_str()));
        let end = end.map_or(names.len(), |at| at + 1);
        for name in &mut names[..end] {
            *name = name.to_uppercase().replace('-', "_");
        }
        let name = format!("{ENVIRONMENT}{}", names.join("__"));
        (name.into(), self.text().into())
    }

    fn assignment(&self) -> String {
        let parts: Vec<String> = self
            .path
            .iter()
            .map(|part| match part.contains(['.', '=', '/']) {
                true => format!("{part:?}"),
                false => part.clone(),
            })
            .collect();
        format!("{}={}", parts.join("."), self.text())
    }
}

/// The value without what is not set.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(table) => table
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(values) => values.into_iter().map(without_nulls).collect(),
        value => value,
    }
}

fn json(config: &Config) -> Value {
    without_nulls(serde_json::to_value(config).unwrap())
}

/// Every key of the schema below `schema`, with its value in `full`. Fails for a key without one.
fn settings(root: &Value, schema: &Value, full: &Value, path: &[String], into: &mut Vec<Setting>) {
    let alternatives = alternatives(root, schema);
    let tables = alternatives
        .iter()
        .filter_map(|schema| schema.get("properties")?.as_object());
    let named: Vec<(&String, &Value)> = tables.flatten().collect();
    let at = path.join(".");
    if let Some(values) = full.as_array() {
        // Lists are set as a whole. One of their items at least has a value for every key as well.
        let items = alternatives.iter().filter_map(|schema| schema.get("items"));
        let mut together = Map::new();
        for item in values.iter().filter_map(Value::as_object).rev() {
            together.extend(item.clone());
        }
        if !together.is_empty() && !matches!(at.as_str(), "timeline" | "faults") {
            for item in items {
                settings(root, item, &together.clone().into(), path, &mut Vec::new());
            }
        }
        assert!(!values.is_empty(), "{at}: FULL or OTHERS needs a value");
    }
    match full {
        Value::Object(table) if !named.is_empty() && !is_content(&alternatives) => {
            for (name, schema) in named {
                let mut path = path.to_vec();
                path.push(name.clone());
                let value = table.get(name);
                assert!(
                    value.is_some(),
                    "{}: FULL or OTHERS needs a value",
                    path.join(".")
                );
                let value = value.unwrap();
                settings(root, schema, value, &path, into);
            }
        }
        Value::Object(table)
            if alternatives
                .iter()
                .any(|schema| schema.get("additionalProperties").is_some())
                && !is_content(&alternatives) =>
        {
            assert!(!table.is_empty(), "{at}: FULL or OTHERS needs a value");
            for (name, value) in table {
                let mut path = path.to_vec();
                path.push(name.clone());
                let value = value.clone();
                into.push(Setting { path, value });
            }
        }
        value => into.push(Setting {
            path: path.to_vec(),
            value: value.clone(),
        }),
    }
}

/// Whether this is the schema of a content: a text, or tables with one key each.
fn is_content(alternatives: &[&Value]) -> bool {
    alternatives
        .iter()
        .any(|schema| schema.pointer("/properties/base64").is_some())
}

fn alternatives<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    if let Some(reference) = schema.get("$ref") {
        let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
        return alternatives(root, root.pointer(pointer).unwrap());
    }
    match schema.get("anyOf").or_else(|| schema.get("oneOf")) {
        Some(schemas) => {
            let schemas = schemas.as_array().unwrap();
            let all = schemas.iter().flat_map(|schema| alternatives(root, schema));
            all.collect()
        }
        None => vec![schema],
    }
}

fn all_settings() -> Vec<Setting> {
    let full = json(&full());
    let mut all = Vec::new();
    let schema = Config::schema();
    settings(&schema, &schema, &full, &[], &mut all);
    all
}

fn full() -> Config {
    let mut layers = Layers::new();
    layers.toml("FULL", FULL);
    layers.toml("OTHERS", OTHERS);
    layers.config().unwrap()
}

/// The value at a path.
fn at<'a>(config: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(config, |value, name| value.get(name))
}

#[test]
fn every_key_of_the_schema_can_be_set_alone_in_the_environment_and_on_the_command_line() {
    let all = all_settings();
    assert!(all.len() > 70, "{}", all.len());
    let default = json(&Config::default());
    let find = |key: &&str| all.iter().find(|setting| setting.key() == **key).unwrap();
    for setting in &all {
        let key = setting.key();
        let others = TOGETHER.iter().find(|(one, _)| *one == key);
        let others = others.map_or(&[][..], |(_, others)| others);
        let others: Vec<&Setting> = others.iter().map(find).collect();
        assert_ne!(
            at(&default, &setting.path),
            Some(&setting.value),
            "{key}: it has the default"
        );
        let mut environment = Layers::new();
        environment.environment(
            std::iter::once(setting)
                .chain(others.iter().copied())
                .map(Setting::variable),
        );
        // Before what it needs, and after it.
        let mut before = Layers::new();
        let mut after = Layers::new();
        before.assign("--set", &setting.assignment());
        for other in others {
            before.assign("--set", &other.assignment());
            after.assign("--set", &other.assignment());
        }
        after.assign("--set", &setting.assignment());
        for layers in [environment, before, after] {
            let config = layers
                .config()
                .unwrap_or_else(|error| panic!("{key}: {error}"));
            assert_eq!(
                at(&json(&config), &setting.path),
                Some(&setting.value),
                "{key}"
            );
        }
    }
}

#[test]
fn all_keys_of_the_schema_can_be_set_together() {
    let full = full();
    // Tables that users fill are merged, and the default has a tag of another value only.
    let all = all_settings();
    let mut environment = Layers::new();
    environment.environment(all.iter().map(Setting::variable));
    assert_eq!(environment.config().unwrap(), full);
    let mut forward = Layers::new();
    let mut backward = Layers::new();
    for setting in &all {
        forward.assign("--set", &setting.assignment());
    }
    for setting in all.iter().rev() {
        backward.assign("--set", &setting.assignment());
    }
    assert_eq!(forward.config().unwrap(), full);
    assert_eq!(backward.config().unwrap(), full);
}

#[test]
fn a_text_that_looks_like_a_value_is_a_text_where_only_a_text_is_accepted() {
    let set = |assignment: &str| {
        let mut layers = Layers::new();
        layers.assign("--set", assignment);
        layers.config().unwrap()
    };
    assert_eq!(
        set("instance.account-id=000000000012").instance.account_id,
        "000000000012"
    );
    assert_eq!(set("instance.profile=true").instance.profile, "true");
    assert_eq!(set("instance.profile=\"a b\"").instance.profile, "a b");
    assert_eq!(set("instance.tags.x=[1]").instance.tags["x"], "[1]");
    assert_eq!(set("instance.tags.x='1").instance.tags["x"], "'1");
    // Where other types are accepted as well, TOML decides.
    assert_eq!(set("instance.iam=false").instance.iam, None);
    let role = |text: &str| {
        set(&format!("instance.iam.role={text}"))
            .instance
            .iam
            .unwrap()
            .role
    };
    assert_eq!(role("web").unwrap(), "web");
    assert_eq!(role("\"false\"").unwrap(), "false");
    let mut layers = Layers::new();
    layers.assign("--set", "instance.iam.instance-profile=p");
    layers.assign("--set", "instance.iam.role=false");
    assert_eq!(layers.config().unwrap().instance.iam.unwrap().role, None);
}

#[test]
fn variables_that_kubernetes_sets_for_a_service_are_ignored() {
    let mut layers = Layers::new();
    layers.environment(
        [
            ("SERVICE_HOST", "10.0.0.1"),
            ("SERVICE_PORT", "1338"),
            ("SERVICE_PORT_HTTP", "1338"),
            ("PORT", "tcp://10.0.0.1:1338"),
            ("PORT_1338_TCP", "tcp://10.0.0.1:1338"),
            ("PORT_1338_TCP_ADDR", "10.0.0.1"),
        ]
        .map(|(name, value)| (format!("{ENVIRONMENT}{name}").into(), value.into())),
    );
    assert_eq!(layers.config().unwrap(), Config::default());
    let mut layers = Layers::new();
    layers.environment([("IMDS_EMULATOR_PORT".into(), "80".into())]);
    let error = layers.config().unwrap_err().to_string();
    assert!(
        error.starts_with("IMDS_EMULATOR_PORT: port: unknown field"),
        "{error}"
    );
}

#[test]
fn later_layers_can_complete_earlier_ones() {
    let mut layers = Layers::new();
    layers.toml("a.toml", "events.spot-interruption.action = 'stop'");
    let error = layers.config().unwrap_err().to_string();
    assert!(
        error.starts_with("a.toml: events.spot-interruption: \"stop\""),
        "{error}"
    );
    layers.environment([("IMDS_EMULATOR_INSTANCE__LIFE_CYCLE".into(), "spot".into())]);
    assert!(layers.config().unwrap().events.spot_interruption.is_some());
    layers.assign("--set", "events.spot-interruption.time=+1h");
    layers.config().unwrap();
}
