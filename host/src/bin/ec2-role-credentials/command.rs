//! Commands that are run with credentials, or beside their source.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::process::{ExitCode, ExitStatus};

use crate::stop::Stop;

/// A command that cannot be run.
#[derive(Debug)]
pub(crate) struct CannotRun {
    program: OsString,
    error: io::Error,
}

impl CannotRun {
    pub(crate) fn new(program: &OsString, error: io::Error) -> Self {
        Self {
            program: program.clone(),
            error,
        }
    }

    /// As `env` and shells have it.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self.error.kind() {
            io::ErrorKind::NotFound => ExitCode::from(127),
            _ => ExitCode::from(126),
        }
    }
}

impl fmt::Display for CannotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot run {}", self.program.display())
    }
}

impl Error for CannotRun {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

/// Runs a command as our child, with some variables of ours set and others hidden, and waits for it.
/// Its exit status is ours.
pub(crate) async fn run(
    program: &OsString,
    arguments: &[OsString],
    hidden: &[&str],
    variables: Vec<(&'static str, String)>,
    stop: &mut Stop,
) -> crate::Outcome {
    let mut command = tokio::process::Command::new(program);
    for name in hidden {
        command.env_remove(name);
    }
    command.args(arguments).envs(variables).kill_on_drop(true);
    let mut child = command
        .spawn()
        .map_err(|error| CannotRun::new(program, error))?;
    let status = tokio::select! {
        status = child.wait() => status?,
        // A terminal interrupts the command as well; a SIGTERM is for us alone.
        () = stop.asked_for() => {
            let grace = std::time::Duration::from_secs(2);
            match tokio::time::timeout(grace, child.wait()).await {
                Ok(status) => status?,
                Err(_) => {
                    child.kill().await?;
                    child.wait().await?
                }
            }
        }
    };
    Ok(exit_code(status))
}

/// As shells do for a command that was ended by a signal.
fn exit_code(status: ExitStatus) -> ExitCode {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal: Option<i32> = None;
    let code = status
        .code()
        .or_else(|| signal.map(|signal| 128 + signal))
        .and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}
