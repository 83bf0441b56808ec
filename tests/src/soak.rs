//! A load test: many clients in their host, on real sockets, with faults and an emulator that restarts. Nothing may
//! leak, no call may hang, and every caller gets credentials or an error with a kind.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use chrono::TimeDelta;
use ec2_role_host::{Ec2RoleProvider, Environment, ErrorKind, RefreshPolicy};
use imds_emulator::Emulator;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::simulation::random_rule;

/// The longest time for a call. A look-up takes at most five seconds, and credentials take two look-ups.
const PATIENCE: Duration = Duration::from_secs(60);

/// The share of the time for the warm-up. After it, nothing should grow any more.
const WARM: f64 = 0.2;

/// How much the memory may grow after the warm-up, because allocators keep some.
const GROWTH: u64 = 48 << 20;

/// The resources in use at a moment.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Sample {
    /// File descriptors of this process.
    pub descriptors: usize,
    /// Bytes of memory of this process.
    pub memory: u64,
    /// Tasks of the clients' and the emulator's runtime.
    pub tasks: usize,
    /// Threads of this process.
    pub threads: usize,
}

impl Sample {
    fn now() -> anyhow::Result<Self> {
        let pages = fs::read_to_string("/proc/self/statm")?;
        let pages: u64 = pages.split(' ').nth(1).unwrap_or_default().parse()?;
        Ok(Self {
            descriptors: fs::read_dir("/proc/self/fd")?.count(),
            memory: pages * 4096,
            tasks: Handle::current().metrics().num_alive_tasks(),
            threads: fs::read_dir("/proc/self/task")?.count(),
        })
    }
}

/// The result of the test.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Soaked {
    /// Calls that returned credentials.
    pub credentials: u64,
    /// Calls that returned an error, by its kind.
    pub errors: BTreeMap<String, u64>,
    /// How often the emulator was restarted.
    pub restarts: u64,
    /// Faults that were injected.
    pub faults: u64,
    /// The resources after the warm-up and at the end.
    pub samples: (Sample, Sample),
    /// The checks that failed.
    pub wrong: Vec<String>,
}

/// Runs the test.
///
/// # Errors
///
/// If a client or the emulator cannot be started, or `/proc` cannot be read.
pub async fn soak(seed: u64, clients: usize, time: Duration) -> anyhow::Result<Soaked> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut emulator = Some(emulator(([127, 0, 0, 1], 0).into(), &mut random).await?);
    let address = emulator
        .as_ref()
        .map(Emulator::address)
        .context("no emulator")?;
    let soaked = Arc::new(Mutex::new(Soaked::default()));
    let end = Instant::now() + time;
    let mut tasks = JoinSet::new();
    let mut providers = Vec::new();
    for number in 0..clients {
        let policy = match number % 2 {
            0 => RefreshPolicy::Classic,
            _ => RefreshPolicy::Windowed,
        };
        let provider = Ec2RoleProvider::builder()
            .environment(Environment::empty())
            .endpoint(format!("http://{address}"))
            .refresh_policy(policy)
            .build()
            .await?;
        providers.push(provider.clone());
        let random = ChaCha8Rng::from_rng(&mut random);
        tasks.spawn(calls(provider, random, end, Arc::clone(&soaked)));
    }
    let warm = Instant::now() + time.mul_f64(WARM);
    let mut early = None;
    while Instant::now() < end {
        let pause = Duration::from_millis(random.random_range(50..1_500));
        tokio::time::sleep(pause).await;
        if early.is_none() && Instant::now() >= warm {
            early = Some(Sample::now()?);
        }
        if random.random_bool(0.1) {
            if let Some(running) = emulator.take() {
                running.stop().await;
            }
            let down = Duration::from_millis(random.random_range(0..2_000));
            tokio::time::sleep(down).await;
            emulator = Some(self::emulator(address, &mut random).await?);
            lock(&soaked).restarts += 1;
            continue;
        }
        let Some(emulator) = &emulator else { continue };
        match random.random_bool(0.3) {
            true => emulator.heal_all(),
            false => {
                let number = lock(&soaked).faults;
                // A fault with this name may still exist.
                if let Ok(fault) = emulator.fault(random_rule(&mut random, number)) {
                    fault.keep();
                    lock(&soaked).faults += 1;
                }
            }
        }
        if random.random_bool(0.05) {
            emulator.rotate_credentials();
        }
    }
    if let Some(emulator) = &emulator {
        emulator.heal_all();
    }
    let ended = async { while tasks.join_next().await.is_some() {} };
    let hung = tokio::time::timeout(PATIENCE, ended).await.is_err();
    // All faults have been removed.
    for (number, provider) in providers.iter().enumerate() {
        if let Err(error) = provider.retrieve().await {
            let mut soaked = lock(&soaked);
            soaked
                .wrong
                .push(format!("client {number} still fails at the end: {error}"));
        }
    }
    let late = Sample::now()?;
    let early = early.unwrap_or(late);
    let mut soaked = std::mem::take(&mut *lock(&soaked));
    soaked.samples = (early, late);
    if hung {
        soaked
            .wrong
            .push(format!("a call takes longer than {PATIENCE:?}"));
    }
    let restarted: u64 = providers
        .iter()
        .map(|provider| provider.status().restarts)
        .sum();
    if restarted > 0 {
        soaked
            .wrong
            .push(format!("components restarted {restarted} times"));
    }
    for (what, before, after, more) in [
        (
            "file descriptors",
            early.descriptors,
            late.descriptors,
            clients,
        ),
        ("tasks", early.tasks, late.tasks, clients),
        ("threads", early.threads, late.threads, 2),
    ] {
        if after > before + more {
            soaked
                .wrong
                .push(format!("{what} grew from {before} to {after}"));
        }
    }
    if late.memory > early.memory + GROWTH {
        let (before, after) = (early.memory >> 20, late.memory >> 20);
        soaked
            .wrong
            .push(format!("memory grew from {before} MiB to {after} MiB"));
    }
    Ok(soaked)
}

async fn calls(
    provider: Ec2RoleProvider,
    mut random: ChaCha8Rng,
    end: Instant,
    soaked: Arc<Mutex<Soaked>>,
) {
    while Instant::now() < end {
        let answer = tokio::time::timeout(PATIENCE, provider.credentials()).await;
        {
            let mut soaked = lock(&soaked);
            match answer {
                Ok(Ok(_)) => soaked.credentials += 1,
                Ok(Err(error)) => {
                    let kind = error.kind();
                    *soaked.errors.entry(format!("{kind:?}")).or_default() += 1;
                    if matches!(kind, ErrorKind::Component | ErrorKind::Other) {
                        soaked.wrong.push(format!("{error:?}"));
                    }
                }
                Err(_) => soaked.wrong.push(format!("no answer within {PATIENCE:?}")),
            }
        }
        if random.random_bool(0.02) && provider.invalidate().await.is_err() {
            lock(&soaked)
                .wrong
                .push("invalidate returned an error".into());
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(20..1_000))).await;
    }
}

/// An emulator with short-lived credentials, so that refreshes are frequent.
async fn emulator(
    address: SocketAddr,
    random: &mut ChaCha8Rng,
) -> Result<Emulator, imds_emulator::StartError> {
    let builder = Emulator::builder()
        .bind(address)
        .rotation(TimeDelta::seconds(20), TimeDelta::seconds(40))
        .seed(random.random());
    builder.start().await
}

fn lock(soaked: &Mutex<Soaked>) -> std::sync::MutexGuard<'_, Soaked> {
    soaked.lock().unwrap_or_else(PoisonError::into_inner)
}
