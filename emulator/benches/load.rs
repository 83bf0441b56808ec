//! How many requests the command answers in a second, how soon, and in how much memory.
//!
//! `cargo bench -p imds-emulator` prints a table: keep-alive and closing connections, 2 and 64 of
//! them, each for five seconds, with all responses checked; then what a hundred rules cost, and a
//! journal of another length. The load comes from one thread of this
//! process, so that with two processors the emulator has one to itself.
//!
//! `cargo bench -p imds-emulator -- instructions [COMMAND]...` counts the processor instructions of a
//! request with callgrind, which the load of the machine does not affect. Other builds of the command
//! can be given for comparison.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a benchmark stops at what it did not expect"
)]

#[path = "../tests/load/client.rs"]
mod client;

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use client::Client;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const COMMAND: &str = env!("CARGO_BIN_EXE_imds-emulator");
const TIME: Duration = Duration::from_secs(5);
const PATH: &str = "/latest/meta-data/iam/security-credentials/emulated-role";

struct Running(Child, SocketAddr);

impl Running {
    fn start(keep_alive: bool, more: &[&str]) -> Self {
        Self::spawn(Command::new(COMMAND).args(more), keep_alive)
    }

    fn spawn(command: &mut Command, keep_alive: bool) -> Self {
        let mut child = command
            .args(["--port", "0", "--set"])
            .arg(format!("server.keep-alive={keep_alive}"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        let url = ready["metadata"].as_str().unwrap();
        Self(child, url.strip_prefix("http://").unwrap().parse().unwrap())
    }

    /// Its resident memory at most so far, where the system tells.
    fn memory(&self) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()));
        status
            .unwrap_or_default()
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .map_or("unknown".to_owned(), |memory| memory.trim().to_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How long each response took, in microseconds.
async fn load(address: SocketAddr, connections: usize, time: Duration) -> Vec<u32> {
    let token = Client::new(address).token().await.unwrap();
    let request = Client::get(PATH, &token);
    let document = Client::new(address)
        .ask(&request)
        .await
        .unwrap()
        .body
        .to_owned();
    let end = Instant::now() + time;
    let mut running = JoinSet::new();
    for _ in 0..connections {
        let (request, document) = (request.clone(), document.clone());
        running.spawn(async move {
            let mut client = Client::new(address);
            let mut times = Vec::new();
            loop {
                let began = Instant::now();
                if began >= end {
                    return times;
                }
                let response = client.ask(&request).await.unwrap();
                assert_eq!(response.body, document, "{}", response.head);
                times.push(u32::try_from(began.elapsed().as_micros()).unwrap());
            }
        });
    }
    running.join_all().await.concat()
}

/// The number of instructions of the emulator that callgrind counts, from its start until it has
/// answered this number of requests.
fn counted(runtime: &Runtime, command: &str, keep_alive: bool, requests: u64) -> u64 {
    let mut callgrind = Command::new("valgrind");
    callgrind
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            command,
        ])
        .args(["--no-admin", "--seed", "benchmark"])
        .stderr(Stdio::piped());
    let mut emulator = Running::spawn(&mut callgrind, keep_alive);
    runtime.block_on(async {
        let mut client = Client::new(emulator.1);
        let token = client.token().await.unwrap();
        let request = Client::get(PATH, &token);
        for _ in 0..requests {
            let response = client.ask(&request).await.unwrap();
            assert!(response.body.contains("Success"), "{}", response.head);
        }
    });
    let id = emulator.0.id().to_string();
    Command::new("kill").args(["-TERM", &id]).status().unwrap();
    let mut report = String::new();
    let stderr = emulator.0.stderr.as_mut().unwrap();
    stderr.read_to_string(&mut report).unwrap();
    let (_, count) = report.split_once("Collected : ").unwrap();
    count.lines().next().unwrap().trim().parse().unwrap()
}

/// Prints the instructions of a request, for each build of the command. They are the difference
/// between a long load and a short one, without what the start costs.
fn instructions(runtime: &Runtime, commands: &[String]) {
    const SHORT: u64 = 1_000;
    const LONG: u64 = 5_000;
    println!("instructions of a request        kept   closed each");
    for command in commands {
        let [kept, closed] = [true, false].map(|keep_alive| {
            let count = |requests| counted(runtime, command, keep_alive, requests);
            (count(LONG) - count(SHORT)) / (LONG - SHORT)
        });
        let name = Path::new(command).file_name().unwrap().display();
        println!("{name:<24} {kept:>12} {closed:>13}");
    }
}

fn main() {
    // `cargo test` runs benchmarks as well, and has no use for this one.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, others @ .., _bench] = arguments.as_slice()
        && mode == "instructions"
    {
        return instructions(&runtime, &[&[COMMAND.to_owned()], others].concat());
    }
    println!("connections        requests/s   50 % (µs)   99 % (µs)   memory at most");
    for keep_alive in [true, false] {
        for connections in [2, 64] {
            let emulator = Running::start(keep_alive, &[]);
            let mut times = runtime.block_on(load(emulator.1, connections, TIME));
            times.sort_unstable();
            let [half, most] = [50, 99].map(|percent| times[times.len() * percent / 100]);
            println!(
                "{connections:>3} {kept:<12} {rate:>12} {half:>11} {most:>11}   {memory}",
                kept = if keep_alive { "kept" } else { "closed each" },
                rate = times.len() as u64 / TIME.as_secs(),
                memory = emulator.memory(),
            );
        }
    }

    println!();
    println!("64 kept connections     requests/s, in turns     of those without");
    let rules = hundred_rules();
    let (mut without, mut with, mut short) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let rate = |more: &[&str]| {
            let emulator = Running::start(true, more);
            let responses = runtime.block_on(load(emulator.1, 64, ROUND)).len() as f64;
            responses / ROUND.as_secs_f64()
        };
        without.push(rate(&[]));
        with.push(rate(&["--config", &rules]));
        short.push(rate(&["--set", "journal.capacity=16"]));
    }
    let middle = |rates: &mut Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let base = middle(&mut without);
    for (name, mut rates) in [
        ("no rules", without),
        ("one hundred rules", with),
        ("a journal of 16", short),
    ] {
        let middle = middle(&mut rates);
        println!(
            "{name:<20} {middle:>14.0} {:>23.0} %",
            100.0 * middle / base
        );
    }
}

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);

/// A file with rules that are looked at for each request: for other paths, methods and clients.
fn hundred_rules() -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hundred-rules.toml");
    let rules: String = (0..100)
        .map(|number| {
            let matches = match number % 4 {
                0 => format!("path = \"/latest/meta-data/iam/security-credentials/role-{number}\""),
                1 => format!("path = \"/latest/meta-data/**/{number}/*\""),
                2 => "client = \"10.0.0.0/8\"".to_owned(),
                _ => format!("method = \"PUT\", user-agent = \"agent-{number}/*\""),
            };
            format!(
                "[[faults]]\nname = \"rule {number}\"\nmatch = {{ {matches} }}\nfault = {{ type = \"blackhole\" }}\n"
            )
        })
        .collect();
    std::fs::write(&path, rules).unwrap();
    path.to_str().unwrap().to_owned()
}
