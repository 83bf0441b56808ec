//! A host that is not ours: wasmtime with all of WASI 0.2, and HTTP to this machine alone.

use wasmtime::component::{Component, Instance, Linker, Resource, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::http::types::{HostOutgoingRequest as _, OutgoingRequest};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView as _};

use crate::loopback::Loopback;

/// What an instance may use.
pub(crate) struct State {
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
    hooks: Loopback,
}

impl Host {
    pub(crate) fn new(component: &[u8]) -> Self {
        let engine = Engine::new(&Config::new()).unwrap();
        let component = Component::from_binary(&engine, component).unwrap();
        let mut linker: Linker<State> = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).unwrap();
        Self {
            component,
            linker,
            hooks: Loopback::default(),
        }
    }

    /// Components may not set these headers.
    pub(crate) fn forbidding(mut self, headers: &'static [&'static str]) -> Self {
        self.hooks.forbidden = headers;
        self
    }

    /// Requests to IPv6 addresses cannot be made, as in Node.js.
    pub(crate) fn without_ipv6(mut self) -> Self {
        self.linker.allow_shadowing(true);
        let mut types = self.linker.instance("wasi:http/types@0.2.12").unwrap();
        let set_authority = "[method]outgoing-request.set-authority";
        types
            .func_wrap(set_authority, |mut store, (request, authority)| {
                let request: Resource<OutgoingRequest> = request;
                let authority: Option<String> = authority;
                if authority.as_ref().is_some_and(|text| text.contains('[')) {
                    return Ok((Err(()),));
                }
                let set = store.data_mut().http().set_authority(request, authority)?;
                Ok((set,))
            })
            .unwrap();
        self
    }

    /// A fresh instance.
    pub(crate) async fn instance(&self) -> (Store<State>, Instance) {
        let state = State {
            table: ResourceTable::new(),
            wasi: WasiCtx::builder().build(),
            http: WasiHttpCtx::new(),
            hooks: self.hooks,
        };
        let mut store = Store::new(self.component.engine(), state);
        let instance = self.linker.instantiate_async(&mut store, &self.component);
        let instance = instance.await.unwrap();
        (store, instance)
    }

    /// Calls `get-object` of a fresh instance.
    pub(crate) async fn get_object(&self, endpoint: &str, authority: &str) -> Result<u16, String> {
        let (mut store, instance) = self.instance().await;
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
