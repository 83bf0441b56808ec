//! The command `ec2-role-credentials`.
//!
//! Nothing but the result goes to standard output; errors go to standard error, one line, with a
//! second one where a remedy is known.

#![forbid(unsafe_code)]

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

mod doctor;
mod exec;
mod format;
mod get;
mod inspect;
mod metadata;
mod serve;
mod source;
mod watch;

/// AWS credentials from the EC2 Instance Metadata Service (IMDS), through a sandboxed WASI
/// component.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the credentials of the instance's role; secrets are hidden unless asked for.
    Get(get::Arguments),
    /// Print the credentials as `credential_process` of the AWS SDKs wants them.
    Process(get::ProcessArguments),
    /// Run a command with the credentials in its environment.
    Exec(exec::Arguments),
    /// Hand the credentials to AWS SDKs, as the credentials endpoint of a container.
    Serve(serve::Arguments),
    /// Print what is at a path of the metadata tree.
    Metadata(metadata::Arguments),
    /// Show what the provider holds and does, live.
    Watch(watch::Arguments),
    /// Find out why it does not work.
    Doctor(doctor::Arguments),
    /// Print what the component imports and exports, its size and its hash.
    Inspect(inspect::Arguments),
    /// Print a completion script for a shell.
    #[command(after_help = "\
Example, in ~/.bashrc:
  source <(ec2-role-credentials completions bash)")]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

const AFTER_HELP: &str = "\
Examples:
  ec2-role-credentials get
  ec2-role-credentials get --emulator
  eval \"$(ec2-role-credentials get --format env)\"
  ec2-role-credentials exec -- aws sts get-caller-identity
  ec2-role-credentials serve -- ./a-program-with-any-aws-sdk
  ec2-role-credentials metadata placement/region
  ec2-role-credentials doctor
  source <(ec2-role-credentials completions bash)

In ~/.aws/config, for all SDKs:
  [profile instance]
  credential_process = ec2-role-credentials process --keep

Settings come from the arguments, then from the environment (AWS_EC2_METADATA_SERVICE_ENDPOINT
and the others of the AWS SDKs), then from the profile. EC2_ROLE_LOG=debug logs to standard error.

Exit status: 0 success, 1 no result, 2 wrong arguments or settings; of `exec` and `serve` with a
command: that of the command, 126 if it cannot be run, 127 if there is none.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Get(arguments) => arguments.run().await,
        Command::Process(arguments) => arguments.run().await,
        Command::Exec(arguments) => arguments.run().await,
        Command::Serve(arguments) => arguments.run().await,
        Command::Metadata(arguments) => arguments.run().await,
        Command::Watch(arguments) => arguments.run().await,
        Command::Doctor(arguments) => arguments.run().await,
        Command::Inspect(arguments) => arguments.run(),
        Command::Completions { shell } => completions(shell),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            exit_code(&error)
        }
    }
}

/// What a command gives: its exit status, after it has printed its result.
type Outcome = anyhow::Result<ExitCode>;

fn completions(shell: clap_complete::Shell) -> Outcome {
    let mut script = Vec::new();
    let mut command = Arguments::command();
    clap_complete::generate(shell, &mut command, "ec2-role-credentials", &mut script);
    print(&script)
}

/// Prints a result.
fn print(output: &[u8]) -> Outcome {
    let mut out = io::stdout().lock();
    match out.write_all(output).and_then(|()| out.flush()) {
        // Whoever read this has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(ExitCode::SUCCESS),
    }
}

/// Wrong arguments that only show when they are used.
#[derive(Debug)]
struct Usage(String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

fn exit_code(error: &anyhow::Error) -> ExitCode {
    if let Some(error) = error.downcast_ref::<imds_child_process::Error>() {
        return error.exit_code();
    }
    let settings = error
        .downcast_ref::<ec2_role_host::Error>()
        .is_some_and(ec2_role_host::Error::is_invalid_configuration);
    match settings || error.is::<Usage>() {
        true => ExitCode::from(2),
        false => ExitCode::FAILURE,
    }
}

fn complain(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
    if let Some(remedy) = error
        .downcast_ref::<ec2_role_host::Error>()
        .and_then(ec2_role_host::Error::remedy)
    {
        eprintln!("remedy: {remedy}");
    }
}
