//! What a component imports and exports.

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::digest::sha256_hex;
use crate::error::{Error, ErrorKind};

pub(crate) const NOT_WASM: &str = "the bytes are not WebAssembly; accepted: a component (.wasm)";

/// Whether bytes begin as every WebAssembly module and component does. The error of wasmtime for
/// other bytes has a dump of them.
pub(crate) fn is_wasm(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\0asm")
}

/// What is known of a component without running it.
///
/// ```
/// use ec2_role_host::{COMPONENT, inspect::Inspection};
///
/// let inspection = Inspection::new(COMPONENT)?;
/// assert!(inspection.exports.contains(&"imds:credentials/provider@0.1.0".to_owned()));
/// # Ok::<(), ec2_role_host::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// The interfaces that the component imports, sorted. Characters that cannot be printed are escaped.
    pub imports: Vec<String>,
    /// The interfaces that the component exports, in the same way.
    pub exports: Vec<String>,
    /// The size of the component in bytes.
    pub size: usize,
    /// The SHA-256 of the component, in hexadecimal.
    pub sha256: String,
}

impl Inspection {
    /// Inspects `component`, which is compiled for it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Component`] if the bytes are not a WebAssembly component.
    pub fn new(component: &[u8]) -> Result<Self, Error> {
        if !is_wasm(component) {
            return Err(Error::new(ErrorKind::Component, NOT_WASM));
        }
        let engine = Engine::default();
        let compiled = Component::from_binary(&engine, component).map_err(|error| {
            Error::with_source(
                ErrorKind::Component,
                "the bytes are not a WebAssembly component",
                error,
            )
        })?;
        Ok(Self {
            size: component.len(),
            sha256: sha256_hex(component),
            ..Self::of(&compiled, &engine)
        })
    }

    /// The part that a compiled component tells.
    pub(crate) fn of(component: &Component, engine: &Engine) -> Self {
        let ty = component.component_type();
        let mut imports: Vec<String> = ty
            .imports(engine)
            .map(|(name, _)| printable(name))
            .collect();
        let mut exports: Vec<String> = ty
            .exports(engine)
            .map(|(name, _)| printable(name))
            .collect();
        imports.sort_unstable();
        exports.sort_unstable();
        Self {
            imports,
            exports,
            size: 0,
            sha256: String::new(),
        }
    }
}

/// A name may be a URL, with any characters in it.
fn printable(name: &str) -> String {
    name.escape_debug().to_string()
}
