//! Runs a command as a child process, as `env` and shells do.
//!
//! `imds-emulator run` and `ec2-role-credentials serve` run a command and do their own work beside
//! it. Both behave alike:
//!
//! * Signals are forwarded to the command, which decides what they mean: SIGHUP, SIGINT, SIGQUIT,
//!   SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGCONT, SIGTSTP and SIGWINCH. What the keyboard or the window
//!   of a terminal causes (Ctrl-C, for example) reaches the command directly, so it is not forwarded.
//!   After a SIGTSTP the program stops as well, until a SIGCONT.
//! * A signal that the program ignores from its start, as under `nohup`, is ignored by the command too.
//! * The command does not outlive the program. On Linux this is so even if the program is killed,
//!   provided that [`start`] is the first call in `main`.
//! * As the init process of a container (PID 1), the program reaps the zombies of all processes.
//! * The command's exit status becomes the exit status of the program. A command that was killed by
//!   signal N counts as 128 + N.
//! * The exit status is 127 if the command was not found, and 126 if it could not be run.
//! * Windows has no signals. There, Ctrl-C reaches the command directly.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use std::process::{Command, ExitCode};
//!
//! imds_child_process::start();
//! let mut signals = imds_child_process::Signals::new()?;
//! # #[cfg(unix)]
//! let exit = match imds_child_process::run(Command::new("true"), &mut signals).await {
//!     Ok(exit) => exit,
//!     Err(error) => {
//!         eprintln!("error: {error}");
//!         error.exit_code()
//!     }
//! };
//! # #[cfg(unix)]
//! # assert_eq!(exit, ExitCode::SUCCESS);
//! # Ok::<(), std::io::Error>(())
//! # }).unwrap();
//! ```

#![forbid(unsafe_code)]

use std::error::Error as StdError;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::process::{Command, ExitCode};

#[cfg(not(unix))]
use self::elsewhere as system;
#[cfg(unix)]
use self::unix as system;

pub use self::message::without_passwords;

#[cfg(not(unix))]
mod elsewhere;
mod message;
#[cfg(target_os = "linux")]
mod starter;
#[cfg(unix)]
mod unix;

/// Makes commands end with this process, however it ends. Call it first in `main`: [`run`] starts this
/// program once more, and this function replaces that process by the command.
///
/// It has no effect on systems other than Linux.
pub fn start() {
    #[cfg(target_os = "linux")]
    starter::start();
}

/// Runs `command` as a child process and waits until it ends. Returns its exit status.
///
/// The child is killed if the future is dropped.
///
/// # Errors
///
/// If the command cannot be run.
pub async fn run(command: Command, signals: &mut Signals) -> Result<ExitCode, Error> {
    system::run(command, &mut signals.0, Start::Again).await
}

/// Runs `command` as [`run`] does, but starts it directly. For a command with a hook
/// ([`pre_exec`](https://doc.rust-lang.org/std/os/unix/process/trait.CommandExt.html#tymethod.pre_exec)),
/// which [`run`] cannot preserve. The hook must see to it that the command ends with this process.
///
/// # Errors
///
/// If the command cannot be run.
pub async fn run_with_hook(command: Command, signals: &mut Signals) -> Result<ExitCode, Error> {
    system::run(command, &mut signals.0, Start::Directly).await
}

/// How a command is started.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Start {
    /// By this program, which is started again for it.
    Again,
    Directly,
}

/// The signals that ask a program to stop. They are caught from the moment this is created.
#[derive(Debug)]
pub struct Signals(system::Signals);

impl Signals {
    /// Begins to catch signals. Those that this process ignores, as under `nohup`, remain ignored.
    ///
    /// # Errors
    ///
    /// If the handlers cannot be installed.
    pub fn new() -> io::Result<Self> {
        system::Signals::new().map(Self)
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) -> Signal {
        self.0.next().await
    }
}

/// A signal that asks a program to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signal {
    /// SIGHUP: the terminal was closed.
    Hangup,
    /// SIGINT or Ctrl-C.
    Interrupt,
    /// SIGQUIT.
    Quit,
    /// SIGTERM.
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
        ExitCode::from(self.status())
    }

    fn status(&self) -> u8 {
        match self.source.kind() {
            io::ErrorKind::NotFound => 127,
            _ => 126,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = self.program.to_string_lossy();
        write!(f, "cannot run {}", without_passwords(&program))
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.source)
    }
}
