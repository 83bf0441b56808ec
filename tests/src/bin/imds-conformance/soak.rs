//! `soak`: many clients on real sockets, for a while.

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

Clients, each the component in its host, ask an emulator on the loopback interface, which has faults and is
restarted at random. It is looked at whether anything leaks (file descriptors, memory, tasks, threads), whether
anything hangs, and whether every caller gets credentials or an error that says what it is.

Exit status: 0 all is as it must be, 1 it is not, 2 wrong arguments.")]
pub(crate) struct Arguments {
    /// How long
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,

    /// How many clients
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    clients: u64,

    /// What everything that looks random follows from
    #[arg(long, default_value_t = 1)]
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
            "{:>10}  calls that gave credentials",
            soaked.credentials
        )?;
        for (kind, count) in &soaked.errors {
            writeln!(text, "{count:>10}  errors of the kind {kind}")?;
        }
        writeln!(text, "{:>10}  faults", soaked.faults)?;
        writeln!(text, "{:>10}  restarts of the emulator", soaked.restarts)?;
        let (early, late) = soaked.samples;
        for (what, early, late) in [
            ("file descriptors", early.descriptors, late.descriptors),
            ("tasks", early.tasks, late.tasks),
            ("threads", early.threads, late.threads),
        ] {
            writeln!(text, "{late:>10}  {what}, early {early}")?;
        }
        writeln!(
            text,
            "{:>10}  MiB of memory, early {}",
            late.memory >> 20,
            early.memory >> 20
        )?;
        for wrong in &soaked.wrong {
            writeln!(text, "wrong: {wrong}")?;
        }
        print(&text)?;
        Ok(match soaked.wrong.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }
}
