//! The plan of a simulated world, from a seed: its clients, their settings, and how often their callers ask.

use std::time::Duration;

use ec2_role_component::config::{Imdsv1Policy, Options};
use ec2_role_host::RefreshPolicy;
use imds_emulator::config::{Config, HttpTokens, Iam, Span};
use rand::seq::IndexedRandom as _;
use rand::{Rng, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::model::Rules;
use super::schedule::{self, Incident, Kind};
use crate::settings::refresh_policy;

/// How long a world lasts: four weeks and two hours, so that thirteen of them are a year.
pub const LENGTH: Duration = Duration::from_secs(2_427_600);

/// The number of worlds that make up a year.
pub const WORLDS_A_YEAR: u32 = 13;

const HOUR: f64 = 3600.0;

/// One world.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed of the simulation.
    pub seed: u64,
    /// The number of the world.
    pub world: u32,
    /// Its incidents.
    pub incidents: Vec<Incident>,
    /// How long it lasts.
    pub length: Duration,
    /// When it begins, in seconds since 1970.
    pub(super) epoch: u64,
    pub(super) config: Config,
    pub(super) clients: Vec<ClientPlan>,
    /// Whether the client is the component in its host, instead of its logic alone.
    pub hosted: bool,
    /// Whether the host refreshes in the background.
    pub background: bool,
}

#[derive(Clone, Debug)]
pub(super) struct ClientPlan {
    pub(super) policy: RefreshPolicy,
    pub(super) options: Options,
    pub(super) callers: Vec<Caller>,
}

/// How often a caller asks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Caller {
    /// One call, then a pause of this length, and so on.
    Steady(Duration),
    /// Calls of several callers at once, then a pause of this length, and so on.
    Crowd(Duration, usize),
    /// This number of calls, one per second, then a pause of this length, and so on.
    Storm(Duration, u32),
}

/// Independent streams of random numbers, so that omitting an incident changes nothing else.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stream {
    Plan,
    Server,
    Background,
    Cover,
    Client(usize),
    Caller(usize, usize),
}

impl Plan {
    /// The plan of a world.
    pub fn new(seed: u64, world: u32) -> Self {
        let mut random = dice(seed, world, Stream::Plan);
        let number = random.random_range(1..=5);
        let first = random.random_range(0..3);
        let kinds = (first..).take(number);
        let clients: Vec<_> = kinds
            .map(|kind| ClientPlan::of(kind, &mut random))
            .collect();
        let rotation = *[20_u16, 60, 60, 355].choose(&mut random).unwrap_or(&60);
        let rest = *[16, 60, 380].choose(&mut random).unwrap_or(&60);
        let mut config = Config::default();
        config.metadata_options.http_tokens = match random.random_bool(0.8) {
            true => HttpTokens::Required,
            false => HttpTokens::Optional,
        };
        let mut iam = Iam::default();
        iam.role = Some("role".into());
        iam.rotation = Span::minutes(rotation);
        iam.lifetime = Some(Span::minutes(rotation + rest));
        iam.lead = Span::minutes(16);
        iam.extended_path = random.random();
        config.instance.iam = Some(iam);
        // In 2026 or the next few years.
        let epoch = 1_767_225_600 + random.random_range(0..200_000_000);
        let mut incidents = schedule::generate(&mut random, LENGTH, clients.len());
        incidents.extend(schedule::cover(
            &mut dice(seed, world, Stream::Cover),
            LENGTH,
            incidents.len(),
            (world as usize, WORLDS_A_YEAR as usize),
        ));
        // A client with a configured role name cannot recover from a role change.
        if clients
            .iter()
            .any(|client| client.options.role_name.is_some())
        {
            incidents.retain(|incident| !matches!(incident.kind, Kind::RoleChange { .. }));
        }
        Self {
            seed,
            world,
            length: LENGTH,
            epoch,
            incidents,
            config,
            clients,
            hosted: false,
            background: false,
        }
    }

    /// The plan of a world with native or hosted clients.
    pub fn of(seed: u64, world: u32, hosted: bool) -> Self {
        match hosted {
            true => Self::hosted(seed, world),
            false => Self::new(seed, world),
        }
    }

    /// The plan of a world with only one of its clients, as WebAssembly in its host. In three of ten worlds, it
    /// refreshes in the background.
    pub fn hosted(seed: u64, world: u32) -> Self {
        let mut plan = Self::new(seed, world);
        let client = world as usize % plan.clients.len();
        plan.clients.swap(0, client);
        plan.clients.truncate(1);
        plan.incidents
            .retain_mut(|incident| match &mut incident.kind {
                Kind::WallClock { client: of, .. }
                | Kind::Suspend { client: of }
                | Kind::ClientRestart { client: of } => {
                    let is_here = *of == client;
                    *of = 0;
                    is_here
                }
                _ => true,
            });
        plan.hosted = true;
        plan.background = dice(seed, world, Stream::Background).random_bool(0.3);
        plan
    }

    pub(super) fn dice(&self, stream: Stream) -> ChaCha8Rng {
        dice(self.seed, self.world, stream)
    }
}

fn dice(seed: u64, world: u32, stream: Stream) -> ChaCha8Rng {
    let stream = match stream {
        Stream::Plan => 0,
        Stream::Server => 1,
        Stream::Background => 2,
        Stream::Cover => 3,
        Stream::Client(client) => 1_000 + client as u64,
        Stream::Caller(client, caller) => 1_000_000 + 1_000 * client as u64 + caller as u64,
    };
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(u64::from(world) << 32 | stream);
    random
}

impl ClientPlan {
    /// A client with steady calls, with storms of calls, or with rare calls by many callers at once, which meet
    /// while credentials are due.
    fn of(kind: usize, random: &mut impl Rng) -> Self {
        let policy = match random.random() {
            true => RefreshPolicy::Classic,
            false => RefreshPolicy::Windowed,
        };
        let mut client = Self::new(random, policy);
        client.callers = match kind % 3 {
            0 => vec![Caller::steady(random)],
            1 => vec![Caller::steady(random), Caller::storm(random)],
            _ => vec![Caller::crowd(random), Caller::crowd(random)],
        };
        client
    }

    /// A client with random settings and no callers.
    pub(super) fn new(random: &mut impl Rng, policy: RefreshPolicy) -> Self {
        let window = random.random_bool(0.5).then(|| {
            let minutes = *[1_u64, 5, 10, 20, 45, 90].choose(random).unwrap_or(&5);
            minutes * 60_000
        });
        let options = Options {
            endpoint: Some("http://127.0.0.1".into()),
            imdsv1: [
                None,
                None,
                Some(Imdsv1Policy::OnRefusal),
                Some(Imdsv1Policy::OnAnyFailure),
            ]
            .choose(random)
            .copied()
            .flatten(),
            role_name: random.random_bool(0.1).then(|| "role".into()),
            operation_timeout: random.random_bool(0.3).then_some(20_000),
            attempts: [None, None, Some(1), Some(2), Some(10)]
                .choose(random)
                .copied()
                .flatten(),
            token_ttl: [None, None, Some(60), Some(3_600)]
                .choose(random)
                .copied()
                .flatten(),
            expiry_window: window,
            expiry_window_jitter: [None, Some(50), Some(100)]
                .choose(random)
                .copied()
                .flatten(),
            refresh_policy: Some(refresh_policy(policy)),
            max_extension: random.random_bool(0.3).then_some(4 * 3_600_000),
            extended_path: Some(random.random_bool(0.3)),
            ..Options::default()
        };
        Self {
            policy,
            options,
            callers: Vec::new(),
        }
    }

    pub(super) fn rules(&self) -> Rules {
        Rules {
            policy: self.policy,
            window: self.options.expiry_window.map(Duration::from_millis),
            jitter: self.options.expiry_window_jitter.unwrap_or(0),
            max_extension: self.options.max_extension.map(Duration::from_millis),
        }
    }
}

impl Caller {
    fn steady(random: &mut impl Rng) -> Self {
        Self::Steady(every(random, 120.0, HOUR))
    }

    fn crowd(random: &mut impl Rng) -> Self {
        let every = every(random, 0.7 * HOUR, 20.0 * HOUR);
        Self::Crowd(every, random.random_range(2..9))
    }

    fn storm(random: &mut impl Rng) -> Self {
        let every = every(random, 10.0 * HOUR, 100.0 * HOUR);
        Self::Storm(every, random.random_range(20..400))
    }
}

/// A random time, distributed evenly on a logarithmic scale.
fn every(random: &mut impl Rng, least: f64, most: f64) -> Duration {
    let unit: f64 = random.random();
    Duration::from_secs_f64(least * (most / least).powf(unit))
}
