//! Composes the consumer in `tests/consumer` with the component, as `wac plug` does, and writes the result:
//!
//! ```sh
//! cargo run -p imds-conformance --example compose -- composed.wasm
//! ```

#![expect(clippy::unwrap_used, reason = "it stops at what it did not expect")]

use std::error::Error;

#[path = "../tests/support/build.rs"]
mod build;
#[path = "../tests/support/compose.rs"]
mod compose;

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args_os().nth(1).ok_or("no file was named")?;
    let consumer = build::component("consumer-component");
    let composed = compose::compose(consumer, ec2_role_host::COMPONENT.to_vec())?;
    Ok(std::fs::write(file, composed)?)
}
