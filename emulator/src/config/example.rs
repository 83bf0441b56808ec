//! Values that stand in for those that cannot be read, so that the rest of a table can be checked.

use serde_json::{Map, Value, json};

use super::key::Schema;
use super::read::Part;

/// The depth up to which tables that are required within tables are filled.
const DEPTH: usize = 8;

impl Schema {
    /// Values that the key may accept. The schema does not state all that the reader requires, so the
    /// reader can reject any of them.
    ///
    /// A key that selects one of several kinds of tables, such as `fault.type`, has no examples,
    /// because each kind has other keys.
    pub(super) fn examples(&self, path: &[Part]) -> Vec<Value> {
        let mut alternatives = Vec::new();
        self.collect(self.root(), &mut alternatives);
        for part in path {
            let mut below = Vec::new();
            for schema in alternatives {
                let child = match part {
                    Part::Name(name) => schema
                        .get("properties")
                        .and_then(|properties| properties.get(name))
                        .or_else(|| schema.get("additionalProperties")),
                    Part::Index(_) => schema.get("items"),
                };
                below.extend(child);
            }
            if below.iter().any(|schema| schema.get("const").is_some()) {
                return Vec::new();
            }
            alternatives = Vec::new();
            for schema in below {
                self.collect(schema, &mut alternatives);
            }
        }
        let examples = alternatives.into_iter();
        examples
            .flat_map(|schema| self.examples_of(schema, DEPTH))
            .collect()
    }

    fn examples_of(&self, schema: &Value, depth: usize) -> Vec<Value> {
        if let Some(value) = schema.get("const") {
            return vec![value.clone()];
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return values.iter().take(1).cloned().collect();
        }
        let kind = match schema.get("type") {
            Some(Value::Array(kinds)) => kinds.first(),
            kind => kind,
        };
        match kind.and_then(Value::as_str) {
            Some("string") => {
                let examples = schema.get("examples").and_then(Value::as_array);
                let examples = examples.into_iter().flatten().cloned();
                // Any text, or a block of addresses.
                examples.chain([json!(""), json!("0.0.0.0/0")]).collect()
            }
            Some("integer" | "number") => vec![json!(1)],
            Some("boolean") => vec![json!(false)],
            Some("array") => vec![json!([])],
            Some("object") => self.table(schema, depth).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// A table with the keys that are required.
    fn table(&self, schema: &Value, depth: usize) -> Option<Value> {
        let depth = depth.checked_sub(1)?;
        let required = schema.get("required").and_then(Value::as_array);
        let mut table = Map::new();
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            let mut alternatives = Vec::new();
            self.collect(schema.get("properties")?.get(name)?, &mut alternatives);
            let mut examples = alternatives
                .into_iter()
                .flat_map(|schema| self.examples_of(schema, depth));
            table.insert(name.to_owned(), examples.next()?);
        }
        Some(Value::Object(table))
    }
}
