//! Folders that only this user can write.
//!
//! A folder is used only if it belongs to this user and no other user can write to it, and so is a
//! file in it. Both are held open during use, so that neither can be replaced in between. A file is
//! written under a temporary name and then renamed, so a reader never sees half of it.

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

    /// A folder that only this user can write.
    #[derive(Debug)]
    pub(crate) struct Folder(OwnedFd);

    impl Folder {
        /// Opens the folder. Creates it if it does not exist.
        pub(crate) fn open(path: &Path) -> io::Result<Self> {
            DirBuilder::new().recursive(true).mode(0o700).create(path)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let folder = rustix::fs::open(path, flags, Mode::empty())?;
            check_owner(&rustix::fs::fstat(&folder)?)?;
            Ok(Self(folder))
        }

        /// The content of a file of at most `max_size` bytes.
        pub(crate) fn read(&self, name: &str, max_size: u64) -> io::Result<Vec<u8>> {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&self.0, name, flags, Mode::empty())?;
            let stat = rustix::fs::fstat(&file)?;
            check_owner(&stat)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                return Err(io::Error::other("not a regular file"));
            }
            let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
            if size > max_size {
                return Err(io::Error::other(format!(
                    "the file has {size} bytes; at most {max_size} are read"
                )));
            }
            let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
            File::from(file).take(max_size).read_to_end(&mut content)?;
            Ok(content)
        }

        /// Writes a file that only this user can read.
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

        /// Removes files that are older than `max_age`, if `is_ours` says so of their names.
        pub(crate) fn clear_out(&self, is_ours: impl Fn(&str) -> bool, max_age: Duration) {
            let Ok(entries) = Dir::read_from(&self.0) else {
                return;
            };
            let oldest = SystemTime::now()
                .checked_sub(max_age)
                .and_then(|moment| moment.duration_since(SystemTime::UNIX_EPOCH).ok())
                .and_then(|moment| i64::try_from(moment.as_secs()).ok())
                .unwrap_or_default();
            for entry in entries.flatten() {
                let name = entry.file_name();
                if !name.to_str().is_ok_and(&is_ours) {
                    continue;
                }
                let stat = rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW);
                if stat.is_ok_and(|stat| stat.st_mtime < oldest) {
                    let _ = rustix::fs::unlinkat(&self.0, name, AtFlags::empty());
                }
            }
        }
    }

    /// Checks that a file belongs to this user and that no other user can write to it.
    fn check_owner(stat: &Stat) -> io::Result<()> {
        let mode = Mode::from_raw_mode(stat.st_mode);
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other("it belongs to another user"));
        }
        if mode.intersects(Mode::WGRP | Mode::WOTH) {
            return Err(io::Error::other("other users can write to it"));
        }
        Ok(())
    }
}

#[cfg(not(unix))]
mod elsewhere {
    use std::io;
    use std::path::Path;
    use std::time::Duration;

    /// Not supported on this platform, where the owner and the mode of a file do not tell who can
    /// write to it.
    #[derive(Debug)]
    pub(crate) enum Folder {}

    impl Folder {
        pub(crate) fn open(_: &Path) -> io::Result<Self> {
            Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "files that only this user can write are supported on Unix only",
            ))
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

        pub(crate) fn clear_out(&self, _: impl Fn(&str) -> bool, _: Duration) {
            match *self {}
        }
    }
}
