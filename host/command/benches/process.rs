//! The time from the start of the command to its end with credentials, with and without the cache of
//! compiled components, and the memory of a provider.
//!
//! `cargo bench -p ec2-role-credentials`

#![expect(
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a benchmark stops at what it did not expect"
)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ec2_role_host::{Ec2RoleProvider, Environment};
use imds_emulator::Emulator;

const RUNS: usize = 40;
const PROVIDERS: usize = 200;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let imds = runtime.block_on(Emulator::builder().start()).unwrap();
    let cache = tempfile::tempdir().unwrap();

    println!("start of the process to its end, {RUNS} runs each   fastest   median   slowest");
    report("--version", || run(&["--version"], cache.path()));
    let get = ["get", "--endpoint", imds.url()];
    report("credentials, cache warm", || run(&get, cache.path()));
    let uncached = ["get", "--no-cache", "--endpoint", imds.url()];
    report("credentials, without cache", || {
        run(&uncached, cache.path())
    });

    let provider = || {
        let provider = Ec2RoleProvider::builder()
            .environment(Environment::empty())
            .endpoint(imds.url())
            .build_blocking()
            .unwrap();
        provider.credentials_blocking().unwrap();
        provider
    };
    // The first provider brings the engine and the compiled component with it.
    let _first = provider();
    let before = resident();
    let providers: Vec<_> = (0..PROVIDERS).map(|_| provider()).collect();
    let each = (resident() - before) / PROVIDERS as f64;
    println!(
        "memory of a provider with credentials, average of {}: {each:.0} KiB",
        providers.len()
    );
}

/// The time from the start of the process to its end.
fn run(arguments: &[&str], cache: &Path) -> Duration {
    let start = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_ec2-role-credentials"))
        .args(arguments)
        .env_clear()
        .env("EC2_ROLE_CACHE", cache)
        .env_remove(if arguments.contains(&"--no-cache") {
            "EC2_ROLE_CACHE"
        } else {
            ""
        })
        .stdout(Stdio::null())
        .status()
        .unwrap();
    let elapsed = start.elapsed();
    assert!(status.success(), "{status}");
    elapsed
}

fn report(name: &str, run: impl Fn() -> Duration) {
    run();
    let mut times: Vec<_> = (0..RUNS).map(|_| run()).collect();
    times.sort_unstable();
    let [fastest, median, slowest] =
        [0, RUNS / 2, RUNS - 1].map(|at| times[at].as_secs_f64() * 1000.0);
    println!("{name:<48} {fastest:>6.1} ms {median:>6.1} ms {slowest:>6.1} ms");
}

/// The resident memory of this process in KiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.unwrap().parse().unwrap()
}
