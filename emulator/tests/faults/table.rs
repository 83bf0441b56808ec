//! What is printed from the types in `docs/faults.md`: the table of kinds, and the list of those that
//! a router refuses.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test; what is missing fails it"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use imds_emulator::Emulator;
use imds_emulator::config::Config;
use imds_emulator::fault::{Fault, Rule};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use serde_json::Value;

const BEGIN: &str =
    "<!-- Printed from emulator/src/fault/kinds by `cargo xtask bless faults`. -->\n";
const END: &str = "<!-- End of what is printed. -->\n";

/// With `BLESS=1` the table is written again.
#[tokio::test]
async fn the_table_in_the_documentation_is_that_of_the_types() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let mut parts = page.split(BEGIN);
    let mut printed = parts.next().unwrap().to_owned();
    let mut texts = [tables(), refused()].into_iter();
    for part in parts {
        let (_, after) = part.split_once(END).unwrap();
        let text = texts.next().unwrap();
        printed.push_str(&format!("{BEGIN}{text}{END}{after}"));
    }
    assert_eq!(texts.next(), None);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &printed).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), printed);
}

/// What a kind or a parameter is by default is said where it is described, for readers of the table
/// and of the Rust documentation alike.
#[test]
fn descriptions_state_the_defaults() {
    for kind in kinds(&Config::schema()) {
        let name = text(&kind["properties"]["type"]["const"]);
        for (parameter, schema) in parameters(&kind) {
            let description = line(&schema["description"]);
            let is_required = required(&kind).contains(&parameter.as_str());
            assert_eq!(
                is_required,
                !description.contains("Default: "),
                "{name}.{parameter}: {description}"
            );
            let default = match &schema["default"] {
                Value::Null | Value::Object(_) => continue,
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert!(
                description.contains(&format!("Default: `{default}`")),
                "{name}.{parameter} is {default:?} by default: {description}"
            );
        }
    }
}

fn tables() -> String {
    let schema = Config::schema();
    let mut tables = String::from(
        "\nIn parentheses: aliases of the type. Parameters without a default are required.\n",
    );
    let mut group = Value::Null;
    for kind in kinds(&schema) {
        if kind["x-group"] != group {
            group = kind["x-group"].clone();
            write!(
                tables,
                "\n### {}\n\n| type | what happens | parameters |\n| --- | --- | --- |\n",
                text(&group)
            )
            .unwrap();
        }
        let name = format!("`{}`", text(&kind["properties"]["type"]["const"]));
        let aliases = kind["x-aliases"].as_array().unwrap().iter();
        let aliases: Vec<String> = aliases.map(|alias| format!("`{}`", text(alias))).collect();
        let name = match aliases.as_slice() {
            [] => name,
            aliases => format!("{name} ({})", aliases.join(", ")),
        };
        let parameters: Vec<String> = parameters(&kind)
            .map(|(name, schema)| format!("`{name}`: {}", line(&schema["description"])))
            .collect();
        let row = [name, line(&kind["description"]), parameters.join("<br>")];
        writeln!(tables, "| {} |", row.join(" | ").trim_end()).unwrap();
    }
    tables.push('\n');
    tables
}

/// The kinds that a router refuses, always or with some parameters.
fn refused() -> String {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut refused: BTreeMap<String, Vec<bool>> = BTreeMap::new();
    for fault in (0..50).flat_map(|_| Fault::samples(&mut random)) {
        let kind = text(&serde_json::to_value(&fault).unwrap()["type"]).to_owned();
        let builder = Emulator::builder();
        let builder = builder.with(|config| config.faults = vec![Rule::new("sample", fault)]);
        let is_refused = builder.router().is_err();
        refused.entry(kind).or_default().push(is_refused);
    }
    let (mut always, mut partly) = (String::new(), String::new());
    for kind in kinds(&Config::schema()) {
        let name = text(&kind["properties"]["type"]["const"]);
        let list = match refused[name].as_slice() {
            samples if samples.iter().all(|refused| *refused) => &mut always,
            samples if samples.contains(&true) => &mut partly,
            _ => continue,
        };
        writeln!(list, "  * `{name}`").unwrap();
    }
    format!("\n* Always:\n{always}* With some parameters:\n{partly}\n")
}

fn kinds(schema: &Value) -> impl Iterator<Item = Value> {
    let kinds = schema.pointer("/$defs/Fault/oneOf").unwrap();
    kinds.as_array().unwrap().clone().into_iter()
}

/// The parameters of a kind: first the required ones, as the type has them, then the others by name.
fn parameters(kind: &Value) -> impl Iterator<Item = (String, Value)> {
    let properties = kind["properties"].as_object().unwrap();
    let required = required(kind);
    let mut names: Vec<&String> = properties.keys().filter(|name| *name != "type").collect();
    names.sort_by_key(|name| {
        let place = required.iter().position(|required| required == name);
        (place.unwrap_or(usize::MAX), *name)
    });
    let parameters = names.into_iter();
    let parameters: Vec<_> = parameters
        .map(|name| (name.clone(), properties[name].clone()))
        .collect();
    parameters.into_iter()
}

fn required(kind: &Value) -> Vec<&str> {
    kind["required"]
        .as_array()
        .unwrap()
        .iter()
        .map(text)
        .collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value}"))
}

/// A description as one line.
fn line(description: &Value) -> String {
    let words: Vec<&str> = text(description).split_whitespace().collect();
    words.join(" ").replace('|', "\\|")
}
