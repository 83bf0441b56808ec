//! The tables of a file, and what has been asked for of them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A table of the file, and the keys in it that have been asked for.
pub(super) struct Table<'a> {
    pub(super) path: String,
    pub(super) fields: BTreeMap<String, &'a Value>,
    pub(super) known: Vec<&'static str>,
}

/// A value of the file, and its key.
pub(super) struct Found<'a> {
    pub(super) key: String,
    pub(super) value: &'a Value,
}

impl<'a> Table<'a> {
    pub(super) fn new(path: &str, table: &'a Map<String, Value>) -> Self {
        let fields = table.iter();
        Self {
            path: path.to_owned(),
            fields: fields
                .map(|(name, value)| (name.to_lowercase(), value))
                .collect(),
            known: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, name: &'static str) -> Option<Found<'a>> {
        self.known.push(name);
        // A saved file has `null` or an empty text for what is not set.
        let value = self.fields.remove(name)?;
        let is_set = !value.is_null() && value.as_str() != Some("");
        is_set.then(|| Found {
            key: self.key(name),
            value,
        })
    }

    pub(super) fn key(&self, name: &str) -> String {
        match self.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        }
    }
}

/// The values of the file, for keys of `paths` that move them.
#[derive(Default)]
pub(super) struct Served {
    pub(super) texts: BTreeMap<&'static str, String>,
    /// The MAC address of the network interface.
    pub(super) mac: String,
}

impl Served {
    pub(super) fn add(&mut self, name: &'static str, text: String) {
        self.texts.insert(name, text);
    }

    /// The path with the MAC address in place of `<mac>`.
    pub(super) fn path(&self, path: &str) -> String {
        path.replace("<mac>", &self.mac)
    }
}
