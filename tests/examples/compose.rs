//! Composes a component of this workspace with the credentials component, as `wac plug` does, and writes
//! the result:
//!
//! ```sh
//! cargo run -p imds-conformance --example compose -- consumer-component composed.wasm
//! ```
//!
//! A name that ends with `.wasm` is that of a component that is built already.

#![expect(clippy::unwrap_used, reason = "it stops at what it did not expect")]

use std::error::Error;

#[path = "../tests/support/build.rs"]
mod build;
#[path = "../tests/support/compose.rs"]
mod compose;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [package, file] = arguments.as_slice() else {
        return Err("a package and a file are to be named".into());
    };
    let component = match package.ends_with(".wasm") {
        true => std::fs::read(package)?,
        false => build::component(package),
    };
    let composed = compose::compose(component, ec2_role_host::COMPONENT.to_vec())?;
    Ok(std::fs::write(file, composed)?)
}
