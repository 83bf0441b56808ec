//! The process between the caller and a command in a network that exists.
//!
//! It adopts the processes of the command that have lost their parent, as a *subreaper*. When the
//! command or the caller has ended, it kills its children until it has none, so nothing is left. Unlike
//! a process namespace, this takes no privileges, and the command sees the processes of the machine.
//!
//! ```text
//! caller ── reaper ── command
//! ```
//!
//! As in `process`, all of this runs between `fork` and `exec`, and must not allocate.

use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, getpid, set_child_subreaper};

use crate::namespace::end_with;
use crate::process::{detach, end_as, ended, errno, exit, fork, kill, next, wait};

/// The kernel's list of a process's children: their IDs, with a space after each.
const CHILDREN: &std::ffi::CStr = c"/proc/thread-self/children";

/// Moves the calling process, which is a new child of the caller, behind a reaper. Returns in the
/// process that is to run the command. `caller` is at an end when the caller has ended.
pub(crate) fn attend(caller: &OwnedFd) -> Result<(), Errno> {
    // Handlers of the caller's program must not run here.
    let mask = SigSet::all()
        .thread_swap_mask(SigmaskHow::SIG_SETMASK)
        .map_err(errno)?;
    let reaper = getpid();
    set_child_subreaper(Some(reaper))?;
    if let Some(command) = fork()? {
        let Err(_) = reap(command, caller);
        exit(1);
    }
    // This does not outlive a reaper that is killed. What it has started by then does.
    end_with(reaper)?;
    mask.thread_set_mask().map_err(errno)
}

/// Forwards signals to the command, and exits with its status when none of its processes is left.
fn reap(command: Pid, caller: &OwnedFd) -> Result<Infallible, Errno> {
    let signals = detach(&[caller])?;
    let status = loop {
        let mut events = [
            PollFd::new(&signals, PollFlags::IN),
            PollFd::new(caller, PollFlags::empty()),
        ];
        wait(&mut events)?;
        let [_, gone] = &events;
        if !gone.revents().is_empty() {
            kill(command, libc::SIGKILL);
            break ExitStatus::from_raw(libc::SIGKILL);
        }
        let mut status = None;
        while let Some(signal) = next(&signals)? {
            if signal != libc::SIGCHLD {
                kill(command, signal);
                continue;
            }
            while let Some((process, ended)) = ended()? {
                if process == command {
                    status = Some(ExitStatus::from_raw(ended.as_raw()));
                }
            }
        }
        if let Some(status) = status {
            break status;
        }
    };
    // Without a list of its children in /proc, this process knows only the command.
    let _ = kill_all();
    end_as(status)
}

/// Kills the children of this process, and those that become its children when their parent has ended.
/// A process that it may not kill, because it has become another user's, is left.
fn kill_all() -> Result<(), Errno> {
    while kill_children()? {
        // At least one ends.
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::CHILD) => return Ok(()),
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Kills the first children. Returns whether there was one that it may kill.
fn kill_children() -> Result<bool, Errno> {
    let file = rustix::fs::open(CHILDREN, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut bytes = [0; 4096];
    let count = rustix::io::read(&file, &mut bytes)?;
    let mut one_is_killed = false;
    let mut id = 0;
    for byte in bytes.get(..count).unwrap_or_default() {
        if byte.is_ascii_digit() {
            id = id * 10 + i32::from(byte - b'0');
        } else {
            if let Some(child) = Pid::from_raw(id) {
                one_is_killed |= kill(child, libc::SIGKILL);
            }
            id = 0;
        }
    }
    Ok(one_is_killed)
}
