//! The command `ec2-role-credentials`.
//!
//! Standard output contains the result and nothing else. An error is one line on standard error,
//! followed by a line with the remedy if one is known.

#![forbid(unsafe_code)]

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

mod container;
mod doctor;
mod exec;
mod format;
mod get;
mod inspect;
mod metadata;
mod precedence;
mod serve;
mod source;
mod watch;

/// Get AWS credentials from the EC2 Instance Metadata Service (IMDS), through a sandboxed WASI
/// component, and hand them to shells, commands and AWS SDKs.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the credentials of the instance's role.
    Get(get::Arguments),
    /// Print the credentials as JSON, for `credential_process` in ~/.aws/config.
    Process(get::ProcessArguments),
    /// Run a command with the credentials in its environment.
    Exec(exec::Arguments),
    /// Serve the credentials to AWS SDKs over HTTP, and refresh them.
    Serve(serve::Arguments),
    /// Print the content of a path of the metadata tree.
    Metadata(metadata::Arguments),
    /// Show the state of the credentials, and update it when it changes.
    Watch(watch::Arguments),
    /// Find out why no credentials can be obtained, step by step.
    Doctor(doctor::Arguments),
    /// Print the component's imports, exports, size and SHA-256.
    Inspect(inspect::Arguments),
    /// Print a completion script for a shell.
    #[command(after_help = "\
Example, in ~/.bashrc:
  source <(ec2-role-credentials completions bash)")]
    Completions {
        /// The shell to complete commands in.
        shell: imds_manual::Shell,
    },
    /// Write the manual into a folder, a page for each subcommand.
    #[command(after_help = "\
Example:
  ec2-role-credentials man ~/.local/share/man/man1")]
    Man {
        /// The folder, which is created if it does not exist.
        folder: PathBuf,
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

Any AWS SDK uses it with this profile in ~/.aws/config:
  [profile instance]
  credential_process = ec2-role-credentials process --keep

Arguments take precedence over environment variables, and these over the profile. The variables are \
those of the AWS SDKs, AWS_EC2_METADATA_SERVICE_ENDPOINT for example. EC2_ROLE_LOG=debug logs to \
standard error.

Exit status: 0 if the command succeeded, 1 if it failed, 2 if an argument or a setting is invalid. \
`exec` and `serve -- COMMAND` exit with the status of COMMAND, 127 if COMMAND is not found, and 126 \
if it cannot be run.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    imds_child_process::start();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return misused(&error),
    };
    let outcome = match arguments.command {
        Command::Get(arguments) => arguments.run().await,
        Command::Process(arguments) => arguments.run().await,
        Command::Exec(arguments) => arguments.run().await,
        Command::Serve(arguments) => arguments.run().await,
        Command::Metadata(arguments) => arguments.run().await,
        Command::Watch(arguments) => arguments.run().await,
        Command::Doctor(arguments) => arguments.run().await,
        Command::Inspect(arguments) => arguments.run(),
        Command::Completions { shell } => {
            done(imds_manual::completions(shell, Arguments::command()))
        }
        Command::Man { folder } => done(imds_manual::write(Arguments::command(), &folder)),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            exit_code(&error)
        }
    }
}

/// The exit status of a subcommand, which has printed its result.
type Outcome = anyhow::Result<ExitCode>;

fn done(outcome: io::Result<()>) -> Outcome {
    outcome?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a result.
fn print(output: &[u8]) -> Outcome {
    let mut out = io::stdout().lock();
    match out.write_all(output).and_then(|()| out.flush()) {
        // The reader has closed the pipe.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(ExitCode::SUCCESS),
    }
}

/// An invalid argument that is found after parsing.
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

/// Prints the help, the version, or what is wrong with the arguments.
fn misused(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        error.exit();
    }
    let text = match io::stderr().is_terminal() {
        true => error.render().ansi().to_string(),
        false => error.render().to_string(),
    };
    eprint!("{}", imds_child_process::without_passwords(&text));
    ExitCode::from(2)
}

/// A message without commands to a terminal. They may be in a name of a file or of an import.
fn without_commands(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\t' => shown.push(letter),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                shown.extend(letter.escape_unicode())
            }
            _ if letter.is_control() => shown.extend(letter.escape_unicode()),
            _ => shown.push(letter),
        }
    }
    shown
}

/// The library's names of settings that are arguments here, and the arguments.
const ARGUMENTS: [(&str, &str); 3] = [
    ("option attempts is", "--attempts is"),
    ("option role-name is", "--role-name is"),
    ("the program names the profile", "--profile is"),
];

fn complain(error: &anyhow::Error) {
    let mut text = format!("{error:#}");
    for (setting, argument) in ARGUMENTS {
        if let Some(rest) = text.strip_prefix(setting) {
            text = format!("{argument}{rest}");
        }
    }
    let text = imds_child_process::without_passwords(&text);
    eprintln!("error: {}", without_commands(&text));
    if let Some(remedy) = error
        .downcast_ref::<ec2_role_host::Error>()
        .and_then(ec2_role_host::Error::remedy)
    {
        eprintln!("remedy: {remedy}");
    }
}
