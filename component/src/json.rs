//! Reads JSON objects field by field.
//!
//! The reader uses serde_json with visitors that accept any type. Derived visitors would report a
//! value of another type by quoting it, which would add the formatting of floating-point numbers: a
//! fifth of the component's size.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::iter::Zip;
use core::slice;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// The field is missing or null.
    Absent,
    /// A string.
    Text(String),
    /// A list of strings, possibly empty.
    List(Vec<String>),
    /// Any other value.
    Other,
}

/// The text is not a JSON object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotAnObject;

/// The values of the fields `names` of the object at the start of `json`, in that order. Ignores what
/// follows the object.
///
/// Names are case-insensitive, as in Go. If a name occurs twice, the last value counts.
pub(crate) fn fields<'a>(json: &[u8], names: &'a [&'a str]) -> Result<Fields<'a>, NotAnObject> {
    let mut values = None;
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let object = Reader::Object {
        names,
        values: &mut values,
    };
    // serde_json's own error is dropped, because it can quote the document.
    match deserializer.deserialize_any(object) {
        Ok(_) => Ok(values.ok_or(NotAnObject)?.into_iter().zip(names)),
        Err(_) => Err(NotAnObject),
    }
}

/// The values of fields, with their names.
pub(crate) type Fields<'a> = Zip<vec::IntoIter<Value>, slice::Iter<'a, &'a str>>;

/// Reads a value. It is one type for all values, because serde_json's parser is compiled once for each
/// type of visitor.
enum Reader<'a> {
    /// Reads the document, and sets `values` if it is an object.
    Object {
        names: &'a [&'a str],
        values: &'a mut Option<Vec<Value>>,
    },
    /// Reads the value of one field.
    Field,
    /// Reads one element of a list. Skips nested lists and objects, so that the depth of the stack does
    /// not depend on the document.
    Element,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let (names, mut found) = match &self {
            Self::Object { names, .. } => (*names, vec![Value::Absent; names.len()]),
            Self::Field | Self::Element => (&[][..], Vec::new()),
        };
        while let Some(name) = map.next_key::<String>()? {
            let mut fields = names.iter().zip(&mut found);
            match fields.find(|(known, _)| known.eq_ignore_ascii_case(&name)) {
                Some((_, value)) => *value = map.next_value_seed(Reader::Field)?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if let Self::Object { values, .. } = self {
            *values = Some(found);
        }
        Ok(Value::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        if !matches!(self, Self::Field) {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Value::Other);
        }
        let mut list = Some(Vec::new());
        while let Some(element) = seq.next_element_seed(Reader::Element)? {
            match (element, &mut list) {
                (Value::Text(text), Some(list)) => list.push(text),
                _ => list = None,
            }
        }
        Ok(list.map_or(Value::Other, Value::List))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.into()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Absent)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn values(json: &[u8], names: &[&str]) -> Vec<Value> {
        let fields = fields(json, names).unwrap();
        fields.map(|(value, _)| value).collect()
    }

    #[test]
    fn fields_are_found_whatever_their_case_and_company() {
        let json =
            br#" {"x": [1, {"A": "no"}], "a": "1\n\u00e9", "B": null, "c": 1.5e9, "D": {"a": "no"},
            "A": "2", "e": [[]], "g": ["1", "2"], "h": [], "i": ["1", 2]} trailing"#;
        assert_eq!(
            values(json, &["A", "b", "C", "d", "e", "f", "g", "h", "i"]),
            [
                Value::Text("2".to_string()),
                Value::Absent,
                Value::Other,
                Value::Other,
                Value::Other,
                Value::Absent,
                Value::List(alloc::vec!["1".to_string(), "2".to_string()]),
                Value::List(Vec::new()),
                Value::Other,
            ]
        );
        assert_eq!(values(b"{}", &["a"]), [Value::Absent]);
    }

    #[test]
    fn anything_else_is_not_an_object() {
        let deep = "[".repeat(100_000);
        for json in [
            "",
            " ",
            "null",
            "true",
            "1",
            "-1",
            "1.5",
            "\"{}\"",
            "[]",
            "[{}]",
            "<html>",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\":\"\\ud800\"}",
            "\u{feff}{}",
            deep.as_str(),
        ] {
            assert!(fields(json.as_bytes(), &["a"]).is_err(), "{json:.20}");
        }
        assert!(fields(b"{\"a\":\"\xff\"}", &["a"]).is_err());
    }
}
