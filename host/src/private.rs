//! Folders for this user alone.
//!
//! A folder is used only if it belongs to this user and nobody else may write it, and a file in it
//! likewise; both are held open, so that they cannot be exchanged in between. Files are written
//! beside their place and renamed, so no reader ever sees half of one.

#[cfg(unix)]
pub(crate) use self::unix::Folder;

#[cfg(not(unix))]
pub(crate) use self::elsewhere::Folder;

#[cfg(unix)]
mod unix {
    use std::fs::{DirBuilder, File};
    use std::io::{self, Read as _, Write as _};
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::DirBuilderExt as _;
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, SystemTime};

    use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};

    /// A folder that nobody but this user writes.
    #[derive(Debug)]
    pub(crate) struct Folder(OwnedFd);

    impl Folder {
        /// Opens the folder, and makes it if it is not there.
        pub(crate) fn open(path: &Path) -> io::Result<Self> {
            DirBuilder::new().recursive(true).mode(0o700).create(path)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let folder = rustix::fs::open(path, flags, Mode::empty())?;
            own(&rustix::fs::fstat(&folder)?)?;
            Ok(Self(folder))
        }

        /// What is in a file, if it has no more than so many bytes.
        pub(crate) fn read(&self, name: &str, most: u64) -> io::Result<Vec<u8>> {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&self.0, name, flags, Mode::empty())?;
            let stat = rustix::fs::fstat(&file)?;
            own(&stat)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                return Err(io::Error::other("it is no file"));
            }
            let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
            if size > most {
                return Err(io::Error::other("it is too large"));
            }
            let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
            File::from(file).take(most).read_to_end(&mut content)?;
            Ok(content)
        }

        /// Writes a file that this user alone can read.
        pub(crate) fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
            static NEXT: AtomicUsize = AtomicUsize::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let beside = format!("{name}.{}-{number}.tmp", std::process::id());
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let mode = Mode::RUSR | Mode::WUSR;
            let file = rustix::fs::openat(&self.0, &beside, flags, mode)?;
            let written = File::from(file)
                .write_all(content)
                .and_then(|()| Ok(rustix::fs::renameat(&self.0, &beside, &self.0, name)?));
            if written.is_err() {
                let _ = rustix::fs::unlinkat(&self.0, &beside, AtFlags::empty());
            }
            written
        }

        pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
            Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
        }

        /// Removes files with one of these endings that were not written for so long.
        pub(crate) fn clear_out(&self, endings: &[&str], life: Duration) {
            let Ok(entries) = Dir::read_from(&self.0) else {
                return;
            };
            let oldest = SystemTime::now()
                .checked_sub(life)
                .and_then(|moment| moment.duration_since(SystemTime::UNIX_EPOCH).ok())
                .and_then(|moment| i64::try_from(moment.as_secs()).ok())
                .unwrap_or_default();
            for entry in entries.flatten() {
                let name = entry.file_name();
                let ours = endings
                    .iter()
                    .any(|ending| name.to_bytes().ends_with(ending.as_bytes()));
                let stat = rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW);
                if ours && stat.is_ok_and(|stat| stat.st_mtime < oldest) {
                    let _ = rustix::fs::unlinkat(&self.0, name, AtFlags::empty());
                }
            }
        }
    }

    /// Whether it belongs to this user, and nobody else may write it.
    fn own(stat: &Stat) -> io::Result<()> {
        let mode = Mode::from_raw_mode(stat.st_mode);
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other("it belongs to another user"));
        }
        if mode.intersects(Mode::WGRP | Mode::WOTH) {
            return Err(io::Error::other("others may write it"));
        }
        Ok(())
    }
}

#[cfg(not(unix))]
mod elsewhere {
    use std::io;
    use std::path::Path;
    use std::time::Duration;

    /// There is none here: who may write a file is not to be found out in the same way.
    #[derive(Debug)]
    pub(crate) enum Folder {}

    impl Folder {
        pub(crate) fn open(_: &Path) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) fn read(&self, _: &str, _: u64) -> io::Result<Vec<u8>> {
            match *self {}
        }

        pub(crate) fn write(&self, _: &str, _: &[u8]) -> io::Result<()> {
            match *self {}
        }

        pub(crate) fn remove(&self, _: &str) -> io::Result<()> {
            match *self {}
        }

        pub(crate) fn clear_out(&self, _: &[&str], _: Duration) {
            match *self {}
        }
    }
}
