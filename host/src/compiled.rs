//! Compiled components on disk.
//!
//! What is loaded from here is machine code, and runs as this process: whoever can write it owns the
//! process. So an entry is looked at only if it and its folder belong to this user and nobody else
//! may write them, through handles that cannot be exchanged in between; and only if its digest is
//! right, for a file that was cut off must not be run either. Anything else is ignored and made
//! again. Entries are named by the component's content and by what the engine says of its version
//! and settings, and are written beside their place and renamed, so no reader ever sees half of one.

use std::path::Path;

use wasmtime::Engine;
use wasmtime::component::Component;

/// The component, from the cache if it is there. Where there can be no cache, it is compiled.
pub(crate) fn load_or_compile(
    folder: &Path,
    engine: &Engine,
    component: &[u8],
) -> wasmtime::Result<Component> {
    #[cfg(unix)]
    match disk::Folder::open(folder) {
        Ok(cache) => return disk::load_or_compile(&cache, engine, component),
        Err(error) => tracing::debug!(?folder, %error, "no cache of compiled components"),
    }
    let _ = folder;
    Component::from_binary(engine, component)
}

#[cfg(unix)]
mod disk {
    use std::fs::{DirBuilder, File};
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    use std::io::{self, Read as _, Write as _};
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::DirBuilderExt as _;
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
    use sha2::{Digest as _, Sha256};
    use wasmtime::Engine;
    use wasmtime::component::Component;

    /// Entries that were not written within so many days are removed when another is.
    const LIFE: Duration = Duration::from_secs(90 * 24 * 3600);

    /// The first bytes of an entry. After them comes the digest of the rest.
    const MAGIC: &[u8; 8] = b"imdscwsm";
    const DIGEST: usize = 32;

    /// The built-in component takes half a megabyte.
    const MOST: u64 = 64 * 1024 * 1024;

    /// A folder that nobody but this user writes.
    pub(super) struct Folder(OwnedFd);

    pub(super) fn load_or_compile(
        cache: &Folder,
        engine: &Engine,
        component: &[u8],
    ) -> wasmtime::Result<Component> {
        let name = name(engine, component);
        match cache.read(&name) {
            Ok(code) => match load(engine, &code) {
                Ok(component) => return Ok(component),
                Err(error) => tracing::debug!(name, %error, "a compiled component is ignored"),
            },
            Err(error) => tracing::debug!(name, %error, "no compiled component"),
        }
        let compiled = Component::from_binary(engine, component)?;
        let written = compiled
            .serialize()
            .map_err(io::Error::other)
            .and_then(|code| cache.write(&name, &code));
        if let Err(error) = written {
            tracing::debug!(name, %error, "a compiled component is not kept");
        }
        Ok(compiled)
    }

    #[expect(unsafe_code, reason = "what is loaded was written by this user")]
    fn load(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
        // SAFETY: `Folder::read` gives nothing but what this user has written with `Folder::write`,
        // unchanged: the file and its folder are this user's alone, and the digest is right. The
        // engine looks at its own version and settings itself.
        unsafe { Component::deserialize(engine, code) }
    }

    fn name(engine: &Engine, component: &[u8]) -> String {
        let mut settings = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut settings);
        let content: String = Sha256::digest(component)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("{content}-{:016x}.cwasm", settings.finish())
    }

    impl Folder {
        /// Opens the folder, and makes it if it is not there.
        pub(super) fn open(path: &Path) -> io::Result<Self> {
            DirBuilder::new().recursive(true).mode(0o700).create(path)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let folder = rustix::fs::open(path, flags, Mode::empty())?;
            own(&rustix::fs::fstat(&folder)?)?;
            Ok(Self(folder))
        }

        fn read(&self, name: &str) -> io::Result<Vec<u8>> {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&self.0, name, flags, Mode::empty())?;
            let stat = rustix::fs::fstat(&file)?;
            own(&stat)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                return Err(io::Error::other("it is no file"));
            }
            let mut entry = Vec::with_capacity(usize::try_from(stat.st_size).unwrap_or_default());
            File::from(file).take(MOST).read_to_end(&mut entry)?;
            let code = entry
                .strip_prefix(MAGIC)
                .and_then(|rest| rest.split_at_checked(DIGEST))
                .filter(|(digest, code)| Sha256::digest(code).as_slice() == *digest)
                .map(|(_, code)| code.to_vec());
            code.ok_or_else(|| io::Error::other("it is damaged"))
        }

        fn write(&self, name: &str, code: &[u8]) -> io::Result<()> {
            self.clear_out();
            let unique = format!("{name}.{}.tmp", std::process::id());
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let mode = Mode::RUSR | Mode::WUSR;
            let file = rustix::fs::openat(&self.0, &unique, flags, mode)?;
            let written = (|| {
                let mut file = File::from(file);
                file.write_all(MAGIC)?;
                file.write_all(&Sha256::digest(code))?;
                file.write_all(code)?;
                rustix::fs::renameat(&self.0, &unique, &self.0, name)?;
                Ok(())
            })();
            if written.is_err() {
                let _ = rustix::fs::unlinkat(&self.0, &unique, AtFlags::empty());
            }
            written
        }

        /// Removes what is old: other versions leave their entries behind.
        fn clear_out(&self) {
            let Ok(entries) = Dir::read_from(&self.0) else {
                return;
            };
            let oldest = SystemTime::now()
                .checked_sub(LIFE)
                .and_then(|moment| moment.duration_since(SystemTime::UNIX_EPOCH).ok())
                .and_then(|moment| i64::try_from(moment.as_secs()).ok())
                .unwrap_or_default();
            for entry in entries.flatten() {
                let name = entry.file_name();
                let ours = [".cwasm", ".tmp"]
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
