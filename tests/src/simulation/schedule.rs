//! The incidents of a world, from a seed: what happens, when, and for how long.

use std::fmt;
use std::slice;
use std::time::Duration;

use imds_emulator::fault::kinds::{ConnectionFault, CredentialsFault, RateFault};
use imds_emulator::fault::{Fault, Rule};
use rand::seq::IndexedRandom as _;
use rand::{Rng, RngExt as _};
use serde::{Deserialize, Serialize};

/// An incident.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Incident {
    /// Its number in the schedule, for `--only`.
    pub number: usize,
    /// When it begins, since the start of the world.
    pub begins: Duration,
    /// If set, the incident waits for the next request and then for this time, so that it hits a call in progress.
    pub amid: Option<Duration>,
    /// How long it lasts, or zero for an instantaneous incident.
    pub lasts: Duration,
    /// Whether the incident lasts longer if necessary: until faults of its kind have affected a request in this world.
    #[serde(default)]
    pub until_it_acts: bool,
    /// What happens.
    pub kind: Kind,
}

/// What happens.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
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
        if self.until_it_acts {
            f.write_str(" and until it acts")?;
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
            until_it_acts: false,
            kind,
        });
    }
}

/// Generates faults that last until they take effect. Each kind of fault occurs in one of `worlds` consecutive worlds,
/// so that every kind takes effect within a year.
pub(super) fn cover(
    random: &mut impl Rng,
    length: Duration,
    first_number: usize,
    (world, worlds): (usize, usize),
) -> Vec<Incident> {
    let samples = samples(random);
    let kinds = samples.chunk_by(|fault, next| type_of(fault) == type_of(next));
    let mut incidents = Vec::new();
    for kind in kinds.skip(world % worlds).step_by(worlds) {
        let number = first_number + incidents.len();
        // The rule has no conditions, and half of the world remains for it to take effect.
        let fault = kind.choose(random).cloned();
        let mut rule = Rule::new(name(number), fault.unwrap_or_else(Fault::blackhole));
        if !rule.fault.precedes_requests() {
            rule = rule.on("/**");
        }
        incidents.push(Incident {
            number,
            begins: length.mul_f64(random.random_range(0.0..0.5)),
            amid: None,
            lasts: spread(random, 1.0, 8.0 * 3600.0),
            until_it_acts: true,
            kind: Kind::Fault(Box::new(rule)),
        });
    }
    incidents
}

/// The `type` of a fault in files.
pub(super) fn type_of(fault: &Fault) -> Option<String> {
    let fault = serde_json::to_value(fault).ok()?;
    Some(fault.get("type")?.as_str()?.to_owned())
}

/// The name of the rule of an incident.
fn name(number: impl fmt::Display) -> String {
    format!("incident-{number}")
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

/// A rule with a random fault for random requests.
pub(crate) fn random_rule(random: &mut impl Rng, number: u64) -> Rule {
    let fault = fault(random);
    let is_down = matches!(
        fault,
        Fault::Connection(ConnectionFault::Down(_) | ConnectionFault::Prohibited(_))
    );
    let mut rule = Rule::new(name(number), fault);
    if !rule.fault.precedes_requests() {
        let path = paths(&rule.fault).choose(random);
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

/// The paths at which a fault can have an effect.
fn paths(fault: &Fault) -> &'static [&'static str] {
    let [_, _, documents @ ..] = &PATHS;
    let [.., everything] = &PATHS;
    if fault.is_for_tokens() {
        return slice::from_ref(everything);
    }
    match fault {
        // A limit of connections refuses requests to the paths of its rule; the other limits count
        // requests, so their rules have to see all of them.
        Fault::Rate(RateFault::ConnectionLimit(_)) => &PATHS,
        Fault::Rate(_) => slice::from_ref(everything),
        // Without the extended documents, their listing is missing as well.
        Fault::Credentials(CredentialsFault::ExtendedUnavailable(_)) => &PATHS,
        Fault::Credentials(_) => documents,
        // The other groups, which the test below names, affect any request.
        _ => &PATHS,
    }
}

/// Faults of all kinds, except those that act on packets, which the simulation does not have.
fn samples(random: &mut impl Rng) -> Vec<Fault> {
    let mut samples = Fault::samples(random);
    samples.retain(|fault| !matches!(fault, Fault::Network(_)));
    samples
}

/// A random fault of those that the emulator can inject.
fn fault(random: &mut impl Rng) -> Fault {
    let samples = samples(random);
    // The list contains at least one sample of each kind.
    let fault = samples.choose(random).cloned();
    fault.unwrap_or_else(Fault::blackhole)
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
    use std::collections::BTreeSet;

    use imds_emulator::config::Config;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_fault_of_the_vocabulary_can_happen() {
        let schema = Config::schema();
        let kinds = schema.pointer("/$defs/Fault/oneOf").unwrap();
        let vocabulary: BTreeSet<&str> = kinds
            .as_array()
            .unwrap()
            .iter()
            .filter(|kind| kind["x-group"] != "Network")
            .map(|kind| {
                kind.pointer("/properties/type/const")
                    .unwrap()
                    .as_str()
                    .unwrap()
            })
            .collect();
        assert!(vocabulary.len() > 40, "{vocabulary:?}");
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let drawn: Vec<Value> = (0..3000)
            .map(|_| serde_json::to_value(fault(&mut random)).unwrap())
            .collect();
        let names: BTreeSet<&str> = drawn
            .iter()
            .map(|fault| fault["type"].as_str().unwrap())
            .collect();
        assert_eq!(names, vocabulary);
    }

    #[test]
    fn every_fault_gets_the_paths_at_which_it_can_have_an_effect() {
        for fault in samples(&mut ChaCha8Rng::seed_from_u64(1)) {
            let of_group = match fault {
                Fault::Credentials(_) | Fault::Rate(_) => None,
                Fault::Connection(_)
                | Fault::Timing(_)
                | Fault::Response(_)
                | Fault::Body(_)
                | Fault::Token(_)
                | Fault::Instance(_) => Some(PATHS.len()),
                _ => panic!(
                    "decide in `paths` where faults of this new group have an effect: {fault:?}"
                ),
            };
            let kind = serde_json::to_value(&fault).unwrap()["type"].clone();
            let expected = match (kind.as_str().unwrap(), of_group) {
                ("token_unavailable" | "ttl_cap" | "hop_limit" | "throttle" | "quota", _) => 1,
                ("connection_limit" | "extended_unavailable", None) => PATHS.len(),
                (_, None) => PATHS.len() - 2,
                (_, Some(all)) => all,
            };
            assert_eq!(paths(&fault), &PATHS[PATHS.len() - expected..], "{kind}");
        }
    }

    #[test]
    fn every_kind_of_fault_is_scheduled_within_a_year() {
        let length = Duration::from_secs(86_400 * 28);
        let all = samples(&mut ChaCha8Rng::seed_from_u64(1));
        let all: BTreeSet<String> = all.iter().filter_map(type_of).collect();
        for seed in 0..20 {
            let mut covered = Vec::new();
            for world in 100..113 {
                let mut random = ChaCha8Rng::seed_from_u64(seed);
                random.set_stream(world as u64);
                let incidents = cover(&mut random, length, 7, (world, 13));
                for (at, incident) in incidents.iter().enumerate() {
                    assert_eq!(incident.number, 7 + at);
                    assert!(incident.begins < length / 2 && incident.until_it_acts);
                    let Kind::Fault(rule) = &incident.kind else {
                        panic!("{incident}");
                    };
                    covered.extend(type_of(&rule.fault));
                }
            }
            assert_eq!(covered.len(), all.len());
            assert_eq!(BTreeSet::from_iter(covered), all);
        }
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
