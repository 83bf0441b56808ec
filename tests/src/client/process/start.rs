//! Starts a command: with a clean environment, in the network of its world.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;

#[cfg(target_os = "linux")]
use imds_emulator::{Isolated, Isolation};
use tokio::process::{Child, Command};

use super::Process;
use super::time::Offset;
use crate::client::World;

/// The variables of this machine that a program needs, and none about AWS.
pub(super) fn inherited() -> BTreeMap<OsString, OsString> {
    const NAMES: [&str; 12] = [
        "PATH",
        "LANG",
        "LC_ALL",
        "TMPDIR",
        "TEMP",
        "SYSTEMROOT",
        "NODE_PATH",
        "PYTHONPATH",
        "VIRTUAL_ENV",
        "GOPATH",
        "GOCACHE",
        "LD_LIBRARY_PATH",
    ];
    NAMES
        .into_iter()
        .filter_map(|name| Some((name.into(), std::env::var_os(name)?)))
        .collect()
}

pub(super) fn command(
    process: &Process,
    world: &World,
    offset: Option<&Offset>,
    home: &Path,
) -> std::process::Command {
    let mut command = std::process::Command::new(&process.program);
    command
        .args(&process.arguments)
        .env_clear()
        .envs(&process.env)
        // A home directory without configuration.
        .env("HOME", home)
        .env("AWS_CONFIG_FILE", home.join("config"))
        .env("AWS_SHARED_CREDENTIALS_FILE", home.join("credentials"))
        .envs(&world.env)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let (Some(library), Some(offset)) = (&process.faketime, offset) {
        command
            .env("LD_PRELOAD", library)
            .env("FAKETIME_TIMESTAMP_FILE", offset.path())
            // This moves the monotonic clock, too: otherwise, `time.sleep` of Python fails.
            .env("FAKETIME_NO_CACHE", "1");
        if world.isolated.is_some() {
            // The library names what it shares after the id of the process, and all isolated commands
            // have the same.
            command.env("FAKETIME_DISABLE_SHM", "1");
        }
    }
    command
}

/// Starts a command in the network of this world.
pub(super) async fn spawn(
    mut command: std::process::Command,
    world: &World,
) -> std::io::Result<Child> {
    #[cfg(target_os = "linux")]
    let mut reports = match &world.isolated {
        Some(emulator) => Some(emulator.isolate(&mut command, &Isolation::default())?),
        None => None,
    };
    #[cfg(not(target_os = "linux"))]
    if world.isolated.is_some() {
        return Err(std::io::Error::other("only Linux isolates commands"));
    }
    let spawned = Command::from(command).kill_on_drop(true).spawn();
    #[cfg(target_os = "linux")]
    if let (Err(_), Some(reports)) = (&spawned, &mut reports)
        && let Some(Isolated::Failed(error)) = reports.recv().await
    {
        let why = format!("{error}. {}", error.remedy());
        return Err(std::io::Error::other(why));
    }
    spawned
}
