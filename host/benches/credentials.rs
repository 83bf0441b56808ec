//! The cost of credentials with this library, and with the provider of `aws-config` behind the identity
//! cache of an SDK client. Both run against the same emulator.
//!
//! ```sh
//! cargo bench -p ec2-role-host
//! cargo bench -p ec2-role-host -- --against FILE
//! ```
//!
//! `FILE` is this benchmark, built from another commit. Both builds take turns, so that other work on
//! the machine slows down both.
//!
//! * cached: held credentials.
//! * through the component: every call reaches the component, as it would without the snapshot.
//! * first credentials: of a new provider, which takes three requests. The component was compiled
//!   before, which a process does only once.

#![expect(
    clippy::cast_precision_loss,
    clippy::unwrap_used,
    reason = "a benchmark stops at what it did not expect"
)]

use std::cell::Cell;
use std::hint::{black_box, spin_loop};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use aws_config::imds;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_runtime::client::auth::no_auth::{NO_AUTH_SCHEME_ID, NoAuthScheme};
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime::client::identity::no_auth::NoAuthIdentityResolver;
use aws_smithy_runtime::client::orchestrator::endpoints::StaticUriEndpointResolver;
use aws_smithy_runtime::client::retries::strategy::NeverRetryStrategy;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::identity::{
    Identity, ResolveCachedIdentity as _, SharedIdentityResolver,
};
use aws_smithy_runtime_api::client::runtime_components::{
    RuntimeComponents, RuntimeComponentsBuilder,
};
use aws_smithy_types::config_bag::ConfigBag;
use ec2_role_host::{Clock, Ec2RoleProvider, Environment};
use imds_emulator::Emulator;
use tokio::runtime::Runtime;

/// How often both builds are measured.
const ROUNDS: usize = 9;

/// Measure once, and print the figures for the process that compares them.
const ROUND: &str = "--round";

struct Row {
    name: &'static str,
    /// The row of the peer, or of the floor, and the highest accepted ratio to it or to another value.
    target: Target,
    measure: fn() -> f64,
}

enum Target {
    /// Shown for comparison only.
    None,
    /// At most this many times the figure of another row.
    Times(f64, &'static str),
    /// At most this many nanoseconds.
    Nanoseconds(f64),
}

const ROWS: [Row; 10] = [
    Row {
        name: "reading the clock",
        target: Target::None,
        measure: || clock(1),
    },
    Row {
        name: "reading the clock, 2 threads",
        target: Target::None,
        measure: || clock(2),
    },
    Row {
        name: "cached",
        target: Target::Times(2.0, "reading the clock"),
        measure: || cached(1),
    },
    Row {
        name: "cached, 2 threads",
        target: Target::Times(2.0, "reading the clock, 2 threads"),
        measure: || cached(2),
    },
    Row {
        name: "cached, aws-config",
        target: Target::None,
        measure: || cached_aws_config(1),
    },
    Row {
        name: "cached, aws-config, 2 threads",
        target: Target::None,
        measure: || cached_aws_config(2),
    },
    Row {
        name: "through the component",
        target: Target::Nanoseconds(3000.0),
        measure: || through_the_component(1),
    },
    Row {
        name: "through the component, 2 threads",
        target: Target::None,
        measure: || through_the_component(2),
    },
    Row {
        name: "first credentials",
        target: Target::Times(0.75, "first credentials, aws-config"),
        measure: || first_credentials().0,
    },
    Row {
        name: "first credentials, aws-config",
        target: Target::None,
        measure: || first_credentials().1,
    },
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == ROUND) {
        for row in &ROWS {
            println!("{}", (row.measure)());
        }
        return;
    }
    let against = arguments
        .iter()
        .position(|argument| argument == "--against")
        .and_then(|at| arguments.get(at + 1))
        .map(PathBuf::from);
    let this = std::env::current_exe().unwrap();
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        if let Some(against) = &against {
            old.push(round(against));
        }
        new.push(round(&this));
    }
    print(&old, &new);
}

/// Runs a build once, in a process of its own.
fn round(build: &Path) -> Vec<f64> {
    let output = Command::new(build).arg(ROUND).output().unwrap();
    assert!(output.status.success(), "{}: {output:?}", build.display());
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| line.parse().unwrap()).collect()
}

fn print(old: &[Vec<f64>], new: &[Vec<f64>]) {
    println!("| median of {ROUNDS} | old | new | new/old | target |");
    println!("| --- | --- | --- | --- | --- |");
    let figure = |rounds: &[Vec<f64>], name: &str| {
        let at = ROWS.iter().position(|row| row.name == name).unwrap();
        rounds
            .iter()
            .map(|round| *round.get(at).unwrap())
            .collect::<Vec<_>>()
    };
    for row in &ROWS {
        let now = figure(new, row.name);
        let before = figure(old, row.name);
        let (then, change) = match before.is_empty() {
            true => (String::new(), String::new()),
            false => (
                time(median(before.clone())),
                format!("{:.2}", ratio(&now, &before)),
            ),
        };
        let target = match row.target {
            Target::None => String::new(),
            Target::Times(most, other) => {
                let ratio = ratio(&now, &figure(new, other));
                format!("{ratio:.2} of `{other}`, at most {most}")
            }
            Target::Nanoseconds(most) => format!("at most {}", time(most)),
        };
        println!(
            "| {} | {then} | {} | {change} | {target} |",
            row.name,
            time(median(now))
        );
    }
}

/// The median of the ratios of figures of the same round.
fn ratio(these: &[f64], others: &[f64]) -> f64 {
    median(
        these
            .iter()
            .zip(others)
            .map(|(this, other)| this / other)
            .collect(),
    )
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    *figures.get(figures.len() / 2).unwrap()
}

fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        ..1e3 => format!("{nanoseconds:.0} ns"),
        ..1e6 => format!("{:.1} µs", nanoseconds / 1e3),
        _ => format!("{:.2} ms", nanoseconds / 1e6),
    }
}

/// The time of one call, in nanoseconds: `threads` make `calls` calls each at the same time, and the
/// slowest counts. The best of many attempts, because other work on the machine only slows down.
fn calls<T>(threads: usize, calls: usize, attempts: usize, call: impl Fn() -> T + Sync) -> f64 {
    let arrived = AtomicUsize::new(0);
    let one_thread = || {
        (0..attempts)
            .map(|attempt| {
                // All begin together. Threads that wait must be on their processors already.
                arrived.fetch_add(1, Ordering::SeqCst);
                while arrived.load(Ordering::SeqCst) < threads * (attempt + 1) {
                    spin_loop();
                }
                let start = Instant::now();
                for _ in 0..calls {
                    black_box(call());
                }
                start.elapsed()
            })
            .collect::<Vec<_>>()
    };
    let times = std::thread::scope(|scope| {
        let others: Vec<_> = (0..threads).map(|_| scope.spawn(one_thread)).collect();
        others
            .into_iter()
            .map(|other| other.join().unwrap())
            .collect::<Vec<_>>()
    });
    let slowest = |attempt| {
        times
            .iter()
            .filter_map(|times| times.get(attempt))
            .max()
            .copied()
    };
    let best = (0..attempts).filter_map(slowest).min().unwrap();
    best.as_nanos() as f64 / calls as f64
}

fn clock(threads: usize) -> f64 {
    calls(threads, 2000, 200, SystemTime::now)
}

fn cached(threads: usize) -> f64 {
    let provider = provider(None);
    provider.credentials_blocking().unwrap();
    calls(threads, 2000, 200, || {
        provider.credentials_blocking().unwrap()
    })
}

fn through_the_component(threads: usize) -> f64 {
    let provider = provider(Some(Asking(Instant::now())));
    provider.credentials_blocking().unwrap();
    let cost = calls(threads, 100, 200, || {
        ASKS.set(3);
        provider.credentials_blocking().unwrap()
    });
    assert_eq!(
        provider.status().refreshes,
        1,
        "the component sent requests"
    );
    cost
}

fn cached_aws_config(threads: usize) -> f64 {
    // Its cache sets a timer, and wants a runtime for that.
    thread_local!(static INSIDE: Cell<bool> = const { Cell::new(false) });

    let sdk = Sdk::new();
    runtime().block_on(sdk.credentials());
    calls(threads, 500, 100, || {
        if !INSIDE.replace(true) {
            // Leaked, because it must outlive this closure.
            std::mem::forget(runtime().enter());
        }
        pollster::block_on(sdk.credentials())
    })
}

/// The medians of this library and of `aws-config`, which take turns.
fn first_credentials() -> (f64, f64) {
    static MEDIANS: OnceLock<(f64, f64)> = OnceLock::new();

    let time = |run: &dyn Fn()| {
        let start = Instant::now();
        run();
        start.elapsed().as_nanos() as f64
    };
    let host = || drop(provider(None).credentials_blocking().unwrap());
    let aws_config = || drop(runtime().block_on(async { Sdk::new().credentials().await }));
    *MEDIANS.get_or_init(|| {
        // Compiles the component.
        host();
        let times = (0..300).map(|_| (time(&host), time(&aws_config)));
        let (these, others) = times.unzip();
        (median(these), median(others))
    })
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().unwrap()
    })
}

fn emulator() -> &'static Emulator {
    static EMULATOR: OnceLock<Emulator> = OnceLock::new();
    EMULATOR.get_or_init(|| runtime().block_on(Emulator::builder().start()).unwrap())
}

fn provider(clock: Option<Asking>) -> Ec2RoleProvider {
    let builder = Ec2RoleProvider::builder()
        .environment(Environment::empty())
        .endpoint(emulator().url());
    let builder = match clock {
        Some(clock) => builder.clock(clock),
        None => builder,
    };
    builder.build_blocking().unwrap()
}

/// A clock by which the next calls find everything due. The component, which reads the clock later,
/// sees the time as it is.
#[derive(Debug)]
struct Asking(Instant);

thread_local!(static ASKS: Cell<usize> = const { Cell::new(0) });

impl Clock for Asking {
    fn now(&self) -> SystemTime {
        match ASKS.get().checked_sub(1) {
            Some(rest) => {
                ASKS.set(rest);
                SystemTime::now() + Duration::from_secs(24 * 3600)
            }
            None => SystemTime::now(),
        }
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, duration: Duration) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// As a client of the SDK holds it.
struct Sdk {
    components: RuntimeComponents,
    resolver: SharedIdentityResolver,
    config: ConfigBag,
}

impl Sdk {
    fn new() -> Self {
        let config = ProviderConfig::empty()
            .with_http_client(aws_smithy_http_client::Builder::new().build_http())
            .with_sleep_impl(TokioSleep::new())
            .with_time_source(SystemTimeSource::new());
        let client = imds::Client::builder()
            .configure(&config)
            .endpoint(emulator().url())
            .unwrap()
            .build();
        let provider = ImdsCredentialsProvider::builder()
            .configure(&config)
            .imds_client(client)
            .build();
        let components = RuntimeComponentsBuilder::new("bench")
            .with_auth_scheme_option_resolver(Some(StaticAuthSchemeOptionResolver::new(Vec::new())))
            .with_auth_scheme(NoAuthScheme::new())
            .with_endpoint_resolver(Some(StaticUriEndpointResolver::http_localhost(1)))
            .with_identity_cache(Some(IdentityCache::lazy().build()))
            .with_identity_resolver(NO_AUTH_SCHEME_ID, NoAuthIdentityResolver::new())
            .with_retry_strategy(Some(NeverRetryStrategy::new()))
            .with_sleep_impl(Some(TokioSleep::new()))
            .with_time_source(Some(SystemTimeSource::new()))
            .build()
            .unwrap();
        Self {
            components,
            resolver: SharedIdentityResolver::new(SharedCredentialsProvider::new(provider)),
            config: ConfigBag::base(),
        }
    }

    async fn credentials(&self) -> Identity {
        let cache = self.components.identity_cache();
        let resolver = self.resolver.clone();
        let identity = cache.resolve_cached_identity(resolver, &self.components, &self.config);
        identity.await.unwrap()
    }
}
