//! The component in your own wasmtime, without the library `ec2-role-host`: all of WASI 0.2 is linked, and a
//! hook restricts HTTP to IMDS.
//!
//! ```sh
//! cargo run -p imds-conformance --example own_wasmtime
//! ```
//!
//! An emulator plays IMDS.

use std::error::Error;

use imds_emulator::Emulator;
use imds_emulator::journal::Filter;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use self::bindings::exports::imds::credentials::ec2_role::Options;
use self::loopback::Loopback;

// The hook. It sends requests to 127.0.0.1 and denies all others.
#[path = "../tests/support/loopback.rs"]
mod loopback;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "
            package example:host;
            world provider {
                export imds:credentials/provider@0.1.0;
                export imds:credentials/ec2-role@0.1.0;
            }
        ",
        exports: { default: async },
        additional_derives: [serde::Deserialize],
    });
}

struct State {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Loopback,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.hooks,
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let imds = Emulator::builder().role("example").start().await?;

    let engine = Engine::default();
    // In your program: the artefact of a release, or of
    // `cargo build -p ec2-role-component --target wasm32-unknown-unknown --profile component`.
    let component = Component::from_binary(&engine, ec2_role_host::COMPONENT)?;
    let mut linker: Linker<State> = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;

    // Keep the instance: it holds the session token and the credentials.
    let state = State {
        table: ResourceTable::new(),
        wasi: WasiCtx::builder().build(),
        http: WasiHttpCtx::new(),
        hooks: Loopback::default(),
    };
    let mut store = Store::new(&engine, state);
    let instance = bindings::Provider::instantiate_async(&mut store, &component, &linker).await?;

    // On EC2 there is no need to configure an endpoint.
    let options = Options {
        endpoint: Some(imds.url().to_owned()),
        ..serde_json::from_str("{}")?
    };
    instance
        .imds_credentials_ec2_role()
        .call_configure(&mut store, &options)
        .await?
        .map_err(|error| format!("{error:?}"))?;

    for _ in 0..2 {
        // The second call is answered from the component's cache.
        let credentials = instance
            .imds_credentials_provider()
            .call_get_credentials(&mut store)
            .await?
            .map_err(|error| format!("{error:?}"))?;
        println!(
            "{} expires {:?}",
            credentials.access_key_id, credentials.expires
        );
    }
    println!("{} requests to IMDS", imds.count(&Filter::default())?);
    Ok(())
}
