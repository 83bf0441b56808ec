//! Archives whose bytes depend on nothing but their content.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

use crate::sources;

/// Who may read, write and execute a file that is a command, and one that is not.
pub(crate) const EXECUTABLE: u32 = 0o755;
pub(crate) const READABLE: u32 = 0o644;

/// The files and folders of an archive, which all belong to root.
pub(crate) struct Archive {
    tar: Builder<Vec<u8>>,
    time: u64,
}

impl Archive {
    /// An empty archive, whose files all have this time, in seconds since 1970.
    pub(crate) fn new(time: u64) -> Self {
        Self {
            tar: Builder::new(Vec::new()),
            time,
        }
    }

    /// Adds a folder.
    pub(crate) fn folder(&mut self, path: impl AsRef<Path>, mode: u32) -> io::Result<()> {
        self.append(path.as_ref(), EntryType::Directory, mode, &[])
    }

    /// Adds a file. Folders above it need not be added.
    pub(crate) fn file(
        &mut self,
        path: impl AsRef<Path>,
        mode: u32,
        content: &[u8],
    ) -> io::Result<()> {
        self.append(path.as_ref(), EntryType::Regular, mode, content)
    }

    /// Adds all files of a folder, below the path `to`. Those that their owner may execute stay so.
    pub(crate) fn files_of(&mut self, folder: &Path, to: &Path) -> Result<()> {
        for file in sources::files(folder)? {
            let from = folder.join(&file);
            let content =
                fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
            let mode = match sources::is_executable(&from)? {
                true => EXECUTABLE,
                false => READABLE,
            };
            self.file(to.join(file), mode, &content)?;
        }
        Ok(())
    }

    fn append(
        &mut self,
        path: &Path,
        kind: EntryType,
        mode: u32,
        content: &[u8],
    ) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(self.time);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(content.len() as u64);
        self.tar.append_data(&mut header, path, content)
    }

    /// The archive.
    pub(crate) fn tar(self) -> io::Result<Vec<u8>> {
        self.tar.into_inner()
    }

    /// The archive, compressed.
    pub(crate) fn tar_gz(self) -> io::Result<Vec<u8>> {
        gzip(&self.tar()?)
    }
}

/// Compresses, without a name or a time.
pub(crate) fn gzip(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut writer = GzBuilder::new()
        .mtime(0)
        .write(Vec::new(), Compression::best());
    writer.write_all(content)?;
    writer.finish()
}
