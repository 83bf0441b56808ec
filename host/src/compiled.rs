//! Compiled components on disk.
//!
//! An entry is machine code that runs with the rights of this process, so anyone who can write an
//! entry controls the process. Entries therefore live in a folder that only this user can write, and
//! an entry is loaded only if its digest is right, because a truncated file must not run either. Any
//! other entry is ignored and written again. The name of an entry states the component's digest and
//! the engine's version and settings.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::digest::sha256_hex;
use crate::private::Folder;

/// Entries older than this are removed when a new one is written: other versions of the library
/// leave theirs behind.
const MAX_AGE: Duration = Duration::from_secs(90 * 24 * 3600);

/// The first bytes of an entry. The digest of the rest follows.
const MAGIC: &[u8; 8] = b"imdscwsm";
const DIGEST: usize = 32;

/// The size limit of an entry. The built-in component takes half a megabyte.
const MAX_SIZE: u64 = 64 * 1024 * 1024;

/// Loads the component from the cache, or compiles it and adds it to the cache. Compiles it alone if
/// the folder cannot be used.
pub(crate) fn load_or_compile(
    folder: &Path,
    engine: &Engine,
    component: &[u8],
) -> wasmtime::Result<Component> {
    let cache = match Folder::open(folder) {
        Ok(cache) => cache,
        Err(error) => {
            tracing::debug!(?folder, %error, "cannot use the cache of compiled components");
            return Component::from_binary(engine, component);
        }
    };
    let name = name(engine, component);
    match read(&cache, &name) {
        Ok(code) => match load(engine, &code) {
            Ok(component) => return Ok(component),
            Err(error) => tracing::debug!(name, %error, "ignoring a compiled component"),
        },
        Err(error) => tracing::debug!(name, %error, "no compiled component in the cache"),
    }
    let compiled = Component::from_binary(engine, component)?;
    cache.clear_out(
        |name| name.ends_with(".cwasm") || name.ends_with(".tmp"),
        MAX_AGE,
    );
    let written = compiled
        .serialize()
        .map_err(io::Error::other)
        .and_then(|code| {
            let digest = Sha256::digest(&code);
            cache.write(
                &name,
                &[MAGIC.as_slice(), digest.as_slice(), &code].concat(),
            )
        });
    if let Err(error) = written {
        tracing::debug!(name, %error, "cannot cache the compiled component");
    }
    Ok(compiled)
}

fn read(cache: &Folder, name: &str) -> io::Result<Vec<u8>> {
    let entry = cache.read(name, MAX_SIZE)?;
    let code = entry
        .strip_prefix(MAGIC)
        .and_then(|rest| rest.split_at_checked(DIGEST))
        .filter(|(digest, code)| Sha256::digest(code).as_slice() == *digest)
        .map(|(_, code)| code.to_vec());
    code.ok_or_else(|| io::Error::other("the entry is damaged"))
}

#[expect(unsafe_code, reason = "the code was written by this user")]
fn load(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `read` returns only what this user has written above, unchanged: only this user can
    // write the file and its folder, and the digest is right. The engine checks its own version and
    // settings.
    unsafe { Component::deserialize(engine, code) }
}

fn name(engine: &Engine, component: &[u8]) -> String {
    let mut settings = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut settings);
    format!("{}-{:016x}.cwasm", sha256_hex(component), settings.finish())
}
