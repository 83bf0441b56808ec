//! The incidents of a world, from a seed: what happens, when, and for how long.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use imds_emulator::config::Config;
use imds_emulator::fault::{Fault, Rule};
use rand::seq::IndexedRandom as _;
use rand::{Rng, RngExt as _};
use serde_json::{Value, json};

/// An incident.
#[derive(Clone, Debug)]
pub struct Incident {
    /// Its number in the schedule, for `--only`.
    pub number: usize,
    /// When it begins, since the start of the world.
    pub begins: Duration,
    /// If set, it waits for the next request and then for this time, so that it hits a call in progress.
    pub amid: Option<Duration>,
    /// How long it lasts, or zero for an instantaneous incident.
    pub lasts: Duration,
    /// What happens.
    pub kind: Kind,
}

/// What happens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Kind {
    /// A fault of the emulator.
    Fault(Box<Rule>),
    /// IMDS is down, and then restarts. With another seed, it does not recognise its earlier tokens.
    Restart {
        /// Whether it restarts with the same seed.
        same_seed: bool,
    },
    /// The role of the instance changes at the next rotation.
    RoleChange {
        /// The name of the new role.
        to: String,
    },
    /// The credentials are rotated early.
    Rotation,
    /// All tokens are revoked.
    Revocation,
    /// Tokens become required or optional.
    Tokens {
        /// Whether they are required.
        required: bool,
    },
    /// A client's wall clock is wrong.
    WallClock {
        /// The client.
        client: usize,
        /// The error in seconds.
        by: i64,
    },
    /// A client's machine is suspended.
    Suspend {
        /// The client.
        client: usize,
    },
    /// A client restarts without credentials.
    ClientRestart {
        /// The client.
        client: usize,
    },
}

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>4}  at {}", self.number, Readable(self.begins))?;
        if let Some(delay) = self.amid {
            write!(f, ", {delay:?} after the next request")?;
        }
        if !self.lasts.is_zero() {
            write!(f, " for {}", Readable(self.lasts))?;
        }
        match &self.kind {
            Kind::Fault(rule) => {
                let told = serde_json::to_string(rule).unwrap_or_default();
                write!(f, ": {told}")
            }
            Kind::Restart { same_seed: true } => f.write_str(": IMDS is down"),
            Kind::Restart { same_seed: false } => {
                f.write_str(": IMDS is down, and restarts with another seed")
            }
            Kind::RoleChange { to } => write!(f, ": the role becomes {to} at the next rotation"),
            Kind::Rotation => f.write_str(": the credentials are rotated"),
            Kind::Revocation => f.write_str(": all tokens are revoked"),
            Kind::Tokens { required: true } => f.write_str(": tokens are required"),
            Kind::Tokens { required: false } => f.write_str(": tokens are optional"),
            Kind::WallClock { client, by } => {
                write!(f, ": the wall clock of client {client} is off by {by} s")
            }
            Kind::Suspend { client } => write!(f, ": the machine of client {client} is suspended"),
            Kind::ClientRestart { client } => write!(f, ": client {client} restarts"),
        }
    }
}

/// Displays the time since the start of the world.
pub(super) struct Readable(pub(super) Duration);

impl fmt::Display for Readable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        if seconds >= 86_400 {
            write!(f, "{}d ", seconds / 86_400)?;
        }
        let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
        write!(
            f,
            "{hours:02}:{minutes:02}:{:02}.{:03}",
            seconds % 60,
            self.0.subsec_millis()
        )
    }
}

/// The average time between two incidents, in seconds.
const BETWEEN: f64 = 7.0 * 3600.0;

/// Generates the incidents of a world with this length and number of clients.
pub(super) fn generate(random: &mut impl Rng, length: Duration, clients: usize) -> Vec<Incident> {
    let mut incidents = Vec::new();
    let mut begins = Duration::ZERO;
    loop {
        // Exponentially distributed, so that there are clusters and long gaps.
        let unit: f64 = random.random();
        begins += Duration::from_secs_f64(-BETWEEN * (1.0 - unit).ln());
        if begins >= length {
            return incidents;
        }
        let number = incidents.len();
        let kind = kind(random, number, clients);
        let lasts = match kind {
            Kind::Rotation
            | Kind::Revocation
            | Kind::RoleChange { .. }
            | Kind::ClientRestart { .. } => Duration::ZERO,
            Kind::Fault(_) | Kind::Tokens { .. } | Kind::WallClock { .. } => {
                spread(random, 1.0, 8.0 * 3600.0)
            }
            Kind::Restart { .. } => spread(random, 0.1, 3.0 * 3600.0),
            Kind::Suspend { .. } => spread(random, 1.0, 2.0 * 86_400.0),
        };
        let amid = random.random_bool(0.5);
        let amid = amid.then(|| spread(random, 0.000_05, 0.5));
        incidents.push(Incident {
            number,
            begins,
            amid,
            lasts,
            kind,
        });
    }
}

/// A random time, distributed evenly on a logarithmic scale.
fn spread(random: &mut impl Rng, least: f64, most: f64) -> Duration {
    let unit: f64 = random.random();
    Duration::from_secs_f64(least * (most / least).powf(unit))
}

fn kind(random: &mut impl Rng, number: usize, clients: usize) -> Kind {
    let client = random.random_range(0..clients);
    match random.random_range(0..100) {
        0..66 => Kind::Fault(Box::new(random_rule(random, number as u64))),
        66..72 => Kind::Restart {
            same_seed: random.random(),
        },
        72..76 => Kind::RoleChange {
            to: format!("role-{number}"),
        },
        76..80 => Kind::Rotation,
        80..84 => Kind::Revocation,
        84..86 => Kind::Tokens {
            required: random.random(),
        },
        86..91 => Kind::WallClock {
            client,
            by: {
                let by = spread(random, 1.0, 2.0 * 86_400.0).as_secs().cast_signed();
                if random.random() { by } else { -by }
            },
        },
        91..95 => Kind::Suspend { client },
        _ => Kind::ClientRestart { client },
    }
}

/// The paths that a fault can affect.
const PATHS: [&str; 6] = [
    "/latest/api/token",
    "/latest/meta-data/iam/security-credentials*/",
    "/latest/meta-data/iam/security-credentials*/?*",
    "/latest/meta-data/iam/**",
    "/latest/meta-data/**",
    "/**",
];

/// A random rule.
pub(crate) fn random_rule(random: &mut impl Rng, number: u64) -> Rule {
    let fault = fault(random);
    let is_down = matches!(fault, Fault::Down { .. });
    let mut rule = Rule::new(format!("incident-{number}"), fault);
    let on_accept = matches!(
        rule.fault,
        Fault::ResetPeer {
            after: imds_emulator::fault::ResetAfter::Accept
        }
    );
    if !is_down && !on_accept {
        let paths = match &rule.fault {
            // Rate limits count all requests, and some faults affect only tokens or only credentials.
            Fault::Throttle { .. }
            | Fault::Quota { .. }
            | Fault::HopLimit { .. }
            | Fault::TokenUnavailable { .. }
            | Fault::TtlCap { .. } => PATHS.get(5..),
            Fault::CredentialsError { .. }
            | Fault::CredentialsExpired { .. }
            | Fault::CredentialsField { .. }
            | Fault::CredentialsStuck { .. } => PATHS.get(2..),
            _ => Some(&PATHS[..]),
        };
        let path = paths.and_then(|paths| paths.choose(random));
        rule.matches.path = path.map(|path| (*path).to_owned());
    }
    if !is_down {
        match random.random_range(0..10) {
            0..5 => {}
            5..8 => rule.when.probability = Some(random.random_range(0.05..0.95)),
            _ => rule.when.count = Some(random.random_range(1..20)),
        }
    }
    rule
}

/// A random fault.
fn fault(random: &mut impl Rng) -> Fault {
    loop {
        let at = random.random_range(0..KINDS);
        // A test verifies that every written fault is valid.
        if let Ok(fault) = serde_json::from_value(written(random, at)) {
            return fault;
        }
    }
}

/// The types of all faults, from the schema of the emulator.
pub fn vocabulary() -> BTreeSet<String> {
    let schema = Config::schema();
    let variants = schema
        .pointer("/$defs/Fault/oneOf")
        .and_then(Value::as_array);
    let name = |variant: &Value| {
        variant
            .pointer("/properties/type/const")?
            .as_str()
            .map(str::to_owned)
    };
    variants.into_iter().flatten().filter_map(name).collect()
}

/// The number of faults that [`written`] knows.
pub(super) const KINDS: usize = 53;

/// A fault in the format of the emulator's configuration.
pub(super) fn written(random: &mut impl Rng, at: usize) -> Value {
    let mut time = |most: f64| {
        let time = spread(random, 0.001, most);
        format!("{}ms", time.as_millis().max(1))
    };
    let (short, long) = (time(8.0), time(40_000.0));
    let mut of = |values: &[Value]| values.choose(random).cloned().unwrap_or_default();
    let effect = of(&[
        json!("silence"),
        json!("reset"),
        json!(429),
        json!(503),
        json!(404),
    ]);
    match at {
        0 => json!({ "type": "down" }),
        1 => json!({ "type": "blackhole" }),
        2 => json!({ "type": "reset_peer" }),
        3 => json!({ "type": "reset_peer", "after": "accept" }),
        4 => {
            json!({ "type": "reset_peer", "after": { "bytes": of(&[json!(0), json!(7), json!(300)]) } })
        }
        5 => json!({ "type": "empty_response" }),
        6 => json!({ "type": "hop_limit" }),
        7 => json!({ "type": "slow_close", "delay": short }),
        8 => json!({ "type": "latency", "latency": short }),
        9 => json!({ "type": "latency", "latency": "300ms", "jitter": "290ms" }),
        10 => json!({ "type": "latency", "distribution":
            { "type": "pareto", "scale": "20ms", "shape": 1.1 } }),
        11 => json!({ "type": "slow_headers", "delay": short }),
        12 => json!({ "type": "slow_body", "chunks": 5, "total": short }),
        13 => json!({ "type": "slicer", "size": 40, "delay": "30ms" }),
        14 => json!({ "type": "stall", "after": of(&[json!(0), json!(20), json!(400)]) }),
        15 => json!({ "type": "status", "code": of(&[
            json!(400), json!(401), json!(403), json!(404), json!(405), json!(429), json!(500),
            json!(502), json!(503), json!(504), json!(204), json!(301), json!(418)]) }),
        16 => json!({ "type": "status", "code": 503, "body": "empty", "retry-after": "2s" }),
        17 => json!({ "type": "status", "code": 429, "retry-after": "1h" }),
        18 => json!({ "type": "status", "code": 500, "body": { "text": "out of order" } }),
        19 => json!({ "type": "truncate_body" }),
        20 => json!({ "type": "truncate_body", "fraction": 0.3, "fix-content-length": true }),
        21 => {
            json!({ "type": "long_body", "bytes": of(&[json!(10), json!(70_000), json!(2_000_000)]) })
        }
        22 => json!({ "type": "malformed_chunk" }),
        23 => json!({ "type": "random_data_then_close" }),
        24 => json!({ "type": "malformed_json", "how": of(&[
            json!("cut"), json!("trailing_comma"), json!("html"), json!("empty_object")]) }),
        25 => json!({ "type": "replace", "body": of(&[
            json!(""), json!("null"), json!("{}"), json!("a role with spaces\n"), json!("\u{7f}"),
            json!("{\"Code\":\"Success\"}"), json!("<html>")]) }),
        26 => json!({ "type": "patch", "json": { "Expiration": of(&[
            json!("2000-01-01T00:00:00Z"), json!("9999-12-31T23:59:59Z"), json!("soon"), json!(7)]) } }),
        27 => json!({ "type": "drop_header", "name": of(&[
            json!("content-length"), json!("x-aws-ec2-metadata-token-ttl-seconds"), json!("server")]) }),
        28 => {
            json!({ "type": "wrong_content_length", "delta": of(&[json!(-5), json!(5), json!(5000)]) })
        }
        29 => json!({ "type": "wrong_content_type", "to": "text/html" }),
        30 => json!({ "type": "redirect", "to": "http://203.0.113.1/elsewhere" }),
        31 => json!({ "type": "throttle", "rate": of(&[json!(1), json!(5)]), "effect": effect }),
        32 => json!({ "type": "connection_limit", "max": 0, "effect": effect }),
        33 => {
            json!({ "type": "quota", "limit": of(&[json!(1), json!(2)]), "window": "10m", "effect": effect })
        }
        34 => json!({ "type": "token_unavailable", "effect": effect }),
        35 => json!({ "type": "v1_disabled" }),
        36 => json!({ "type": "v1_enabled" }),
        37 => json!({ "type": "token_expire_early", "after": long }),
        38 => json!({ "type": "token_revoke_all" }),
        39 => json!({ "type": "token_flap" }),
        40 => json!({ "type": "ttl_cap", "seconds": of(&[json!(1), json!(60), json!(3600)]) }),
        41 => json!({ "type": "endpoint_disabled" }),
        42 => json!({ "type": "category_missing", "path": "meta-data/iam/**" }),
        43 => json!({ "type": "stale_view", "age": long }),
        44 => json!({ "type": of(&[json!("role_missing"), json!("role_empty"),
            json!("extended_unavailable")]) }),
        45 => json!({ "type": "role_changed", "to": "another-role" }),
        46 => {
            json!({ "type": of(&[json!("credentials_expired"), json!("credentials_late_rotation")]) })
        }
        47 => json!({ "type": "credentials_short_lived", "lifetime": long }),
        48 => match of(&[json!(true), json!(false)]).as_bool() {
            Some(true) => json!({ "type": "clock_skew", "by": of(&[
                json!("5m"), json!("-5m"), json!("3h"), json!("-3h")]) }),
            _ => json!({ "type": "credentials_field",
                "name": of(&[json!("AccessKeyId"), json!("SecretAccessKey"), json!("Token"), json!("Expiration")]),
                "how": of(&[json!("missing"), json!("empty"), json!("null"), json!("wrong_type"), json!("bad_date")]) }),
        },
        // The clients here should not notice these two.
        49 => json!({ "type": "wrong_server" }),
        50 => {
            json!({ "type": "listing_inconsistent", "path": "meta-data/iam/security-credentials/*" })
        }
        51 => json!({ "type": "credentials_error" }),
        52 => json!({ "type": "credentials_stuck" }),
        _ => Value::Null,
    }
}

/// Minimises `incidents` that fail: omits parts of them, larger parts first.
pub(super) fn shrink(
    incidents: Vec<Incident>,
    mut still_fails: impl FnMut(&[Incident]) -> bool,
) -> Vec<Incident> {
    let mut rest = incidents;
    let mut part = rest.len().div_ceil(2);
    while part > 0 {
        let mut from = 0;
        while from < rest.len() {
            let to = (from + part).min(rest.len());
            let without: Vec<Incident> = rest
                .iter()
                .enumerate()
                .filter(|(at, _)| !(from..to).contains(at))
                .map(|(_, incident)| incident.clone())
                .collect();
            match still_fails(&without) {
                true => rest = without,
                false => from = to,
            }
        }
        part = match part {
            1 => 0,
            _ => part.div_ceil(2),
        };
    }
    rest
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn every_fault_of_the_vocabulary_can_happen() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut names = BTreeSet::new();
        for at in 0..KINDS {
            for _ in 0..50 {
                let written = written(&mut random, at);
                let name = written.get("type").unwrap().as_str().unwrap().to_owned();
                let fault: Fault = serde_json::from_value(written).unwrap();
                let toml = format!(
                    "[[faults]]\nname = 'x'\nfault = {}",
                    toml::Value::try_from(&fault).unwrap()
                );
                Config::from_toml(&toml).unwrap();
                names.insert(name);
            }
        }
        let all = vocabulary();
        assert!(all.len() > 40, "{all:?}");
        assert_eq!(names, all);
    }

    #[test]
    fn a_schedule_is_shrunk_to_what_is_needed() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let incidents = generate(&mut random, Duration::from_secs(86_400 * 28), 3);
        assert!(incidents.len() > 60, "{}", incidents.len());
        let numbers = |incidents: &[Incident]| -> Vec<usize> {
            incidents.iter().map(|incident| incident.number).collect()
        };
        let needed = [3, 17, 41];
        let shrunk = shrink(incidents, |rest| {
            let rest = numbers(rest);
            needed.iter().all(|number| rest.contains(number))
        });
        assert_eq!(numbers(&shrunk), needed);
    }
}
