//! A host that is not ours: wasmtime with all of WASI 0.2, and HTTP to this machine alone.

use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView};

use crate::loopback::Loopback;

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

impl wasmtime_wasi_http::WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.hooks,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

/// A component in the host.
pub(crate) struct Host {
    component: Component,
    linker: Linker<State>,
}

impl Host {
    pub(crate) fn new(component: &[u8]) -> Self {
        let engine = Engine::new(&Config::new()).unwrap();
        let component = Component::from_binary(&engine, component).unwrap();
        let mut linker: Linker<State> = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).unwrap();
        Self { component, linker }
    }

    /// Calls `get-object` of a fresh instance.
    pub(crate) async fn get_object(&self, endpoint: &str, authority: &str) -> Result<u16, String> {
        let state = State {
            table: ResourceTable::new(),
            wasi: WasiCtx::builder().build(),
            http: WasiHttpCtx::new(),
            hooks: Loopback,
        };
        let mut store = Store::new(self.component.engine(), state);
        let instance = self.linker.instantiate_async(&mut store, &self.component);
        let instance = instance.await.unwrap();
        let call = instance
            .get_typed_func::<(&str, &str), (Result<u16, String>,)>(&mut store, "get-object")
            .unwrap();
        let (status,) = call
            .call_async(&mut store, (endpoint, authority))
            .await
            .unwrap();
        status
    }
}
