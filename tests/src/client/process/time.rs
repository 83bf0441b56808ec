//! Moves the clock of a command, with `libfaketime`.

use std::fs;
use std::path::{Path, PathBuf};

use chrono::{TimeDelta, Utc};
use tempfile::TempDir;

use crate::client::World;

/// Whether to move the clock of commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Faketime {
    /// With `libfaketime`, if it is installed.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// Finds the library where Debian and other distributions install it.
pub(super) fn library(faketime: Faketime) -> Option<PathBuf> {
    if faketime == Faketime::Off || !cfg!(target_os = "linux") {
        return None;
    }
    let named = std::env::var_os("LIBFAKETIME").map(PathBuf::from);
    let folders = [
        format!("/usr/lib/{}-linux-gnu/faketime", std::env::consts::ARCH),
        "/usr/lib/faketime".into(),
        "/usr/lib64/faketime".into(),
        "/usr/local/lib/faketime".into(),
    ];
    let usual = folders
        .into_iter()
        .map(|folder| Path::new(&folder).join("libfaketimeMT.so.1"));
    named.into_iter().chain(usual).find(|path| path.is_file())
}

/// A file that states how far a process is ahead of this machine.
pub(super) struct Offset {
    folder: TempDir,
    pub(super) ahead: TimeDelta,
}

impl Offset {
    pub(super) fn new(world: &World) -> std::io::Result<Self> {
        let ahead = world.clock.emulator().now() - Utc::now();
        let offset = Self {
            folder: tempfile::tempdir()?,
            ahead,
        };
        offset.write()?;
        Ok(offset)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("offset")
    }

    pub(super) fn write(&self) -> std::io::Result<()> {
        // Written to another file and renamed, because the process may read it at any time.
        let seconds = self.ahead.num_milliseconds() as f64 / 1000.0;
        let beside = self.folder.path().join("beside");
        fs::write(&beside, format!("{seconds:+.3}\n"))?;
        fs::rename(beside, self.path())
    }
}

/// Whether the clocks of a process and its children are moved.
pub(super) fn are_moved(id: u32) -> bool {
    let maps = fs::read_to_string(format!("/proc/{id}/maps")).unwrap_or_default();
    // A Go program may load the library, but does not use it.
    maps.contains("libfaketime") && !is_go(id) && children(id).into_iter().all(are_moved)
}

/// The processes that a process started.
pub(super) fn children(id: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    let ids = children.split_whitespace();
    ids.filter_map(|id| id.parse().ok()).collect()
}

fn is_go(id: u32) -> bool {
    // Go's linker adds a section with this name.
    fs::read(format!("/proc/{id}/exe"))
        .is_ok_and(|program| program.windows(12).any(|part| part == b".go.buildinf"))
}
