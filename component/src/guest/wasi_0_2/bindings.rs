//! The bindings that wit-bindgen generates from the WIT package, and the exports that call [`super::Component`].

#![expect(unsafe_code, reason = "generated")]

#[cfg(not(feature = "custom-client"))]
wit_bindgen::generate!({
    path: "wit/wasi-0-2.wit",
    world: "imds:credentials/ec2-role-credentials",
    generate_all,
});

#[cfg(feature = "custom-client")]
wit_bindgen::generate!({
    path: "wit/wasi-0-2.wit",
    world: "imds:credentials/ec2-role-credentials-custom-client",
    generate_all,
});

use super::Component;
export!(Component with_types_in self);
