//! How long the simulation and the suite take, next to another build of the command.
//!
//! `cargo bench -p imds-conformance --bench speed -- [--against COMMAND]` runs both builds in turn and prints
//! a table with the fastest run of each: other work on the machine only ever adds time.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark stops at what it did not expect"
)]

use std::process::Command;
use std::time::{Duration, Instant};

const COMMAND: &str = env!("CARGO_BIN_EXE_imds-conformance");

/// How often each build runs.
const RUNS: usize = 5;

const YEARS: u32 = 4;

/// What is measured.
struct Row {
    name: &'static str,
    arguments: &'static [&'static str],
    /// What a run yields from its duration in seconds, with its unit.
    value: fn(f64) -> f64,
    unit: &'static str,
    /// The ratio of the value to that of the other build that is wanted.
    target: &'static str,
}

const ROWS: [Row; 2] = [
    Row {
        name: "simulation on all processors",
        arguments: &["simulate", "--years", "4", "--seed", "7"],
        value: |seconds| f64::from(YEARS) / seconds,
        unit: "years per second",
        target: "at least 4.00",
    },
    Row {
        name: "all scenarios with the component",
        arguments: &["run"],
        value: |seconds| seconds,
        unit: "seconds",
        target: "at most 0.50",
    },
];

fn main() {
    let against = against();
    println!(
        "the fastest of {RUNS} runs                  {:>8} {:>8} {:>8}  target",
        "old", "new", "ratio"
    );
    for row in &ROWS {
        let (mut old, mut new) = (Duration::MAX, Duration::MAX);
        let (mut old_events, mut new_events) = (None, None);
        for _ in 0..RUNS {
            if let Some(command) = &against {
                let (took, events) = run(command, row.arguments);
                old = old.min(took);
                old_events = events;
            }
            let (took, events) = run(COMMAND, row.arguments);
            new = new.min(took);
            new_events = events;
        }
        let new = (row.value)(new.as_secs_f64());
        let name = format!("{}, {}", row.name, row.unit);
        match &against {
            Some(_) => {
                let old = (row.value)(old.as_secs_f64());
                println!(
                    "{name:<44} {old:>8.2} {new:>8.2} {:>8.2}  {}",
                    new / old,
                    row.target
                );
            }
            None => println!(
                "{name:<44} {:>8} {new:>8.2} {:>8}  {}",
                "-", "-", row.target
            ),
        }
        if let (Some(old), Some(new)) = (old_events, new_events) {
            let same = if old == new { "the same" } else { "other" };
            println!("    {new} events, {same} in both builds");
        }
    }
}

/// The command of the other build, if one is named.
fn against() -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--against");
    arguments.next()?;
    let command = arguments.next();
    assert!(command.is_some(), "--against needs the path of a command");
    command
}

/// How long a run took, and the number of events that it reports, if it reports one.
fn run(command: &str, arguments: &[&str]) -> (Duration, Option<u64>) {
    let start = Instant::now();
    let output = Command::new(command).args(arguments).output().unwrap();
    let took = start.elapsed();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{command}: {text}");
    let events = text
        .lines()
        .find_map(|line| line.trim().strip_suffix("  events")?.parse().ok());
    (took, events)
}
