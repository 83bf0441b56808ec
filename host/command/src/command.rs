//! Commands that are run with credentials, or beside their source.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::process::{ExitCode, ExitStatus};

use crate::stop::{Signal, Stop};

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
    loop {
        tokio::select! {
            status = child.wait() => return Ok(exit_code(status?)),
            // When to stop is for the command to say. A terminal interrupts it as well; a SIGTERM came to us
            // alone.
            signal = stop.signal() => if signal == Signal::Terminate {
                terminate(&child);
            },
        }
    }
}

#[cfg(unix)]
fn terminate(child: &tokio::process::Child) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
        // It may be gone already.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

#[cfg(not(unix))]
fn terminate(_: &tokio::process::Child) {}

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
