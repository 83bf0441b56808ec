//! The command `imds-conformance`.

#![forbid(unsafe_code)]

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

mod print;
#[cfg(target_os = "linux")]
mod programs;
mod reports;
mod run;
mod scenarios;
mod server;
mod simulate;
mod soak;

/// Test IMDS clients and IMDS servers, and show what they do.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run clients through the scenarios.
    Run(run::Arguments),
    /// Check an IMDS server against the rules of IMDS.
    Server(server::Arguments),
    /// Simulate years of faults for the component.
    Simulate(simulate::Arguments),
    /// Load-test many clients on real sockets, and check for leaks and hangs.
    Soak(soak::Arguments),
    /// Measure what real programs do with IMDS.
    #[cfg(target_os = "linux")]
    Programs(programs::Arguments),
    /// List the scenarios.
    List(scenarios::List),
    /// Describe a scenario.
    Explain(scenarios::Explain),
    /// Write a new scenario from a template.
    New(scenarios::New),
    /// Print a completion script for a shell.
    #[command(after_help = "\
Example, in ~/.bashrc:
  source <(imds-conformance completions bash)")]
    Completions {
        /// The shell to complete commands in.
        shell: imds_manual::Shell,
    },
    /// Write the manual into a folder, a page for each subcommand.
    #[command(after_help = "\
Example:
  imds-conformance man ~/.local/share/man/man1")]
    Man {
        /// The folder, which is created if it does not exist.
        folder: PathBuf,
    },
}

const AFTER_HELP: &str = "\
Examples:
  imds-conformance run
  imds-conformance run --client 'python client.py' --report html=report.html
  imds-conformance run --client mine='python client.py' --client component --baseline report.json
  imds-conformance explain token/replaced-after-401
  imds-conformance new scenarios/my-own.toml
  imds-conformance server --endpoint http://localhost:1338
  imds-conformance simulate --years 10

Exit status: 0 on success, 1 if a `must` scenario, a `must` check or an invariant failed, 2 if the arguments or the scenarios are invalid.";

type Outcome = anyhow::Result<ExitCode>;

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Run(arguments) => arguments.run(),
        Command::Server(arguments) => arguments.run(),
        Command::Simulate(arguments) => arguments.run(),
        Command::Soak(arguments) => arguments.run(),
        #[cfg(target_os = "linux")]
        Command::Programs(arguments) => arguments.run(),
        Command::List(arguments) => arguments.run(),
        Command::Explain(arguments) => arguments.run(),
        Command::New(arguments) => arguments.run(),
        Command::Completions { shell } => {
            done(imds_manual::completions(shell, Arguments::command()))
        }
        Command::Man { folder } => done(imds_manual::write(Arguments::command(), &folder)),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn done(outcome: io::Result<()>) -> Outcome {
    outcome?;
    Ok(ExitCode::SUCCESS)
}
