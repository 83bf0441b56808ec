//! Compiled components on disk.
//!
//! What is loaded from here is machine code, and runs as this process: whoever can write it owns the
//! process. So it lies in a folder for this user alone, and is looked at only if its digest is
//! right, for a file that was cut off must not be run either. Anything else is ignored and made
//! again. Entries are named by the component's content and by what the engine says of its version
//! and settings.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::digest::sha256_hex;
use crate::private::Folder;

/// Entries that were not written for so long are removed when another is: other versions leave
/// theirs behind.
const LIFE: Duration = Duration::from_secs(90 * 24 * 3600);

/// The first bytes of an entry. After them comes the digest of the rest.
const MAGIC: &[u8; 8] = b"imdscwsm";
const DIGEST: usize = 32;

/// The built-in component takes half a megabyte.
const MOST: u64 = 64 * 1024 * 1024;

/// The component, from the cache if it is there. Where there can be no cache, it is compiled.
pub(crate) fn load_or_compile(
    folder: &Path,
    engine: &Engine,
    component: &[u8],
) -> wasmtime::Result<Component> {
    let cache = match Folder::open(folder) {
        Ok(cache) => cache,
        Err(error) => {
            tracing::debug!(?folder, %error, "no cache of compiled components");
            return Component::from_binary(engine, component);
        }
    };
    let name = name(engine, component);
    match read(&cache, &name) {
        Ok(code) => match load(engine, &code) {
            Ok(component) => return Ok(component),
            Err(error) => tracing::debug!(name, %error, "a compiled component is ignored"),
        },
        Err(error) => tracing::debug!(name, %error, "no compiled component"),
    }
    let compiled = Component::from_binary(engine, component)?;
    cache.clear_out(&[".cwasm", ".tmp"], LIFE);
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
        tracing::debug!(name, %error, "a compiled component is not kept");
    }
    Ok(compiled)
}

fn read(cache: &Folder, name: &str) -> io::Result<Vec<u8>> {
    let entry = cache.read(name, MOST)?;
    let code = entry
        .strip_prefix(MAGIC)
        .and_then(|rest| rest.split_at_checked(DIGEST))
        .filter(|(digest, code)| Sha256::digest(code).as_slice() == *digest)
        .map(|(_, code)| code.to_vec());
    code.ok_or_else(|| io::Error::other("it is damaged"))
}

#[expect(unsafe_code, reason = "what is loaded was written by this user")]
fn load(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `read` gives nothing but what this user has written above, unchanged: the file and
    // its folder are this user's alone, and the digest is right. The engine looks at its own version
    // and settings itself.
    unsafe { Component::deserialize(engine, code) }
}

fn name(engine: &Engine, component: &[u8]) -> String {
    let mut settings = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut settings);
    format!("{}-{:016x}.cwasm", sha256_hex(component), settings.finish())
}
