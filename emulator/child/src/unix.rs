//! A child process, its signals, and those of this process.

use std::future;
use std::io;
use std::process::{Child, Command, ExitCode};

use futures_util::StreamExt as _;
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal as Number, WaitOptions, WaitStatus, kill_process, wait, waitpid,
};
use signal_hook::consts::{
    SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2,
    SIGWINCH,
};
use signal_hook_tokio::SignalsInfo;

use self::origin::{Exfiltrator, Received};
use crate::{Error, Signal, Start};

/// The signals that ask a program to stop.
const STOP: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// The other signals that a command gets, and the one that says that a child has ended.
const MORE: [i32; 7] = [
    SIGALRM, SIGCHLD, SIGCONT, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH,
];

pub(crate) async fn run(
    command: Command,
    signals: &mut Signals,
    start: Start,
) -> Result<ExitCode, Error> {
    let program = command.get_program().to_owned();
    let failed = |source| Error::new(&program, source);
    signals.catch(&MORE).map_err(failed)?;
    let mut running = Running::start(command, start).map_err(failed)?;
    loop {
        // The signal for the end of the child may have come before.
        if let Some(status) = running.reap().map_err(failed)? {
            return Ok(exit_code(status));
        }
        let received = signals.receive().await;
        if received.signal != SIGCHLD {
            running.forward(received);
        }
    }
}

/// The signals of this process.
pub(crate) struct Signals(SignalsInfo<Exfiltrator>);

impl Signals {
    pub(crate) fn new() -> io::Result<Self> {
        let signals = Self(SignalsInfo::new([] as [i32; 0])?);
        signals.catch(&STOP)?;
        Ok(signals)
    }

    /// The command inherits what this process ignores, and a handler would change that.
    fn catch(&self, signals: &[i32]) -> io::Result<()> {
        let ignored = ignored();
        let caught = signals
            .iter()
            .filter(|signal| ignored & (1 << (**signal - 1)) == 0);
        for signal in caught {
            self.0.handle().add_signal(*signal)?;
        }
        Ok(())
    }

    pub(crate) async fn next(&mut self) -> Signal {
        loop {
            return match self.receive().await.signal {
                SIGHUP => Signal::Hangup,
                SIGINT => Signal::Interrupt,
                SIGQUIT => Signal::Quit,
                SIGTERM => Signal::Terminate,
                _ => continue,
            };
        }
    }

    async fn receive(&mut self) -> Received {
        match self.0.next().await {
            Some(received) => received.into(),
            // Only if somebody closes the stream.
            None => future::pending().await,
        }
    }
}

impl std::fmt::Debug for Signals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signals").finish_non_exhaustive()
    }
}

/// The signals that this process ignores, a bit for each. Only Linux tells.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.unwrap_or_default()
}

/// A child process that does not outlive this.
struct Running {
    child: Child,
    pid: Pid,
    ended: bool,
}

impl Running {
    fn start(mut command: Command, start: Start) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        if start == Start::Again
            && let Some(starter) = crate::starter::starter(&command)
        {
            command = starter;
        }
        let child = command.spawn()?;
        let pid = Pid::from_child(&child);
        Ok(Self {
            child,
            pid,
            ended: false,
        })
    }

    /// The status of the child, if it has ended. As the init process of a container, this reaps the
    /// orphans of all other processes too.
    fn reap(&mut self) -> io::Result<Option<WaitStatus>> {
        let everything = std::process::id() == 1;
        loop {
            let reaped = match everything {
                true => wait(WaitOptions::NOHANG),
                false => waitpid(Some(self.pid), WaitOptions::NOHANG),
            };
            match reaped {
                Ok(Some((pid, status))) if pid == self.pid => {
                    self.ended = true;
                    return Ok(Some(status));
                }
                Ok(None) => return Ok(None),
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn forward(&self, received: Received) {
        let Some(number) = Number::from_named_raw(received.signal) else {
            return;
        };
        if !received.from_terminal {
            // The child may have ended already.
            let _ = kill_process(self.pid, number);
        }
        // The shell waits until this process stops, too.
        if number == Number::TSTP {
            let _ = kill_process(rustix::process::getpid(), Number::STOP);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn exit_code(status: WaitStatus) -> ExitCode {
    let killed = || Some(128 + status.terminating_signal()?);
    let code = status.exit_status().or_else(killed);
    let code = code.and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Where a signal comes from. A terminal sends its signals to the command as well.
#[cfg(target_os = "linux")]
mod origin {
    use signal_hook::low_level::siginfo::{Cause, Origin};

    /// A signal, and whether the kernel sent it on behalf of a terminal.
    pub(super) struct Received {
        pub(super) signal: i32,
        pub(super) from_terminal: bool,
    }

    pub(super) type Exfiltrator = signal_hook::iterator::exfiltrator::WithOrigin;

    impl From<Origin> for Received {
        fn from(origin: Origin) -> Self {
            Self {
                signal: origin.signal,
                from_terminal: origin.cause == Cause::Kernel,
            }
        }
    }
}

/// Without the origin of signals, what a terminal can send is taken to be from the terminal if there is
/// one.
#[cfg(not(target_os = "linux"))]
mod origin {
    use std::io::IsTerminal as _;

    use signal_hook::consts::{SIGINT, SIGQUIT, SIGTSTP, SIGWINCH};

    /// A signal, and whether it is from a terminal.
    pub(super) struct Received {
        pub(super) signal: i32,
        pub(super) from_terminal: bool,
    }

    pub(super) type Exfiltrator = signal_hook::iterator::exfiltrator::SignalOnly;

    impl From<i32> for Received {
        fn from(signal: i32) -> Self {
            let of_terminals = matches!(signal, SIGINT | SIGQUIT | SIGTSTP | SIGWINCH);
            Self {
                signal,
                from_terminal: of_terminals && std::io::stdin().is_terminal(),
            }
        }
    }
}
