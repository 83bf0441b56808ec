//! A command that ends with this process, even if this process is killed.
//!
//! Linux sends a process a signal when its parent dies, if the process has asked for it, and the wish
//! survives the replacement of the process by another program. So this program starts itself once more,
//! and that process asks for the signal and becomes the command. The usual way is code between fork and
//! exec, which would be unsafe.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{self, Command};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::Error;

/// The name under which this program starts itself. The arguments are the ID of the parent, the
/// program of the command and its arguments.
const NAME: &str = "imds-child-process";

/// This program, even if its file was replaced in the meantime.
const SELF: &str = "/proc/self/exe";

/// Whether `main` begins with [`start`].
static STARTS: AtomicBool = AtomicBool::new(false);

pub(crate) fn start() {
    let mut arguments = std::env::args_os();
    if arguments.next().is_some_and(|name| name == NAME) {
        become_command(arguments);
    }
    STARTS.store(true, Ordering::Relaxed);
}

fn become_command(mut arguments: impl Iterator<Item = OsString>) {
    let parent = arguments
        .next()
        .and_then(|id| id.to_str()?.parse().ok())
        .and_then(Pid::from_raw);
    let (Some(parent), Some(program)) = (parent, arguments.next()) else {
        return;
    };
    let asked = set_parent_process_death_signal(Some(Signal::KILL));
    // The parent may have died before. Nobody waits for the exit status then.
    if getppid() != Some(parent) {
        process::exit(1);
    }
    let error = match asked {
        Ok(()) => Command::new(&program).args(arguments).exec(),
        Err(error) => error.into(),
    };
    let error = Error::new(&program, error);
    eprintln!("error: {error}: {}", error.source);
    process::exit(error.status().into());
}

/// The command that starts `command` so that it ends with this process. `None` if that is not possible.
pub(crate) fn starter(command: &Command) -> Option<Command> {
    if !STARTS.load(Ordering::Relaxed) || !Path::new(SELF).exists() {
        return None;
    }
    let mut starter = Command::new(SELF);
    starter
        .arg0(NAME)
        .arg(process::id().to_string())
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        set(&mut starter, name, value);
    }
    if let Some(folder) = command.get_current_dir() {
        starter.current_dir(folder);
    }
    Some(starter)
}

fn set(command: &mut Command, name: &OsStr, value: Option<&OsStr>) {
    match value {
        Some(value) => command.env(name, value),
        None => command.env_remove(name),
    };
}
