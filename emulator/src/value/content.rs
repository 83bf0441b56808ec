//! Bytes and optional parts in a configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{Invalid, Key};

/// Bytes, written as a text, as base64, or as the path of a file.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "expected a text, { base64 = \"…\" }, { file = \"…\" } or { absent = true }"
)]
#[non_exhaustive]
pub enum Content {
    /// This text.
    Text(String),
    /// Bytes in base64.
    Base64 {
        /// The bytes, in the standard alphabet with padding.
        base64: String,
    },
    /// The content of a file, read together with the configuration. A relative path starts at the
    /// folder of the configuration file.
    File {
        /// The path of the file.
        file: std::path::PathBuf,
    },
    /// No value: the path answers with 404.
    Absent {
        /// Must be `true`.
        absent: True,
    },
}

/// The maximum length of user data `[I43]`.
const MOST_USER_DATA: usize = 16 * 1024;

impl Content {
    pub(crate) fn check(&self, key: &Key) -> Result<(), Invalid> {
        use base64::Engine as _;
        let bytes = match self {
            Self::Text(text) => text.len(),
            Self::Base64 { base64 } => {
                let decoded = base64::engine::general_purpose::STANDARD.decode(base64);
                key.field("base64").unless(
                    decoded.is_ok(),
                    base64,
                    "base64 in the standard alphabet, with padding",
                )?;
                decoded.map_or(0, |bytes| bytes.len())
            }
            Self::File { file } => {
                return key.unless(
                    false,
                    file.display(),
                    "a text or base64; { file = … } is read from configuration files only",
                );
            }
            Self::Absent { .. } => 0,
        };
        key.unless(
            bytes <= MOST_USER_DATA,
            format_args!("{bytes} bytes"),
            "at most 16384 bytes",
        )
    }
}

/// The word `true`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(try_from = "bool", into = "bool")]
#[schemars(with = "bool")]
pub struct True;

impl TryFrom<bool> for True {
    type Error = &'static str;

    fn try_from(value: bool) -> Result<Self, Self::Error> {
        if value { Ok(Self) } else { Err("must be true") }
    }
}

impl From<True> for bool {
    fn from(_: True) -> Self {
        true
    }
}

/// A part that exists by default; `false` omits it.
pub(crate) mod or_false {
    use std::fmt;
    use std::marker::PhantomData;

    use serde::de::value::MapAccessDeserializer;
    use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer as _, MapAccess, Visitor};
    use serde::{Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer, T: Serialize>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => value.serialize(serializer),
            None => serializer.serialize_bool(false),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        deserializer.deserialize_any(OrFalse(PhantomData))
    }

    struct OrFalse<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for OrFalse<T> {
        type Value = Option<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table or a text, or false to leave it out")
        }

        fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
            if value {
                return Err(E::invalid_value(serde::de::Unexpected::Bool(true), &self));
            }
            Ok(None)
        }

        fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
            T::deserialize(value.into_deserializer()).map(Some)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }
}

/// The schema of [`or_false`].
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "a schema alone")]
pub(crate) enum OrFalse<T> {
    Some(T),
    None(bool),
}
