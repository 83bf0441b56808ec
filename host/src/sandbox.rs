//! The sandbox: what the component is given, and how much of it.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use wasmtime::component::{Component, HasData, Linker, ResourceTable};
use wasmtime::{Engine, Store, StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksCtx, WasiClocksCtxView};
use wasmtime_wasi::p2::bindings as wasi;
use wasmtime_wasi::random::{WasiRandom, WasiRandomCtx};
use wasmtime_wasi_http::p2::bindings as wasi_http;
use wasmtime_wasi_http::{
    Error as HttpError, RequestOptions, WasiBody, WasiHttp, WasiHttpCtx, WasiHttpCtxView,
    WasiHttpHooks,
};

use crate::COMPONENT;
use crate::egress::Egress;
use crate::error::{Error, ErrorKind};
use crate::inspect::Inspection;

/// What wasmtime makes of the exports. The imports are linked by hand, one by one.
mod generated {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "
            package imds:host;
            world exports {
                export imds:credentials/provider@0.1.0;
                export imds:credentials/ec2-role@0.1.0;
                export imds:credentials/metadata@0.1.0;
            }
        ",
        exports: { default: async },
    });
}

/// The types of the component's interfaces.
pub(crate) mod bindings {
    #[cfg(test)]
    pub(crate) use super::generated::exports::imds::credentials::metadata;
    pub(crate) use super::generated::exports::imds::credentials::{ec2_role, provider};
}

/// Memory of one instance. The component needs 192 KiB.
const MEMORY_LIMIT: usize = 1024 * 1024;

/// Modules in the component: its own, and two that adapt the ABI.
const INSTANCE_LIMIT: usize = 4;

/// Handles (requests, streams, pollables) of one instance at a time.
const HANDLE_LIMIT: usize = 64;

/// The interfaces that a component is given; anything else makes it unfit.
const INTERFACES: [&str; 8] = [
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:http/outgoing-handler",
    "wasi:http/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/random",
];

/// A component, compiled and linked, ready to be instantiated.
#[derive(Clone)]
pub(crate) struct Sandbox {
    exports: generated::ExportsPre<State>,
}

impl Sandbox {
    /// The component that the library was built with. It is compiled once in a process.
    pub(crate) fn built_in() -> Result<Self, Error> {
        static BUILT_IN: Mutex<Option<Sandbox>> = Mutex::new(None);

        let mut built_in = BUILT_IN.lock().unwrap_or_else(PoisonError::into_inner);
        match &*built_in {
            Some(sandbox) => Ok(sandbox.clone()),
            None => Ok(built_in.insert(Self::new(COMPONENT)?).clone()),
        }
    }

    /// Compiles `component`, which may be any that exports the interfaces of `imds:credentials`.
    pub(crate) fn new(component: &[u8]) -> Result<Self, Error> {
        let unfit = |message: &str| Error::new(ErrorKind::Component, message);
        let engine = Engine::default();
        let component = Component::from_binary(&engine, component)
            .map_err(|error| unfit("the component cannot be compiled").with_source(error))?;
        let unknown: Vec<String> = Inspection::of(&component, &engine)
            .imports
            .into_iter()
            .filter(|import| !INTERFACES.contains(&without_version(import)))
            .collect();
        if !unknown.is_empty() {
            return Err(unfit(&format!(
                "the component imports what the sandbox does not give: {}",
                unknown.join(", ")
            )));
        }
        let linker = linker(&engine)
            .map_err(|error| unfit("the sandbox cannot be set up").with_source(error))?;
        let exports = linker
            .instantiate_pre(&component)
            .and_then(generated::ExportsPre::new)
            .map_err(|error| unfit("the component does not fit the sandbox").with_source(error))?;
        Ok(Self { exports })
    }

    /// A fresh instance, whose requests go through `egress`.
    pub(crate) async fn instantiate(&self, egress: Egress) -> Result<Instance, Error> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLE_LIMIT);
        let state = State {
            table,
            clocks: WasiClocksCtx::default(),
            random: WasiRandomCtx::default(),
            http: WasiHttpCtx::new(),
            hooks: Hooks(egress),
            limits: StoreLimitsBuilder::new()
                .memory_size(MEMORY_LIMIT)
                .instances(INSTANCE_LIMIT)
                .memories(1)
                .tables(2)
                .build(),
        };
        let mut store = Store::new(self.exports.engine(), state);
        store.limiter(|state| &mut state.limits);
        let exports = self
            .exports
            .instantiate_async(&mut store)
            .await
            .map_err(|error| {
                Error::new(ErrorKind::Component, "the component cannot be instantiated")
                    .with_source(error)
            })?;
        Ok(Instance { store, exports })
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").finish_non_exhaustive()
    }
}

/// An instance of the component. After an error of the kind [`ErrorKind::Component`] it is of no
/// more use.
pub(crate) struct Instance {
    store: Store<State>,
    exports: generated::Exports,
}

/// What a call gives: the component's own answer, in wasmtime's.
type Answer<T> = wasmtime::Result<Result<T, bindings::provider::Error>>;

impl Instance {
    pub(crate) async fn configure(
        &mut self,
        options: &bindings::ec2_role::Options,
    ) -> Result<(), Error> {
        let role = self.exports.imds_credentials_ec2_role();
        unwrap(role.call_configure(&mut self.store, options).await)
    }

    pub(crate) async fn get_credentials(
        &mut self,
    ) -> Result<bindings::provider::Credentials, Error> {
        let provider = self.exports.imds_credentials_provider();
        unwrap(provider.call_get_credentials(&mut self.store).await)
    }

    pub(crate) async fn retrieve(&mut self) -> Result<bindings::provider::Credentials, Error> {
        let role = self.exports.imds_credentials_ec2_role();
        unwrap(role.call_retrieve(&mut self.store).await)
    }

    pub(crate) async fn reject(&mut self, access_key_id: &str) -> Result<(), Error> {
        let provider = self.exports.imds_credentials_provider();
        unwrap(
            provider
                .call_reject(&mut self.store, access_key_id)
                .await
                .map(Ok),
        )
    }

    pub(crate) async fn get_metadata(&mut self, path: &str) -> Result<String, Error> {
        let metadata = self.exports.imds_credentials_metadata();
        unwrap(metadata.call_get_metadata(&mut self.store, path).await)
    }
}

fn unwrap<T>(answer: Answer<T>) -> Result<T, Error> {
    match answer {
        Ok(answer) => answer.map_err(Error::from),
        Err(trap) => {
            Err(Error::new(ErrorKind::Component, "the component trapped").with_source(trap))
        }
    }
}

/// Links [`INTERFACES`].
fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    let l = &mut linker;
    wasmtime_wasi_io::bindings::wasi::io::error::add_to_linker::<State, Io>(l, State::io)?;
    wasmtime_wasi_io::bindings::wasi::io::poll::add_to_linker::<State, Io>(l, State::io)?;
    wasmtime_wasi_io::bindings::wasi::io::streams::add_to_linker::<State, Io>(l, State::io)?;
    wasi::clocks::monotonic_clock::add_to_linker::<State, WasiClocks>(l, State::clocks)?;
    wasi::clocks::wall_clock::add_to_linker::<State, WasiClocks>(l, State::clocks)?;
    wasi::random::random::add_to_linker::<State, WasiRandom>(l, |state| &mut state.random)?;
    let http = wasi_http::LinkOptions::default();
    wasi_http::http::types::add_to_linker::<State, WasiHttp>(l, &http.into(), State::http)?;
    wasi_http::http::outgoing_handler::add_to_linker::<State, WasiHttp>(l, State::http)?;
    Ok(linker)
}

/// `wasi:io/poll@0.2.6` without its version.
fn without_version(interface: &str) -> &str {
    interface
        .split_once('@')
        .map_or(interface, |(name, _)| name)
}

/// What an instance's imports work on.
struct State {
    table: ResourceTable,
    clocks: WasiClocksCtx,
    random: WasiRandomCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
    limits: StoreLimits,
}

impl State {
    fn io(&mut self) -> &mut ResourceTable {
        &mut self.table
    }

    fn clocks(&mut self) -> WasiClocksCtxView<'_> {
        WasiClocksCtxView {
            ctx: &mut self.clocks,
            table: &mut self.table,
        }
    }

    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.hooks,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

struct Io;

impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}

/// The door out.
struct Hooks(Egress);

type Sent = (
    http::Response<WasiBody>,
    Box<dyn Future<Output = Result<(), HttpError>> + Send>,
);

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), HttpError>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, HttpError>> + Send> {
        if let Err(refusal) = self.0.check(request.method(), request.uri()) {
            tracing::warn!(
                ?refusal,
                "the component sent a request that may not leave the sandbox"
            );
            return Box::new(async { Err(HttpError::HttpRequestDenied) });
        }
        let egress = self.0.clone();
        Box::new(async move {
            let response = egress.send(request, options).await?;
            let finished: Box<dyn Future<Output = Result<(), HttpError>> + Send> =
                Box::new(async { Ok(()) });
            Ok((response, finished))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, TcpListener};

    use super::bindings::{ec2_role, metadata, provider};
    use super::*;

    /// An IMDS that has these bodies at these paths, and a token.
    fn imds(bodies: &'static [(&'static str, &'static str)]) -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    head.extend(byte);
                }
                let head = String::from_utf8(head).unwrap();
                let path = head.split(' ').nth(1).unwrap();
                let body = match path {
                    "/latest/api/token" => Some("the-token"),
                    path => bodies
                        .iter()
                        .find(|(at, _)| *at == path)
                        .map(|(_, body)| *body),
                };
                let status = if body.is_some() {
                    "200 OK"
                } else {
                    "404 Not Found"
                };
                let body = body.unwrap_or_default();
                write!(
                    stream,
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )
                .unwrap();
            }
        });
        url
    }

    fn options(endpoint: &str) -> ec2_role::Options {
        ec2_role::Options {
            disabled: None,
            endpoint: Some(endpoint.to_owned()),
            endpoint_mode: None,
            imdsv1: None,
            role_name: None,
            connect_timeout: None,
            read_timeout: Some(30_000),
            operation_timeout: Some(60_000),
            attempts: None,
            token_ttl: None,
            expiry_window: None,
            expiry_window_jitter: None,
            refresh_policy: None,
            max_extension: None,
            extended_path: None,
        }
    }

    async fn instance(endpoint: &str) -> Instance {
        let sandbox = Sandbox::built_in().unwrap();
        let mut instance = sandbox
            .instantiate(endpoint.parse().unwrap())
            .await
            .unwrap();
        instance.configure(&options(endpoint)).await.unwrap();
        instance
    }

    impl Instance {
        fn metadata(&mut self) -> (&metadata::Guest, &mut Store<State>) {
            (self.exports.imds_credentials_metadata(), &mut self.store)
        }

        fn role(&mut self) -> (&ec2_role::Guest, &mut Store<State>) {
            (self.exports.imds_credentials_ec2_role(), &mut self.store)
        }
    }

    #[tokio::test]
    async fn metadata_comes_through_the_component() {
        let url = imds(&[
            ("/latest/meta-data/ami-id", "ami-1"),
            ("/latest/dynamic/fws/instance-monitoring", "disabled"),
            ("/latest/user-data", "\u{1f}\u{8b} bytes"),
            (
                "/latest/dynamic/instance-identity/document",
                r#"{"region":"eu-central-1","instanceId":"i-1","billingProducts":["b"],"kernelId":null}"#,
            ),
            (
                "/latest/meta-data/iam/info",
                r#"{"Code":"Success","InstanceProfileId":"AIPA1"}"#,
            ),
        ]);
        let mut instance = instance(&url).await;
        let (metadata, store) = instance.metadata();
        assert_eq!(
            metadata
                .call_get_metadata(&mut *store, "ami-id")
                .await
                .unwrap()
                .unwrap(),
            "ami-1"
        );
        let dynamic = metadata
            .call_get_dynamic_data(&mut *store, "fws/instance-monitoring")
            .await;
        assert_eq!(dynamic.unwrap().unwrap(), "disabled");
        let user_data = metadata
            .call_get_user_data(&mut *store)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(user_data, "\u{1f}\u{8b} bytes".as_bytes());
        assert_eq!(
            metadata
                .call_get_region(&mut *store)
                .await
                .unwrap()
                .unwrap(),
            "eu-central-1"
        );
        let document = metadata
            .call_get_instance_identity_document(&mut *store)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((&*document.instance_id, document.kernel_id), ("i-1", None));
        assert_eq!(document.billing_products, ["b"]);
        let info = metadata
            .call_get_iam_info(&mut *store)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(info.instance_profile_id, "AIPA1");
        let missing = metadata
            .call_get_metadata(&mut *store, "spot/instance-action")
            .await
            .unwrap();
        let provider::Error::Failed(failure) = missing.unwrap_err() else {
            panic!()
        };
        assert_eq!(
            (failure.reason, failure.status),
            (provider::Reason::NotFound, Some(404))
        );

        let (role, store) = instance.role();
        let status = role.call_status(&mut *store).await.unwrap();
        assert_eq!(status.imds_version, Some(ec2_role::ImdsVersion::V2));
        assert_eq!((status.requests.token, status.requests.metadata), (1, 7));
        assert!(status.token_expires > status.token_received);
        assert_eq!(status.refreshes, 0);
    }

    #[tokio::test]
    async fn the_single_steps_come_through_the_component() {
        let url = imds(&[
            ("/latest/meta-data/iam/security-credentials/", "role"),
            (
                "/latest/meta-data/iam/security-credentials/role",
                r#"{"Code":"Success","AccessKeyId":"id","SecretAccessKey":"s","Token":"t","Expiration":"2100-01-01T00:00:00Z"}"#,
            ),
        ]);
        let mut instance = instance(&url).await;
        let credentials = instance.get_credentials().await.unwrap();
        let expires = credentials.expires.unwrap();
        let (role, store) = instance.role();

        let adjusted = role
            .call_adjust_expires_by(&mut *store, &credentials, -60_000)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(adjusted.expires, Some(expires - 60));
        let cause = provider::Error::InvalidConfiguration(provider::InvalidOption {
            name: "n".into(),
            value: "v".into(),
            accepted: "a".into(),
        });
        let kept = role
            .call_handle_fail_to_refresh(&mut *store, Some(&credentials), &cause)
            .await
            .unwrap();
        assert_eq!(kept.unwrap().expires, Some(expires));
        let none = role
            .call_handle_fail_to_refresh(&mut *store, None, &cause)
            .await
            .unwrap();
        let provider::Error::InvalidConfiguration(invalid) = none.unwrap_err() else {
            panic!()
        };
        assert_eq!(
            (&*invalid.name, &*invalid.value, &*invalid.accepted),
            ("n", "v", "a")
        );

        let status = role.call_status(&mut *store).await.unwrap();
        assert_eq!(status.role_name.as_deref(), Some("role"));
        assert_eq!(status.expires, Some(expires));
        assert_eq!(status.next_refresh, Some(credentials.refresh_after));
        assert_eq!(status.document_expires, Some(4_102_444_800));
        assert_eq!((status.refreshes, status.extensions), (1, 0));
        assert!(status.last_success.is_some() && status.last_failure.is_none());

        let wrong = ec2_role::Options {
            token_ttl: Some(0),
            ..options(&url)
        };
        let error = role
            .call_configure(&mut *store, &wrong)
            .await
            .unwrap()
            .unwrap_err();
        assert!(
            matches!(error, provider::Error::InvalidConfiguration(invalid) if invalid.name == "token-ttl")
        );
    }
}
