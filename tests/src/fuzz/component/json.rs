//! A second reader of JSON documents, to compare the component's reader with.

use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// The fields of a JSON object, in order, if the text begins with an unambiguous one.
pub(super) struct Fields(Vec<(String, Value)>);

impl Fields {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        Self::deserialize(&mut serde_json::Deserializer::from_slice(bytes)).ok()
    }

    /// The last value with this name, in any case, unless it is null.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        let mut fields = self.0.iter().rev();
        let (_, value) = fields.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        (!value.is_null()).then_some(value)
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.get(name)?.as_str().map(str::to_owned)
    }

    pub(super) fn list(&self, name: &str) -> Option<Vec<String>> {
        let list = self.get(name)?.as_array()?;
        list.iter()
            .map(|value| value.as_str().map(str::to_owned))
            .collect()
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

/// The places of the values of these names, which must be in lower case. Only values of letters and digits are
/// found. The document need not be JSON.
pub(super) fn secrets(bytes: &[u8], names: &[&str]) -> Vec<Range<usize>> {
    let quoted = |from: usize| {
        let rest = bytes.get(from..)?.strip_prefix(b"\"")?;
        let length = rest.iter().position(|byte| !byte.is_ascii_alphanumeric())?;
        (rest.get(length) == Some(&b'"')).then(|| from + 1..from + 1 + length)
    };
    let mut found = Vec::new();
    for from in 0..bytes.len() {
        let Some(name) = quoted(from) else { continue };
        let text = bytes.get(name.clone()).unwrap_or_default();
        let is_one = names
            .iter()
            .any(|known| text.eq_ignore_ascii_case(known.as_bytes()));
        let skipped = |from: usize| {
            let rest = bytes.get(from..).unwrap_or_default();
            from + rest
                .iter()
                .take_while(|byte| byte.is_ascii_whitespace())
                .count()
        };
        let colon = skipped(name.end + 1);
        if is_one && bytes.get(colon) == Some(&b':') {
            found.extend(quoted(skipped(colon + 1)));
        }
    }
    found
}
