//! The command `ec2-role-credentials`.
//!
//! Nothing but the result goes to standard output; errors go to standard error, one line, with a
//! second one where a remedy is known.

#![forbid(unsafe_code)]

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod get;
mod inspect;
mod source;

/// AWS credentials from the EC2 Instance Metadata Service (IMDS), through a sandboxed WASI
/// component.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the credentials of the instance's role; secrets are hidden unless asked for.
    Get(get::Arguments),
    /// Print what the component imports and exports, its size and its hash.
    Inspect(inspect::Arguments),
}

const AFTER_HELP: &str = "\
Examples:
  ec2-role-credentials get
  ec2-role-credentials get --emulator
  ec2-role-credentials get --endpoint http://127.0.0.1:1338 --show-secrets
  ec2-role-credentials inspect

Exit status: 0 on success, 1 when there is no result, 2 for wrong arguments.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Get(arguments) => get::run(arguments).await,
        Command::Inspect(arguments) => inspect::run(&arguments),
    };
    match outcome.and_then(|output| print(&output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&*error);
            ExitCode::FAILURE
        }
    }
}

fn print(output: &str) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    match out.write_all(output.as_bytes()).and_then(|()| out.flush()) {
        // Whoever read this has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => Ok(outcome?),
    }
}

fn complain(error: &(dyn Error + 'static)) {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    eprintln!("error: {line}");
    if let Some(remedy) = error
        .downcast_ref::<ec2_role_host::Error>()
        .and_then(ec2_role_host::Error::remedy)
    {
        eprintln!("remedy: {remedy}");
    }
}
