//! The connection of a new network namespace to the network outside, by `pasta` of the package
//! `passt`.
//!
//! `pasta` must be started outside of the namespace, and before the command. The caller waits for the
//! command's start, so a thread of the caller's process starts `pasta`: the process that has made the
//! namespace sends it a request, and waits until `pasta` is ready.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{geteuid, getpid};

use crate::namespace::{end_with, receive};
use crate::process::{pair, send};

/// The program. Debian, Ubuntu, Fedora and Alpine have it in the package `passt`.
const PROGRAM: &str = "pasta";
/// The name of the interface in the namespace, as on an EC2 instance.
const INTERFACE: &str = "eth0";
/// How long `pasta` may take to connect the network.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often it is checked whether `pasta` is ready.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// What `pasta` said when it failed.
pub(crate) type Problem = Arc<Mutex<Option<String>>>;

/// Starts the thread. Returns the socket for requests; the thread ends when that is closed.
pub(crate) fn start() -> io::Result<(OwnedFd, Problem)> {
    let version = Command::new(PROGRAM)
        .arg("--version")
        .stdin(Stdio::null())
        .output();
    if let Err(error) = version {
        let text = match error.kind() {
            io::ErrorKind::NotFound => format!(
                "the program {PROGRAM} connects the command to the network of this machine, and is not \
                 installed; install the package passt"
            ),
            _ => format!("cannot run {PROGRAM}: {error}"),
        };
        return Err(io::Error::new(error.kind(), text));
    }
    let (ours, requests) = pair()?;
    let problem = Problem::default();
    let told = Arc::clone(&problem);
    thread::Builder::new()
        .name("imds-outside".into())
        .spawn(move || {
            while let Ok(Some((process, Some(reply)))) = receive(&ours) {
                let told = Arc::clone(&told);
                let _ = thread::Builder::new()
                    .name("imds-pasta".into())
                    .spawn(move || connect(process, &reply, &told));
            }
        })?;
    Ok((requests, problem))
}

/// Asks the caller's thread to connect the namespaces of this process, which have just been made, and
/// waits until that is done. The connection lasts as long as the returned socket. Does not allocate.
pub(crate) fn request(requests: &OwnedFd) -> Result<OwnedFd, Errno> {
    let (ours, theirs) = pair()?;
    let process = getpid().as_raw_pid();
    send(requests, &process.to_ne_bytes(), Some(theirs.as_fd()))?;
    drop(theirs);
    match receive(&ours)? {
        Some((0, _)) => Ok(ours),
        _ => Err(Errno::IO),
    }
}

/// Runs `pasta` for the namespaces of a process, until `reply` is closed at the other end.
fn connect(process: i32, reply: &OwnedFd, told: &Problem) {
    match ready(process) {
        Ok(mut pasta) => {
            if send(reply, &0_i32.to_ne_bytes(), None).is_ok() {
                // Nothing is sent, so this waits for the end.
                let _ = receive(reply);
            }
            let _ = pasta.kill();
            let _ = pasta.wait();
        }
        Err(error) => {
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
            let _ = send(reply, &1_i32.to_ne_bytes(), None);
        }
    }
}

/// Starts `pasta` and waits until the namespace is connected.
#[expect(
    unsafe_code,
    reason = "code between fork and exec must be async-signal-safe"
)]
fn ready(process: i32) -> io::Result<Child> {
    let folder = tempfile::tempdir()?;
    let (pid, log) = (folder.path().join("pid"), folder.path().join("log"));
    let mut command = Command::new(PROGRAM);
    command
        .args(["--quiet", "--foreground", "--config-net", "--no-map-gw"])
        .args(["--ns-ifname", INTERFACE, "--pid"])
        .arg(&pid);
    for direction in ["-t", "-u", "-T", "-U"] {
        command.args([direction, "none"]);
    }
    if geteuid().is_root() {
        // Otherwise it becomes `nobody`, who may not enter the namespaces.
        command.args(["--runas", "0"]);
    }
    command
        .arg(process.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&log)?);
    let caller = getpid();
    // SAFETY: the closure makes system calls on data that exists already.
    unsafe { command.pre_exec(move || Ok(end_with(caller)?)) };
    let mut pasta = command.spawn()?;
    let deadline = Instant::now() + TIMEOUT;
    // It writes the file when everything else is done.
    while fs::metadata(&pid).map_or(0, |file| file.len()) == 0 {
        if let Some(status) = pasta.try_wait()? {
            let log = fs::read_to_string(&log).unwrap_or_default();
            return Err(io::Error::other(format!(
                "{PROGRAM} ended with {status}: {}",
                reason(&log)
            )));
        }
        if Instant::now() > deadline {
            pasta.kill()?;
            pasta.wait()?;
            let error = format!("{PROGRAM} did not connect the network within 10 seconds");
            return Err(io::Error::new(io::ErrorKind::TimedOut, error));
        }
        thread::sleep(LOOK_AGAIN);
    }
    Ok(pasta)
}

/// The last line of what `pasta` wrote. Where there is no system log, it complains about that after
/// every line.
fn reason(log: &str) -> &str {
    let lines = log.lines().filter(|line| !line.ends_with("to syslog"));
    lines
        .map(str::trim)
        .rfind(|line| !line.is_empty())
        .unwrap_or("it gave no reason")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_last_line() {
        let log = "No external routable interface for IPv6\nFailed to send 30 bytes to syslog\n\
                   Couldn't open network namespace\nFailed to send 9 bytes to syslog\n\n";
        assert_eq!(reason(log), "Couldn't open network namespace");
        assert_eq!(reason(""), "it gave no reason");
    }
}
