//! Targets for what the emulator parses: configurations, rules, and requests to its core.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::OnceLock;
use std::time::Duration;

use chrono::{DateTime, Utc};
use http::request::Parts;
use http::{HeaderValue, Method, Request};
use imds_emulator::config::{Config, ENVIRONMENT, HttpTokens, Layers, Switch};
use imds_emulator::fault::Rule;
use imds_emulator::imds::{Client, Decision, Delivery, Imds, Step};
use serde::de::DeserializeOwned;

const SEED: [u8; 32] = [7; 32];

/// The largest response, whatever the fault.
const MOST: usize = 17 * 1024 * 1024;

/// A configuration.
///
/// An accepted configuration must be accepted again as JSON and as TOML, with the same result. It must start, and
/// everything that it lists must exist. An error must name an unknown key, and invalid numbers must be
/// rejected.
pub fn emulator_config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let config = match text.trim_start().starts_with('{') {
        true => {
            let Ok(config) = serde_json::from_str::<Config>(text) else {
                return;
            };
            if let Err(invalid) = config.check() {
                assert!(!invalid.key().is_empty());
                // A patch that makes the configuration invalid is reported by its parser.
                let is_patch = invalid.key().contains("].change.");
                assert!(is_patch || invalid.to_string().contains("; accepted: "));
                return;
            }
            config
        }
        false => match Config::from_toml(text) {
            Ok(config) => config,
            Err(error) => {
                assert!(error.to_string().contains("the TOML document: "));
                return;
            }
        },
    };
    assert!(config.check().is_ok());
    let json = serde_json::to_value(&config).unwrap();
    assert_eq!(serde_json::from_value::<Config>(json).unwrap(), config);
    if let Ok(table) = text.parse::<toml::Table>() {
        assert!(table.values().all(is_finite), "{text}");
        let printed = toml::to_string(&config).unwrap();
        assert_eq!(Config::from_toml(&printed).unwrap(), config);
        let error = Config::from_toml(&format!("no-such-key = 1\n{text}")).unwrap_err();
        assert!(error.to_string().contains("no-such-key"), "{error}");
    }
    let mut config = config;
    let imds = Imds::new(config.clone(), SEED, now()).unwrap();
    // There is a decision for any request.
    let path = "/latest/meta-data/";
    check(
        &imds.decide(&request(Method::GET, path, None), client(), now()),
        None,
    );
    assert!(imds.changed(imds.config().clone(), now()).is_ok());

    config.faults.clear();
    config.metadata_options.http_tokens = HttpTokens::Optional;
    config.metadata_options.http_endpoint = Switch::Enabled;
    let imds = Imds::new(config, SEED, now()).unwrap();
    for version in ["latest", "2016-09-02"] {
        walk(&imds, version);
    }
}

/// Keys of a configuration and their values, as lines of `KEY=VALUE`, applied in order.
///
/// After an accepted line, the configuration must be valid, and setting the line again must change nothing. The
/// error for a rejected line must name its source.
pub fn emulator_settings(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut layers = Layers::new();
    // Each line is checked with the whole configuration.
    for line in text.lines().take(8) {
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let before = layers.clone();
        layers.set("the line", key, value);
        match layers.config() {
            Ok(config) => {
                assert!(config.check().is_ok());
                let json = serde_json::to_value(&config).unwrap();
                assert_eq!(serde_json::from_value::<Config>(json).unwrap(), config);
                layers.set("the line", key, value);
                assert_eq!(layers.config().unwrap(), config);
            }
            Err(error) => {
                assert!(error.to_string().contains("the line: "), "{error}");
                layers = before;
            }
        }
        let name = format!("{ENVIRONMENT}{key}");
        let variable = (name.clone().into(), value.into());
        let mut layers = Layers::new();
        layers.environment([variable]);
        if let Err(error) = layers.config() {
            assert!(error.to_string().contains(&name), "{error}");
        }
    }
}

fn is_finite(value: &toml::Value) -> bool {
    match value {
        toml::Value::Float(number) => number.is_finite(),
        toml::Value::Array(values) => values.iter().all(is_finite),
        toml::Value::Table(table) => table.values().all(is_finite),
        _ => true,
    }
}

/// Requests everything that is listed below a version.
fn walk(imds: &Imds, version: &str) {
    let mut folders = VecDeque::from([format!("/{version}/")]);
    while let Some(folder) = folders.pop_front() {
        let (status, body) = get(imds, &folder);
        assert_eq!(status, 200, "{folder}");
        let names = String::from_utf8(body).unwrap();
        for name in names.split('\n').filter(|name| !name.is_empty()) {
            // [I29] [I37]
            let is_first_level = folder == format!("/{version}/");
            if name.ends_with('/') || (is_first_level && matches!(name, "dynamic" | "meta-data")) {
                folders.push_back(format!("{folder}{}/", escaped(name.trim_end_matches('/'))));
            } else if folder.ends_with("/meta-data/public-keys/") && name.contains('=') {
                let (number, _) = name.split_once('=').unwrap_or_default();
                folders.push_back(format!("{folder}{number}/"));
            } else if !folder.ends_with("/dynamic/instance-identity/") || name == "document" {
                // The others are signatures, which are slow.
                let path = format!("{folder}{}", escaped(name));
                assert_eq!(get(imds, &path).0, 200, "{path}");
            }
        }
    }
}

fn get(imds: &Imds, path: &str) -> (u16, Vec<u8>) {
    let decision = imds.decide(&request(Method::GET, path, None), client(), now());
    match decision.delivery {
        Delivery::Response(response) => (response.status().as_u16(), response.into_body().to_vec()),
        other => panic!("{other:?}"),
    }
}

/// A path segment, with everything escaped that may need it.
fn escaped(name: &str) -> String {
    let escape = |byte: u8| match byte.is_ascii_alphanumeric() || byte == b'-' {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    name.bytes().map(escape).collect()
}

/// A rule.
///
/// An accepted rule must be the same in JSON and in TOML, and its effect on a request must stay within
/// bounds. An error must name the key.
pub fn rule(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Some(rule) = read::<Rule>(text) else {
        return;
    };
    static WELL: OnceLock<[Imds; 2]> = OnceLock::new();
    let both = WELL.get_or_init(|| {
        ["dialect = 'nitro'", "dialect = 'xen'\nkeep-alive = true"].map(|server| {
            let config = Config::from_toml(&format!("[server]\n{server}")).unwrap();
            Imds::new(config, SEED, now()).unwrap()
        })
    });
    for imds in both {
        let imds = match imds.with_fault(rule.clone(), now()) {
            Ok(imds) => imds,
            Err(invalid) => {
                assert!(invalid.key().starts_with("fault"));
                assert!(invalid.to_string().contains("; accepted: "));
                return;
            }
        };
        let (kept, _) = imds.faults().next().expect("the rule is there");
        assert_eq!(*kept, rule);
        for minutes in [0, 1, 60] {
            let at = now() + chrono::TimeDelta::minutes(minutes);
            let mut token = None;
            for (method, path) in [
                (Method::PUT, "/latest/api/token"),
                (Method::GET, "/latest/meta-data/"),
                (
                    Method::HEAD,
                    "/latest/meta-data/iam/security-credentials/emulated-role",
                ),
                (
                    Method::GET,
                    "/latest/meta-data/iam/security-credentials/emulated-role",
                ),
                (Method::GET, "/2016-09-02/meta-data/iam/info"),
                (Method::POST, "//latest//meta-data"),
            ] {
                let parts = request(method.clone(), path, token.as_ref());
                let decision = imds.decide(&parts, client(), at);
                check(&decision, Some(&rule));
                if let (Method::PUT, Delivery::Response(response)) = (method, decision.delivery)
                    && response.status() == 200
                {
                    // A fault may make a token invalid.
                    token = HeaderValue::from_maybe_shared(response.into_body()).ok();
                }
            }
            let _ = imds.accept(client(), at);
        }
        assert!(imds.without_fault(&rule.name).is_some());
    }
    let json = serde_json::to_value(&rule).unwrap();
    assert_eq!(serde_json::from_value::<Rule>(json).unwrap(), rule);
    let mut config = Config::default();
    config.faults.push(rule);
    // TOML has neither `null` nor numbers beyond 2^63.
    if let Ok(printed) = toml::to_string(&config)
        && printed.parse::<toml::Table>().is_ok()
    {
        assert_eq!(Config::from_toml(&printed).unwrap(), config);
    }
}

/// What must hold for every decision. `rule` is the only rule.
fn check(decision: &Decision, rule: Option<&Rule>) {
    assert!(decision.delay <= Duration::from_secs(24 * 60 * 60));
    if let Some(rule) = rule {
        assert!(
            decision
                .summary
                .rules
                .iter()
                .all(|name| **name == *rule.name)
        );
    }
    match &decision.delivery {
        Delivery::Response(response) => {
            assert!((200..=999).contains(&response.status().as_u16()));
            assert!(response.body().len() <= MOST);
            assert_eq!(decision.summary.status, Some(response.status().as_u16()));
        }
        Delivery::Script(steps) => {
            let sent = steps.iter().map(|step| match step {
                Step::Send(bytes) => bytes.len(),
                _ => 0,
            });
            assert!(sent.sum::<usize>() <= MOST);
            let is_end = |step: &Step| matches!(step, Step::Close | Step::Reset | Step::Stall);
            assert_eq!(steps.iter().position(is_end), Some(steps.len() - 1));
        }
        Delivery::NoResponse => assert_eq!(decision.summary.status, None),
    }
}

fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    match text.trim_start().starts_with('{') {
        true => serde_json::from_str(text).ok(),
        false => toml::from_str(text).ok(),
    }
}

fn request(method: Method, path: &str, token: Option<&HeaderValue>) -> Parts {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "127.0.0.1")
        .header("user-agent", "fuzz/1")
        .header("x-aws-ec2-metadata-token-ttl-seconds", "21600");
    if let Some(token) = token {
        request = request.header("x-aws-ec2-metadata-token", token);
    }
    request.body(()).unwrap().into_parts().0
}

fn client() -> Client<'static> {
    Client {
        address: Ipv4Addr::LOCALHOST.into(),
        connections: 1,
        process: Some("fuzz"),
        network_is_ours: false,
    }
}

/// 2026-01-02T03:04:05.678Z.
pub(super) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_767_323_045_678).unwrap()
}
