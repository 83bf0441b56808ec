//! Reads JSON objects field by field.
//!
//! The reader uses serde_json with visitors that accept any type. Derived visitors would report a
//! value of another type by quoting it, which would add the formatting of floating-point numbers: a
//! fifth of the component's size.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

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

/// The values of the fields `names` of the object at the start of `json`. Ignores what follows the
/// object.
///
/// Names are case-insensitive, as in Go. If a name occurs twice, the last value counts.
pub(crate) fn fields<const N: usize>(
    json: &[u8],
    names: [&str; N],
) -> Result<[Value; N], NotAnObject> {
    let mut values = [const { Value::Absent }; N];
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let object = Object {
        names: &names,
        values: &mut values,
    };
    // serde_json's own error is dropped, because it can quote the document.
    match deserializer.deserialize_any(object) {
        Ok(true) => Ok(values),
        Ok(false) | Err(_) => Err(NotAnObject),
    }
}

/// Visitor methods that map booleans and numbers to one value.
macro_rules! scalars_are {
    ($value:expr) => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($value)
        }

        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($value)
        }

        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($value)
        }

        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($value)
        }
    };
}

/// Fills in `values`; yields false for anything but an object.
struct Object<'a> {
    names: &'a [&'a str],
    values: &'a mut [Value],
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let mut fields = self.names.iter().zip(self.values.iter_mut());
            match fields.find(|(known, _)| known.eq_ignore_ascii_case(&name)) {
                Some((_, value)) => *value = map.next_value_seed(Field)?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(true)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<bool, A::Error> {
        Ok(false)
    }

    scalars_are!(false);

    fn visit_str<E>(self, _: &str) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }
}

/// Reads the value of one field.
struct Field;

/// Reads one element of a list. Skips nested lists and objects, so that the depth of the stack does
/// not depend on the document.
struct Element;

impl<'de> DeserializeSeed<'de> for Field {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Field {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.into()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Absent)
    }

    scalars_are!(Value::Other);

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Some(Vec::new());
        while let Some(element) = seq.next_element_seed(Element)? {
            match (element, &mut list) {
                (Some(text), Some(list)) => list.push(text),
                _ => list = None,
            }
        }
        Ok(list.map_or(Value::Other, Value::List))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }
}

impl<'de> DeserializeSeed<'de> for Element {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.into()))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    scalars_are!(None);

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn fields_are_found_whatever_their_case_and_company() {
        let json =
            br#" {"x": [1, {"A": "no"}], "a": "1\n\u00e9", "B": null, "c": 1.5e9, "D": {"a": "no"},
            "A": "2", "e": [[]], "g": ["1", "2"], "h": [], "i": ["1", 2]} trailing"#;
        assert_eq!(
            fields(json, ["A", "b", "C", "d", "e", "f", "g", "h", "i"]).unwrap(),
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
        assert_eq!(fields(b"{}", ["a"]).unwrap(), [Value::Absent]);
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
            assert_eq!(
                fields(json.as_bytes(), ["a"]),
                Err(NotAnObject),
                "{:.20}",
                json
            );
        }
        assert_eq!(fields(b"{\"a\":\"\xff\"}", ["a"]), Err(NotAnObject));
    }
}
