//! The component for WASI 0.3 in wasmtime:
//! `cargo test -p imds-conformance --features wasi-0-3 --test wasi_0_3`.

#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "support/build.rs"]
mod build;
#[path = "support/loopback.rs"]
mod loopback;

use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use ec2_role_host::inspect::Inspection;
use futures_util::future::join_all;
use imds_emulator::Emulator;
use imds_emulator::fault::{Fault, Rule};
use imds_emulator::journal::Filter;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use self::bindings::Exports;
use self::bindings::exports::imds::credentials::ec2_role::Options;
use self::bindings::exports::imds::credentials::provider::{Credentials, Error, Reason};
use self::loopback::Loopback;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit/wasi-0-3",
        inline: "
            package test:host;
            world exports {
                export imds:credentials/provider@0.2.0;
                export imds:credentials/ec2-role@0.2.0;
            }
        ",
        additional_derives: [serde::Deserialize],
    });
}

static COMPONENT: LazyLock<Vec<u8>> = LazyLock::new(|| build::variant("wasi-0-3"));

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
            hooks: &mut self.hooks,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

struct Instance {
    store: Store<State>,
    exports: Exports,
}

impl Instance {
    async fn at(endpoint: &str) -> Self {
        let mut config = Config::new();
        config.wasm_component_model_async(true);
        let engine = Engine::new(&config).unwrap();
        let component = Component::from_binary(&engine, &COMPONENT).unwrap();
        let mut linker: Linker<State> = Linker::new(&engine);
        wasmtime_wasi::p3::add_to_linker(&mut linker).unwrap();
        wasmtime_wasi_http::p3::add_to_linker(&mut linker).unwrap();
        let state = State {
            table: ResourceTable::new(),
            wasi: WasiCtx::builder().build(),
            http: WasiHttpCtx::new(),
            hooks: Loopback::default(),
        };
        let mut store = Store::new(&engine, state);
        let exports = Exports::instantiate_async(&mut store, &component, &linker);
        let exports = exports.await.unwrap();
        let mut instance = Self { store, exports };
        let options = Options {
            endpoint: Some(endpoint.to_owned()),
            read_timeout: Some(200),
            attempts: Some(1),
            ..no_options()
        };
        let exports = &instance.exports;
        let configured = instance.store.run_concurrent(async |store| {
            let ec2_role = exports.imds_credentials_ec2_role();
            ec2_role.call_configure(store, options).await
        });
        configured.await.unwrap().unwrap().unwrap();
        instance
    }

    /// So many calls at once.
    async fn credentials(&mut self, calls: usize) -> Vec<Result<Credentials, Error>> {
        let exports = &self.exports;
        let results = self.store.run_concurrent(async |store| {
            let provider = exports.imds_credentials_provider();
            join_all((0..calls).map(|_| provider.call_get_credentials(store))).await
        });
        let results = results.await.unwrap().into_iter();
        results.map(Result::unwrap).collect()
    }
}

/// All options at their defaults: serde reads an absent field as `None`.
fn no_options() -> Options {
    serde_json::from_str("{}").unwrap()
}

#[test]
fn imports_and_exports_are_the_ones_that_were_agreed_on() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let inspection = Inspection::new(&COMPONENT).unwrap();
    for (kind, found) in [
        ("imports", inspection.imports),
        ("exports", inspection.exports),
    ] {
        let golden = golden.join(format!("wasi-0-3.{kind}.txt"));
        let agreed = fs::read_to_string(&golden).unwrap();
        let agreed: Vec<_> = agreed.lines().collect();
        assert_eq!(found, agreed, "{}", golden.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_overlap_and_one_refresh_serves_them_all() {
    let imds = Emulator::builder().start().await.unwrap();
    let mut instance = Instance::at(imds.url()).await;
    let results = instance.credentials(8).await;
    assert_eq!(results.len(), 8);
    let key = imds.role_keys().unwrap().access_key_id;
    for result in results {
        assert_eq!(result.unwrap().access_key_id, key);
    }
    // A token, the list, the document.
    assert_eq!(imds.count(&Filter::path("/**")).unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_ends_in_time_and_the_next_call_is_served() {
    let imds = Arc::new(Emulator::builder().start().await.unwrap());
    let mut instance = Instance::at(imds.url()).await;
    {
        let rule = Rule::new("silence", Fault::blackhole()).on("**/security-credentials/?*");
        let _silence = imds.fault(rule).unwrap();
        let [Err(Error::Failed(failure))] = &instance.credentials(1).await[..] else {
            panic!()
        };
        assert_eq!(failure.reason, Reason::Timeout);
    }
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let [Ok(_)] = &instance.credentials(1).await[..] else {
        panic!()
    };
}
