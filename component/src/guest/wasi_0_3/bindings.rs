//! The bindings that wit-bindgen generates from `wit/wasi-0-3`, and the exports that call
//! [`super::Component`].

#![expect(unsafe_code, reason = "generated")]

wit_bindgen::generate!({
    path: "wit/wasi-0-3.wit",
    world: "imds:credentials/ec2-role-credentials",
    generate_all,
});

use super::Component;
export!(Component with_types_in self);
