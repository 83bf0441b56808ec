//! Keys, as they are written in the environment and on the command line, and what the schema says
//! about them.

use schemars::JsonSchema;
use serde_json::Value;

/// A key in its parts, and what follows it after `=`.
#[derive(Debug, PartialEq)]
pub(super) struct Setting<'a> {
    pub(super) parts: Vec<String>,
    pub(super) value: Option<&'a str>,
}

impl<'a> Setting<'a> {
    /// Reads `a.b` or `a.b=value`. As in TOML, a part in quotes can have dots and equals signs in
    /// it.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        loop {
            let (part, after) = part(rest.trim_start())?;
            parts.push(part);
            let after = after.trim_start();
            if let Some(after) = after.strip_prefix('.') {
                rest = after;
                continue;
            }
            let value = after.strip_prefix('=');
            return (value.is_some() || after.is_empty()).then_some(Self { parts, value });
        }
    }
}

/// The first part of a key, and what follows it.
fn part(text: &str) -> Option<(String, &str)> {
    let mut letters = text.char_indices();
    let (part, after) = match letters.next()? {
        (_, '"') => {
            let mut escaped = false;
            let (end, _) = letters.find(|(_, letter)| {
                let ends = *letter == '"' && !escaped;
                escaped = *letter == '\\' && !escaped;
                ends
            })?;
            let (quoted, after) = text.split_at_checked(end + 1)?;
            // The escapes of JSON are those of TOML.
            (serde_json::from_str(quoted).ok()?, after)
        }
        (_, '\'') => {
            let (part, after) = text.get(1..)?.split_once('\'')?;
            (part.to_owned(), after)
        }
        _ => {
            let end = text.find(['.', '=']).unwrap_or(text.len());
            let (part, after) = text.split_at_checked(end)?;
            (part.trim_end().to_owned(), after)
        }
    };
    (!part.is_empty()).then_some((part, after))
}

/// The JSON schema of the configuration, or of a part of it.
#[derive(Clone, Debug)]
pub(super) struct Schema(Value);

/// What the schema says about a key.
pub(super) struct Place<'a> {
    /// The names of the parts of the key, as the configuration spells them.
    pub(super) names: Vec<String>,
    /// The alternatives for the value. Empty if the key is unknown.
    alternatives: Vec<&'a Value>,
}

impl Schema {
    pub(super) fn new() -> Self {
        Self::of::<super::Config>()
    }

    pub(super) fn of<T: JsonSchema>() -> Self {
        Self(schemars::schema_for!(T).to_value())
    }

    pub(super) fn root(&self) -> &Value {
        &self.0
    }

    /// Finds a key. Environment variables have neither lower case nor hyphens, so both are ignored,
    /// except in tables that can have any keys.
    pub(super) fn find(&self, parts: &[String]) -> Place<'_> {
        let mut alternatives = Vec::new();
        self.collect(&self.0, &mut alternatives);
        let mut names = Vec::new();
        for part in parts {
            let (name, below) = child(&alternatives, part);
            alternatives = Vec::new();
            for schema in below {
                self.collect(schema, &mut alternatives);
            }
            names.push(name);
        }
        Place {
            names,
            alternatives,
        }
    }

    /// Adds the alternatives of a schema, without references.
    pub(super) fn collect<'a>(&'a self, schema: &'a Value, into: &mut Vec<&'a Value>) {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            if let Some(target) = reference
                .strip_prefix('#')
                .and_then(|pointer| self.0.pointer(pointer))
            {
                self.collect(target, into);
            }
            return;
        }
        let nested = ["anyOf", "oneOf", "allOf"]
            .iter()
            .filter_map(|name| schema.get(name)?.as_array())
            .flatten();
        let before = into.len();
        for schema in nested {
            self.collect(schema, into);
        }
        if into.len() == before || schema.get("properties").is_some() {
            into.push(schema);
        }
    }
}

impl Place<'_> {
    /// Whether the value can have the type of `value`.
    pub(super) fn accepts(&self, value: &Value) -> bool {
        let name = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        self.alternatives.iter().any(|schema| {
            let is = |kind: &Value| match kind.as_str() {
                // The reader tells which numbers are accepted.
                Some("integer") => name == "number",
                kind => kind == Some(name),
            };
            match (schema.get("type"), schema.get("const")) {
                (Some(Value::Array(kinds)), _) => kinds.iter().any(is),
                (Some(kind), _) => is(kind),
                (None, Some(constant)) => {
                    std::mem::discriminant(constant) == std::mem::discriminant(value)
                }
                (None, None) => match schema.get("enum").and_then(Value::as_array) {
                    Some(values) => values
                        .iter()
                        .any(|one| std::mem::discriminant(one) == std::mem::discriminant(value)),
                    // Any value.
                    None => schema.get("properties").is_none(),
                },
            }
        })
    }

    pub(super) fn is_known(&self) -> bool {
        !self.alternatives.is_empty()
    }
}

/// The name of a key below one with these alternatives, and its schemas.
fn child<'a>(alternatives: &[&'a Value], part: &str) -> (String, Vec<&'a Value>) {
    let properties = || {
        alternatives
            .iter()
            .filter_map(|schema| schema.get("properties")?.as_object())
    };
    let name = properties()
        .flat_map(|properties| properties.keys())
        .find(|name| plain(name) == plain(part));
    if let Some(name) = name {
        let schemas = properties().filter_map(|properties| properties.get(name));
        return (name.clone(), schemas.collect());
    }
    let any: Vec<&Value> = alternatives
        .iter()
        .filter_map(|schema| schema.get("additionalProperties"))
        .filter(|schema| schema.as_bool() != Some(false))
        .collect();
    match any.is_empty() {
        true => (part.to_lowercase().replace('_', "-"), any),
        false => (part.to_owned(), any),
    }
}

/// A name without what environment variables do not have.
pub(super) fn plain(name: &str) -> String {
    name.chars()
        .filter(|letter| !matches!(letter, '-' | '_'))
        .map(|letter| letter.to_ascii_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_in_quotes_can_have_any_characters() {
        for (text, parts, value) in [
            ("a.b-c", &["a", "b-c"][..], None),
            ("a = 1", &["a"], Some(" 1")),
            (r#"a."b=c.d".e=f=g"#, &["a", "b=c.d", "e"], Some("f=g")),
            (r#"a."b\"=c"=d"#, &["a", "b\"=c"], Some("d")),
            (r#"a."b\\"=d"#, &["a", "b\\"], Some("d")),
            (r"a.'b\=c'=d", &["a", r"b\=c"], Some("d")),
            ("a.b@c=", &["a", "b@c"], Some("")),
            ("a.\u{e4} b=c", &["a", "\u{e4} b"], Some("c")),
        ] {
            let parts = parts.iter().map(|part| (*part).to_owned()).collect();
            assert_eq!(
                Setting::parse(text),
                Some(Setting { parts, value }),
                "{text}"
            );
        }
        for text in [
            "",
            "=",
            "a.",
            ".a",
            "a..b",
            "a.\"\"",
            "\"a",
            "'a",
            "\"a\"b",
            "a.\"b\\\"=c",
        ] {
            assert_eq!(Setting::parse(text), None, "{text}");
        }
    }
}
