//! `simulate`: simulates years of faults in seconds.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use imds_conformance::simulation::{
    Counts, Incident, LENGTH, Plan, Simulated, Violation, WORLDS_A_YEAR, run, shrink, simulate,
};

use crate::Outcome;
use crate::print::print;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  imds-conformance simulate --years 100
  imds-conformance simulate --years 1 --hosted
  imds-conformance simulate --seed 7 --world 12 --trace
  imds-conformance simulate --seed 7 --world 12 --only 3,17

A simulation runs the component's logic and the emulator's core in virtual time, without sockets. It consists of worlds of four weeks, 13 for each year. The same seed produces the same events in the same order. A violation is printed with a minimised list of incidents and the command that replays it.

Exit status: 0 if every invariant held, 1 otherwise, 2 if the arguments are invalid.")]
pub(crate) struct Arguments {
    /// Simulate NUM years
    #[arg(long, value_name = "NUM", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    years: u32,

    /// Seed everything random with NUM
    #[arg(long, value_name = "NUM", default_value_t = 1)]
    seed: u64,

    /// Run the component as WebAssembly in its host, instead of its logic alone
    #[arg(long)]
    hosted: bool,

    /// Run only world NUM
    #[arg(long, value_name = "NUM", conflicts_with = "years")]
    world: Option<u32>,

    /// Run only these incidents of the world, separated by commas; an empty list means none
    #[arg(long, requires = "world", value_delimiter = ',', value_name = "NUMBERS", num_args = 0..)]
    only: Option<Vec<usize>>,

    /// Print every event of the world
    #[arg(long, requires = "world")]
    trace: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Outcome {
        match self.world {
            Some(world) => self.replay(world),
            None => self.years(),
        }
    }

    fn years(self) -> Outcome {
        let worlds = self.years.saturating_mul(WORLDS_A_YEAR);
        let live = std::io::stderr().is_terminal();
        let done = AtomicU32::new(0);
        let began = Instant::now();
        let simulated = simulate(self.seed, worlds, self.hosted, |_| {
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if live {
                // An error of the progress display is ignored.
                let _ = write!(std::io::stderr(), "\r{done} of {worlds} worlds ");
            }
        });
        if live {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
        print(&summary(&simulated, began.elapsed())?)?;
        let Some((world, violation)) = simulated.failure else {
            return Ok(ExitCode::SUCCESS);
        };
        let plan = Plan::of(self.seed, world, self.hosted);
        print(&report(&plan, &violation, &shrink(&plan, &violation))?)?;
        Ok(ExitCode::FAILURE)
    }

    fn replay(self, world: u32) -> Outcome {
        let plan = Plan::of(self.seed, world, self.hosted);
        let given: Vec<Incident> = match &self.only {
            None => plan.incidents.clone(),
            Some(only) => {
                let numbers = plan.incidents.iter().map(|incident| incident.number);
                let last = numbers.max().unwrap_or_default();
                if let Some(unknown) = only.iter().find(|number| **number > last) {
                    bail!("invalid --only {unknown}: world {world} has the incidents 0 to {last}");
                }
                let given = plan.incidents.iter();
                given
                    .filter(|incident| only.contains(&incident.number))
                    .cloned()
                    .collect()
            }
        };
        let mut trace = Vec::new();
        let outcome = run(&plan, &given, self.trace.then_some(&mut trace));
        let mut lines = trace.join("\n");
        if !lines.is_empty() {
            lines.push('\n');
        }
        write_counts(&mut lines, &outcome.counts)?;
        writeln!(lines, "digest of all events: {:016x}", outcome.digest)?;
        print(&lines)?;
        let Some(violation) = outcome.violation else {
            return Ok(ExitCode::SUCCESS);
        };
        let needed = match self.only {
            Some(_) => given,
            None => shrink(&plan, &violation),
        };
        print(&report(&plan, &violation, &needed)?)?;
        Ok(ExitCode::FAILURE)
    }
}

fn summary(simulated: &Simulated, took: Duration) -> Result<String, std::fmt::Error> {
    let years = f64::from(simulated.worlds) * LENGTH.as_secs_f64() / (365.25 * 86_400.0);
    let mut text = String::new();
    writeln!(
        text,
        "{:>12}  worlds of four weeks, {years:.1} years",
        simulated.worlds
    )?;
    write_counts(&mut text, &simulated.counts)?;
    let seconds = took.as_secs_f64();
    writeln!(
        text,
        "{seconds:>12.1}  seconds, {:.1} simulated years per second",
        years / seconds
    )?;
    Ok(text)
}

fn write_counts(text: &mut String, counts: &Counts) -> std::fmt::Result {
    for (count, what) in [
        (counts.events, "events"),
        (counts.incidents, "incidents"),
        (counts.faults, "requests affected by a fault"),
        (counts.requests, "requests"),
        (counts.calls, "calls for credentials"),
        (counts.refreshes, "refreshes"),
        (counts.errors, "errors"),
    ] {
        writeln!(text, "{count:>12}  {what}")?;
    }
    Ok(())
}

fn report(
    plan: &Plan,
    violation: &Violation,
    needed: &[Incident],
) -> Result<String, std::fmt::Error> {
    let Plan { seed, world, .. } = plan;
    let hosted = if plan.hosted { " --hosted" } else { "" };
    let mut text = String::new();
    writeln!(text, "\n{violation}\n")?;
    writeln!(text, "These incidents reproduce it:")?;
    for incident in needed {
        writeln!(text, "  {incident}")?;
    }
    let numbers: Vec<String> = needed
        .iter()
        .map(|incident| incident.number.to_string())
        .collect();
    let numbers = numbers.join(",");
    writeln!(text, "\nReplay it with:")?;
    writeln!(
        text,
        "  cargo run --release -p imds-conformance -- simulate{hosted} --seed {seed} --world {world} --only {numbers} --trace"
    )?;
    Ok(text)
}
