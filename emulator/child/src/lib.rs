//! Runs a command as a child process, as `env` and shells do.
//!
//! `imds-emulator run` and `ec2-role-credentials serve` run a command and do their own work beside
//! it. Both behave alike:
//!
//! * A SIGTERM is forwarded to the command, which decides how to end. A SIGINT from a terminal
//!   reaches the command directly, so it is not forwarded.
//! * The command's exit status becomes the exit status of the program. A command that was killed by
//!   signal N counts as 128 + N.
//! * Windows has no SIGTERM. There, Ctrl-C reaches the command directly.
//! * The exit status is 127 if the command was not found, and 126 if it could not be run.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use std::process::{Command, ExitCode};
//!
//! let mut signals = imds_child_process::Signals::new()?;
//! let command = Command::new("true");
//! # #[cfg(unix)]
//! let exit = match imds_child_process::run(command, &mut signals).await {
//!     Ok(exit) => exit,
//!     Err(error) => {
//!         eprintln!("error: {error}");
//!         error.exit_code()
//!     }
//! };
//! # Ok::<(), std::io::Error>(())
//! # }).unwrap();
//! ```

#![forbid(unsafe_code)]

use std::error::Error as StdError;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::process::{Command, ExitCode, ExitStatus};

use tokio::process::Child;

/// Runs `command` as a child process and waits until it ends. Returns its exit status.
///
/// The child is killed if the future is dropped.
///
/// # Errors
///
/// If the command cannot be run.
pub async fn run(command: Command, signals: &mut Signals) -> Result<ExitCode, Error> {
    let mut command = tokio::process::Command::from(command);
    let program = command.as_std().get_program().to_owned();
    let failed = |source| Error::new(&program, source);
    let mut child = command.kill_on_drop(true).spawn().map_err(failed)?;
    loop {
        tokio::select! {
            status = child.wait() => return Ok(exit_code(status.map_err(failed)?)),
            signal = signals.next() => if signal == Signal::Terminate {
                terminate(&child);
            },
        }
    }
}

/// The signals that ask a program to stop. They are caught from the moment this is created.
#[derive(Debug)]
pub struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    /// Begins to catch signals.
    ///
    /// # Errors
    ///
    /// If the handlers cannot be installed.
    #[cfg(unix)]
    pub fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Begins to catch signals.
    ///
    /// # Errors
    ///
    /// None on this platform.
    #[cfg(not(unix))]
    pub fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) -> Signal {
        #[cfg(unix)]
        return tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        };
        #[cfg(not(unix))]
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal::Interrupt,
            // Without a handler the system ends the process by itself.
            Err(_) => std::future::pending().await,
        }
    }
}

/// A signal that asks a program to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signal {
    /// SIGINT or Ctrl-C. A terminal sends it to every process in the foreground.
    Interrupt,
    /// SIGTERM, which is sent to one process.
    Terminate,
}

/// A command could not be run.
#[derive(Debug)]
pub struct Error {
    program: OsString,
    source: io::Error,
}

impl Error {
    /// The error for a program that could not be run for the reason `source`.
    pub fn new(program: &OsStr, source: io::Error) -> Self {
        Self {
            program: program.to_owned(),
            source,
        }
    }

    /// The exit status that `env` and shells have for it: 127 if the command was not found, 126
    /// otherwise.
    pub fn exit_code(&self) -> ExitCode {
        match self.source.kind() {
            io::ErrorKind::NotFound => ExitCode::from(127),
            _ => ExitCode::from(126),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot run {}", self.program.display())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.source)
    }
}

#[cfg(unix)]
fn terminate(child: &Child) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
        // The child may have ended already.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

/// Nothing sends [`Signal::Terminate`] here.
#[cfg(not(unix))]
fn terminate(_: &Child) {}

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
