//! `soak`: a load test of many clients on real sockets.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use imds_conformance::soak::soak;

use crate::Outcome;
use crate::print::print;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  imds-conformance soak
  imds-conformance soak --minutes 1 --clients 20 --seed 7

Each client is the component in its host. The emulator listens on the loopback interface, has random faults and restarts at random. The test checks that nothing leaks (file descriptors, memory, tasks, threads), that no call hangs, and that every caller gets credentials or an error with a kind.

Exit status: 0 if every check passed, 1 otherwise, 2 if the arguments are invalid.")]
pub(crate) struct Arguments {
    /// Run for NUM minutes
    #[arg(long, value_name = "NUM", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,

    /// Run NUM clients
    #[arg(long, value_name = "NUM", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    clients: u64,

    /// Seed everything random with NUM
    #[arg(long, value_name = "NUM", default_value_t = 1)]
    seed: u64,
}

impl Arguments {
    pub(crate) fn run(self) -> Outcome {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let time = Duration::from_secs(60 * self.minutes);
        let clients = usize::try_from(self.clients)?;
        let soaked = runtime.block_on(soak(self.seed, clients, time))?;
        let mut text = String::new();
        writeln!(
            text,
            "{:>10}  calls that returned credentials",
            soaked.credentials
        )?;
        for (kind, count) in &soaked.errors {
            writeln!(text, "{count:>10}  errors of kind {kind}")?;
        }
        writeln!(text, "{:>10}  faults", soaked.faults)?;
        writeln!(text, "{:>10}  restarts of the emulator", soaked.restarts)?;
        let (early, late) = soaked.samples;
        for (what, early, late) in [
            ("file descriptors", early.descriptors, late.descriptors),
            ("tasks", early.tasks, late.tasks),
            ("threads", early.threads, late.threads),
        ] {
            writeln!(text, "{late:>10}  {what} ({early} after the warm-up)")?;
        }
        writeln!(
            text,
            "{:>10}  MiB of memory ({} after the warm-up)",
            late.memory >> 20,
            early.memory >> 20
        )?;
        for wrong in &soaked.wrong {
            writeln!(text, "failed: {wrong}")?;
        }
        print(&text)?;
        Ok(match soaked.wrong.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }
}
