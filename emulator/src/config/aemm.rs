//! Configuration files of amazon-ec2-metadata-mock (AEMM), in terms of this configuration.
//!
//! Values that the model of the instance has are set in it, so that everything derived from them
//! follows. Other values go to `data`. The table in `docs/aemm.md` says what becomes of each key.

mod source;
mod table;

use std::net::Ipv4Addr;

use serde_json::{Map, Value, json};

use self::source::{Found, Served, Table};
use self::table::{DYNAMIC, To, VALUES, Value as Entry};
use super::NetworkInterface;
use super::read::most_similar;

/// What a file becomes.
#[derive(Default)]
pub(super) struct Translation {
    /// Keys of the file, the paths of the keys of this configuration, and values for them.
    pub(super) settings: Vec<(String, Vec<String>, Value)>,
    /// Keys of the file that have no effect, and why.
    pub(super) warnings: Vec<(String, String)>,
    /// Keys of the file whose values are not accepted, and why.
    pub(super) problems: Vec<(String, String)>,
}

/// Translates a file. Like AEMM, it takes keys in any case.
pub(super) fn translate(file: &Map<String, Value>) -> Translation {
    let mut translation = Translation::default();
    translation.file(Table::new("", file));
    translation
}

impl Translation {
    fn set(&mut self, key: &str, path: &str, value: impl Into<Value>) {
        let path = path.split('.').map(str::to_owned).collect();
        self.settings.push((key.to_owned(), path, value.into()));
    }

    /// Sets the value of a path of the metadata.
    fn data(&mut self, key: &str, path: &str, value: impl Into<Value>) {
        let path = vec!["data".to_owned(), path.to_owned()];
        self.settings.push((key.to_owned(), path, value.into()));
    }

    fn warn(&mut self, key: impl Into<String>, what: impl Into<String>) {
        self.warnings.push((key.into(), what.into()));
    }

    /// A text, also if it is written as a number.
    fn text(&mut self, found: &Found<'_>) -> Option<String> {
        match found.value {
            Value::String(text) => Some(text.clone()),
            Value::Number(_) | Value::Bool(_) => Some(found.value.to_string()),
            value => {
                let what = format!("{value} is not accepted; accepted: a text");
                self.problems.push((found.key.clone(), what));
                None
            }
        }
    }

    fn texts(&mut self, table: &mut Table<'_>, name: &'static str) -> Option<(String, String)> {
        let found = table.take(name)?;
        Some((self.text(&found)?, found.key))
    }

    fn flag(&mut self, table: &mut Table<'_>, name: &'static str) -> Option<(bool, String)> {
        let (text, key) = self.texts(table, name)?;
        match text.parse() {
            Ok(flag) => Some((flag, key)),
            Err(_) => {
                let what = format!("{text:?} is not accepted; accepted: true or false");
                self.problems.push((key, what));
                None
            }
        }
    }

    fn table<'a>(&mut self, table: &mut Table<'a>, name: &'static str) -> Option<Table<'a>> {
        let found = table.take(name)?;
        match found.value {
            Value::Object(fields) => Some(Table::new(&found.key, fields)),
            value => {
                let what = format!("{value} is not accepted; accepted: an object");
                self.problems.push((found.key, what));
                None
            }
        }
    }

    /// Warns of keys that nothing has asked for.
    fn finish(&mut self, table: Table<'_>) {
        for name in table.fields.keys() {
            let mut what = "this key is not known and has no effect".to_owned();
            if let Some(similar) = most_similar(name, table.known.iter().copied()) {
                what.push_str(&format!("; did you mean `{similar}`?"));
            }
            self.warn(table.key(name), what);
        }
    }

    fn file(&mut self, mut file: Table<'_>) {
        // AEMM requires no token unless it is told to.
        let (required, key) = self.flag(&mut file, "imdsv2").unwrap_or_default();
        let tokens = if required { "required" } else { "optional" };
        self.set(&key, "metadata-options.HttpTokens", tokens);

        if let Some(mut server) = self.table(&mut file, "server") {
            if let Some((host, key)) = self.texts(&mut server, "hostname") {
                let host = if host == "localhost" {
                    "127.0.0.1"
                } else {
                    &host
                };
                self.set(&key, "server.hosts", json!([host]));
            }
            if let Some((port, key)) = self.texts(&mut server, "port") {
                self.set(&key, "server.port", number(&port));
            }
            self.finish(server);
        }
        let events = self.announced(&mut file, "mock-delay-sec", "mock-trigger-time");
        let rebalance = self.announced(&mut file, "rebalance-delay-sec", "rebalance-trigger-time");
        let mut event_id = None;
        let mut life_cycle = None;
        if let Some(mut metadata) = self.table(&mut file, "metadata") {
            let none = Map::new();
            let mut values = self
                .table(&mut metadata, "values")
                .unwrap_or_else(|| Table::new("metadata.values", &none));
            event_id = self.texts(&mut values, "event-id");
            life_cycle = self.texts(&mut values, "instance-life-cycle");
            let served = self.values(values);
            if let Some(paths) = self.table(&mut metadata, "paths") {
                self.paths(paths, VALUES, &served);
            }
            self.finish(metadata);
        }
        if let Some(mut dynamic) = self.table(&mut file, "dynamic") {
            let mut served = Served::default();
            if let Some(mut values) = self.table(&mut dynamic, "values") {
                self.entries(&mut values, DYNAMIC, &mut served);
                self.finish(values);
            }
            if let Some(paths) = self.table(&mut dynamic, "paths") {
                self.paths(paths, DYNAMIC, &served);
            }
            self.finish(dynamic);
        }
        if let Some(mut user_data) = self.table(&mut file, "userdata") {
            if let Some(mut values) = self.table(&mut user_data, "values") {
                if let Some((base64, key)) = self.texts(&mut values, "userdata") {
                    self.set(&key, "instance.user-data", json!({ "base64": base64 }));
                }
                self.finish(values);
            }
            if let Some(mut paths) = self.table(&mut user_data, "paths") {
                if let Some((path, key)) = self.texts(&mut paths, "userdata")
                    && path != "/latest/user-data"
                {
                    self.warn(key, "user data is always at /latest/user-data");
                }
                self.finish(paths);
            }
            self.finish(user_data);
        }
        self.spot(&mut file, events.as_ref(), rebalance, life_cycle);
        self.maintenance(&mut file, events, event_id);
        self.auto_scaling(&mut file);
        if let Some((_, key)) = self.texts(&mut file, "mock-ip-count") {
            self.warn(
                key,
                "events are announced to all clients; the condition `match.client` of a fault \
                 selects clients",
            );
        }
        for name in ["save-config-to-file", "watch-config-file"] {
            if let Some((true, key)) = self.flag(&mut file, name) {
                self.warn(
                    key,
                    "has no effect; see `imds-emulator config` and `imds-emulator ctl`",
                );
            }
        }
        let _ = file.take("config-file");
        self.finish(file);
    }

    /// When something is announced: at a time, which takes precedence, or after a delay.
    fn announced(
        &mut self,
        table: &mut Table<'_>,
        delay: &'static str,
        time: &'static str,
    ) -> Option<(String, String)> {
        let delay = self.texts(table, delay);
        match self.texts(table, time) {
            Some((time, key)) if time != "0" => Some((time, key)),
            _ => delay.map(|(seconds, key)| (format!("+{seconds}s"), key)),
        }
    }

    /// Values of `metadata`. Returns those that `paths` can move.
    fn values(&mut self, mut values: Table<'_>) -> Served {
        let mut served = Served::default();
        self.interface(&mut values, &mut served);
        if let Some((zone, key)) = self.texts(&mut values, "placement-availability-zone") {
            self.set(&key, "instance.placement.availability-zone", zone.clone());
            served.add("placement-availability-zone", zone);
            if let Some((region, key)) = self.texts(&mut values, "placement-region") {
                self.data(&key, "meta-data/placement/region", region.clone());
                served.add("placement-region", region);
            }
        } else if let Some((region, key)) = self.texts(&mut values, "placement-region") {
            let zone = format!("{region}a");
            self.set(&key, "instance.placement.availability-zone", zone);
            served.add("placement-region", region);
        }
        let elastic = self.texts(&mut values, "elastic-inference-associations");
        let accelerator = values.take("elastic-inference-accelerator");
        if elastic.is_some() || accelerator.is_some() {
            let found = elastic.as_ref().map(|(_, key)| key);
            let key = found.or(accelerator.as_ref().map(|found| &found.key));
            let id = elastic
                .as_ref()
                .map_or("eia-bfa21c7904f64a82a21b9f4540169ce1", |(id, _)| id);
            let document = accelerator.as_ref().map_or_else(
                || {
                    json!({ "version_2018_04_12": {
                        "elastic-inference-accelerator-id": id,
                        "elastic-inference-accelerator-type": "eia1.medium",
                    } })
                },
                |found| found.value.clone(),
            );
            let path = format!("meta-data/elastic-inference/associations/{id}");
            self.data(key.map_or("", String::as_str), &path, document.to_string());
        }
        if let Some((line, key)) = self.texts(&mut values, "public-key") {
            let mut words = line.split_whitespace().skip(2);
            let name = words.next().unwrap_or("aemm").to_owned();
            let public_key = json!([{ "name": name, "openssh-key": line.clone() }]);
            self.set(&key, "instance.public-keys", public_key);
            served.add("public-key", line);
        }
        if let Some((_, key)) = self.texts(&mut values, "userdata") {
            self.warn(
                key,
                "has no effect, as in AEMM; the key for user data is userdata.values.userdata",
            );
        }
        if let Some(found) = values.take("tags-instance") {
            self.set(&found.key, "instance.tags", found.value.clone());
        }
        self.entries(&mut values, VALUES, &mut served);
        let faults: Vec<Value> = [
            ("iam-info", "**/iam/info", table::PROFILE),
            (
                "iam-security-credentials",
                "**/iam/security-credentials/*?",
                table::CREDENTIALS,
            ),
        ]
        .into_iter()
        .filter_map(|(name, path, fields)| {
            let document = self.table(&mut values, name)?;
            let json: Map<_, _> = self.document(document, fields).into_iter().collect();
            Some(json!({
                "name": format!("aemm {name}"),
                "match": { "path": path },
                "fault": { "type": "patch", "json": json },
            }))
        })
        .collect();
        if !faults.is_empty() {
            self.set("metadata.values", "faults", faults);
        }
        self.finish(values);
        served
    }

    /// The entries of a table that become one key or path each.
    fn entries(&mut self, values: &mut Table<'_>, entries: &[Entry], served: &mut Served) {
        for Entry(name, path, to) in entries {
            if *to == To::Document {
                if let Some(document) = self.table(values, name) {
                    let key = document.path.clone();
                    let fields = self.document(document, table::IDENTITY).into_iter();
                    let lines = fields.map(|(name, value)| format!("  \"{name}\" : {value}"));
                    let lines: Vec<String> = lines.collect();
                    let text = format!("{{\n{}\n}}", lines.join(",\n"));
                    self.data(&key, path, text.clone());
                    served.add(name, text);
                }
                continue;
            }
            if *to == To::Other {
                continue;
            }
            let Some((text, key)) = self.texts(values, name) else {
                continue;
            };
            match to {
                To::Text(to) => self.set(&key, to, text.clone()),
                To::Number(to) => self.set(&key, to, number(&text)),
                To::Lines(to) => self.set(&key, to, text.lines().collect::<Vec<_>>()),
                To::Item(to) => self.set(&key, to, vec![text.clone()]),
                To::Data => self.data(&key, &served.path(path), text.clone()),
                To::Monitoring => {
                    let enabled = text == "enabled";
                    self.set(&key, "instance.detailed-monitoring", enabled);
                    self.data(&key, path, text.clone());
                }
                To::Document | To::Other => {}
            }
            served.add(name, text);
        }
    }

    /// The fields of a document, with the names that IMDS gives them.
    fn document(
        &mut self,
        mut document: Table<'_>,
        names: &[&'static str],
    ) -> Vec<(String, Value)> {
        let fields = names.iter().filter_map(|name| {
            let lower = name.to_lowercase();
            let value = document.fields.remove(&lower)?;
            Some(((*name).to_owned(), value.clone()))
        });
        let fields = fields.collect();
        document.known = names.to_vec();
        self.finish(document);
        fields
    }

    /// The network interface.
    fn interface(&mut self, values: &mut Table<'_>, served: &mut Served) {
        let default = NetworkInterface::default();
        let mut take = |name: &'static str| {
            let found = self.texts(values, name);
            if let Some((text, _)) = &found {
                served.add(name, text.clone());
            }
            found
        };
        let mac = take("mac");
        let id = take("mac-network-interface-id");
        let device = take("mac-device-number");
        let card = take("mac-network-interface-card-index");
        let (local, locals) = (take("local-ipv4"), take("mac-local-ipv4s"));
        let (public, publics) = (take("public-ipv4"), take("mac-public-ipv4s"));
        let ipv6s = take("mac-ipv6-associations");
        let association = take("mac-ipv4-associations");
        let or = |found: &Option<(String, String)>, default: &str| {
            let text = found.as_ref().map(|(text, _)| text.as_str());
            text.unwrap_or(default).to_owned()
        };
        let list = |many: &Option<(String, String)>,
                    one: &Option<(String, String)>,
                    default: Option<&Ipv4Addr>| {
            let default = default.map(ToString::to_string).unwrap_or_default();
            let text = or(many, &or(one, &default));
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let privates = list(&locals, &local, default.private_ipv4s.first());
        let publics = list(&publics, &public, default.public_ipv4s.keys().next());
        let primary = privates.first().cloned().unwrap_or_default();
        let visible = publics.first().cloned().unwrap_or_default();
        served.mac = or(&mac, &default.mac);
        let associated = publics
            .iter()
            .map(|public| (public.clone(), primary.clone().into()));
        let mut interface = Map::new();
        let mut set = |name: &str, value: Value| interface.insert(name.to_owned(), value);
        set("mac", served.mac.clone().into());
        set("interface-id", or(&id, &default.interface_id).into());
        set("private-ipv4s", privates.into());
        set(
            "public-ipv4s",
            associated.collect::<Map<String, Value>>().into(),
        );
        if let Some((ipv6s, _)) = &ipv6s {
            set("ipv6s", ipv6s.lines().collect());
        }
        for (name, found) in [("device-number", &device), ("network-card-index", &card)] {
            if let Some((text, _)) = found {
                set(name, number(text));
            }
        }
        let found = [&mac, &id, &device, &card, &local, &locals, &public, &ipv6s];
        let keys = found.into_iter().flatten().map(|(_, key)| key.as_str());
        let keys: Vec<&str> = keys.collect();
        if !keys.is_empty() || association.is_some() {
            let key = match keys.as_slice() {
                [key] => key,
                _ => "metadata.values",
            };
            self.set(key, "instance.network-interfaces", json!([interface]));
        }
        // AEMM does not require that the values agree.
        let differing = [
            (&local, &primary, "meta-data/local-ipv4".to_owned()),
            (&public, &visible, "meta-data/public-ipv4".to_owned()),
            (
                &association,
                &primary,
                served.path(&format!("{}ipv4-associations/{visible}", table::INTERFACE)),
            ),
        ];
        for (found, derived, path) in differing {
            if let Some((text, key)) = found
                && text != derived
            {
                self.data(key, &path, text.clone());
            }
        }
    }

    /// Values at other paths than usual.
    fn paths(&mut self, mut paths: Table<'_>, entries: &[Entry], served: &Served) {
        for Entry(name, path, _) in entries {
            let Some((moved, key)) = self.texts(&mut paths, name) else {
                continue;
            };
            let moved = moved.strip_prefix("/latest/").unwrap_or(&moved);
            let usual = served.path(path);
            if moved.trim_end_matches('/') == usual {
                continue;
            }
            match served.texts.get(*name) {
                Some(text) => {
                    self.data(&key, moved, text.clone());
                    self.data(&key, &usual, json!({ "absent": true }));
                }
                None => self.warn(
                    key,
                    "has no effect, because the file does not set the value that the path is for",
                ),
            }
        }
        for (name, usual) in table::OTHER_PATHS {
            if let Some((path, key)) = self.texts(&mut paths, name)
                && !path
                    .strip_prefix("/latest/")
                    .is_some_and(|path| path.starts_with(&served.path(usual)))
            {
                self.warn(key, "has no effect: the path is always the one of IMDS");
            }
        }
        self.finish(paths);
    }

    fn spot(
        &mut self,
        file: &mut Table<'_>,
        announced: Option<&(String, String)>,
        rebalance: Option<(String, String)>,
        life_cycle: Option<(String, String)>,
    ) {
        let spot = self.table(file, "spot");
        // The name of older versions.
        let spot = self.table(file, "spot-itn").or(spot);
        let mut rebalance = rebalance;
        let is_spot = spot.is_some();
        if let Some(mut spot) = spot {
            let action = self.texts(&mut spot, "action");
            let older = self.texts(&mut spot, "instance-action");
            let (action, key) = action
                .or(older)
                .unwrap_or_else(|| ("terminate".to_owned(), spot.path.clone()));
            self.set(&key, "events.spot-interruption.action", action);
            if let Some((moment, key)) = announced {
                self.set(key, "events.spot-interruption.announced", moment.clone());
            }
            if let Some((time, key)) = self.texts(&mut spot, "time") {
                self.set(&key, "events.spot-interruption.time", time);
            }
            let time = self.texts(&mut spot, "rebalance-rec-time");
            rebalance = rebalance.or(time);
            self.finish(spot);
        }
        if let Some((moment, key)) = rebalance {
            self.set(&key, "events.rebalance-recommendation.announced", moment);
        }
        let (value, key) = life_cycle.unwrap_or_default();
        if is_spot {
            // Only spot instances are interrupted.
            self.set("spot", "instance.life-cycle", "spot");
            if !matches!(value.as_str(), "" | "spot") {
                self.data(&key, "meta-data/instance-life-cycle", value);
            }
        } else if !value.is_empty() {
            self.set(&key, "instance.life-cycle", value);
        }
    }

    fn maintenance(
        &mut self,
        file: &mut Table<'_>,
        announced: Option<(String, String)>,
        event_id: Option<(String, String)>,
    ) {
        let Some(mut events) = self.table(file, "events") else {
            return;
        };
        let mut event = Map::new();
        let mut set = |name: &str, found: Option<(String, String)>, default: Option<&str>| {
            let text = found.map(|(text, _)| text);
            if let Some(text) = text.or(default.map(str::to_owned)) {
                event.insert(name.to_owned(), text.into());
            }
        };
        set(
            "code",
            self.texts(&mut events, "code"),
            Some("system-reboot"),
        );
        set("state", self.texts(&mut events, "state"), None);
        set("announced", announced, None);
        set(
            "not-before",
            self.texts(&mut events, "not-before"),
            Some("+0s"),
        );
        set(
            "not-after",
            self.texts(&mut events, "not-after"),
            Some("+7days"),
        );
        set("event-id", event_id, None);
        let key = events.path.clone();
        self.set(&key, "events.maintenance", json!([event]));
        if let Some((_, key)) = self.texts(&mut events, "not-before-deadline") {
            self.warn(
                key,
                "has no effect, because IMDS does not show the deadline",
            );
        }
        self.finish(events);
    }

    fn auto_scaling(&mut self, file: &mut Table<'_>) {
        let delay = self.texts(file, "asg-termination-delay-sec");
        if let Some((time, key)) = self.texts(file, "asg-termination-trigger-time")
            && time != "0"
        {
            self.warn(
                key,
                "has no effect; a delay, asg-termination-delay-sec, is emulated",
            );
        }
        if let Some((seconds, key)) = delay {
            self.set(&key, "instance.auto-scaling", "InService");
            let terminated = json!([{
                "name": "aemm termination",
                "at": format!("{seconds}s"),
                "do": [{ "change": { "instance": { "auto-scaling": "Terminated" } } }],
            }]);
            self.set(&key, "timeline", terminated);
        }
    }
}

/// A number, or the text if it is not a number; the reader of the configuration reports that.
fn number(text: &str) -> Value {
    text.parse::<u64>()
        .map_or_else(|_| text.into(), Value::from)
}
