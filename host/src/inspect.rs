//! What a component imports and exports.

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::digest::sha256_hex;
use crate::error::{Error, ErrorKind};

/// What can be said of a component without running it.
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
    /// The interfaces that it imports, sorted.
    pub imports: Vec<String>,
    /// The interfaces that it exports, sorted.
    pub exports: Vec<String>,
    /// Its size in bytes.
    pub size: usize,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

impl Inspection {
    /// Looks at `component`. This compiles it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Component`] if it is not a component.
    pub fn new(component: &[u8]) -> Result<Self, Error> {
        let engine = Engine::default();
        let compiled = Component::from_binary(&engine, component).map_err(|error| {
            Error::with_source(ErrorKind::Component, "this is not a component", error)
        })?;
        Ok(Self {
            size: component.len(),
            sha256: sha256_hex(component),
            ..Self::of(&compiled, &engine)
        })
    }

    /// The part that is known once it is compiled.
    pub(crate) fn of(component: &Component, engine: &Engine) -> Self {
        let ty = component.component_type();
        let mut imports: Vec<String> = ty
            .imports(engine)
            .map(|(name, _)| name.to_owned())
            .collect();
        let mut exports: Vec<String> = ty
            .exports(engine)
            .map(|(name, _)| name.to_owned())
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
