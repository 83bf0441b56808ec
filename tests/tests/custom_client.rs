//! The component with a metadata client of one's own, composed, and run where there is no HTTP.

#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "support/build.rs"]
mod build;
#[path = "support/compose.rs"]
mod compose;

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use ec2_role_host::inspect::Inspection;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use self::bindings::Provider;
use self::bindings::exports::imds::credentials::ec2_role::Options;
use self::bindings::exports::imds::credentials::provider::{
    Credentials, Error, Failure, Reason, Step,
};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "
            package test:host;
            world provider {
                export imds:credentials/provider@0.1.0;
                export imds:credentials/ec2-role@0.1.0;
            }
        ",
        exports: { default: async },
        additional_derives: [serde::Deserialize],
    });
}

static COMPOSED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let client = build::component("metadata-client-component");
    compose::compose(build::variant("custom-client"), client).unwrap()
});

/// A host that gives no HTTP.
struct State {
    table: ResourceTable,
    wasi: WasiCtx,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

struct Instance {
    store: Store<State>,
    exports: Provider,
}

impl Instance {
    async fn new() -> Self {
        let engine = Engine::default();
        let component = Component::from_binary(&engine, &COMPOSED).unwrap();
        let mut linker: Linker<State> = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
        let state = State {
            table: ResourceTable::new(),
            wasi: WasiCtx::builder().build(),
        };
        let mut store = Store::new(&engine, state);
        let exports = Provider::instantiate_async(&mut store, &component, &linker);
        let exports = exports.await.unwrap();
        Self { store, exports }
    }

    async fn with_role(role: &str) -> Self {
        let mut instance = Self::new().await;
        let options = Options {
            role_name: Some(role.to_owned()),
            ..no_options()
        };
        instance.configure(options).await.unwrap();
        instance
    }

    async fn configure(&mut self, options: Options) -> Result<(), Error> {
        let ec2_role = self.exports.imds_credentials_ec2_role();
        let configured = ec2_role.call_configure(&mut self.store, &options).await;
        configured.unwrap()
    }

    async fn credentials(&mut self) -> Result<Credentials, Error> {
        let provider = self.exports.imds_credentials_provider();
        let credentials = provider.call_get_credentials(&mut self.store).await;
        credentials.unwrap()
    }

    async fn failure(role: &str) -> Failure {
        let credentials = Self::with_role(role).await.credentials().await;
        let Err(Error::Failed(failure)) = credentials else {
            unreachable!("{role}: {credentials:?}")
        };
        failure
    }
}

/// All options at their defaults: serde reads an absent field as `None`.
fn no_options() -> Options {
    serde_json::from_str("{}").unwrap()
}

#[test]
fn nothing_of_http_is_imported() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    for (name, component) in [
        ("custom-client", &build::variant("custom-client")),
        ("custom-client-composed", &*COMPOSED),
    ] {
        let inspection = Inspection::new(component).unwrap();
        for (kind, found) in [
            ("imports", inspection.imports),
            ("exports", inspection.exports),
        ] {
            let golden = golden.join(format!("{name}.{kind}.txt"));
            let agreed = fs::read_to_string(&golden).unwrap();
            let agreed: Vec<_> = agreed.lines().collect();
            assert_eq!(found, agreed, "{}", golden.display());
        }
    }
}

#[tokio::test]
async fn it_asks_the_client_for_the_list_and_the_document_and_holds_what_it_gave() {
    let mut instance = Instance::new().await;
    let first = instance.credentials().await.unwrap();
    assert_eq!(first.access_key_id, "ASIACLIENT0");
    assert_eq!(first.source, "EC2RoleProvider");
    let again = instance.credentials().await.unwrap();
    assert_eq!(again.access_key_id, "ASIACLIENT0");

    let provider = instance.exports.imds_credentials_provider();
    let invalidated = provider.call_invalidate(&mut instance.store).await;
    invalidated.unwrap();
    let next = instance.credentials().await.unwrap();
    assert_eq!(next.access_key_id, "ASIACLIENT1");

    let ec2_role = instance.exports.imds_credentials_ec2_role();
    let status = ec2_role.call_status(&mut instance.store).await.unwrap();
    assert_eq!(status.role_name.as_deref(), Some("a-role"));
    assert_eq!(status.requests.role_list, 2);
    assert_eq!(status.requests.role_credentials, 2);
    assert_eq!(status.requests.token, 0);
    assert!(status.imds_version.is_none() && status.token_received.is_none());
}

#[tokio::test]
async fn what_the_client_says_is_passed_on_with_its_reason() {
    for (role, reason, status) in [
        ("says-denied", Reason::Denied, None),
        ("says-unavailable", Reason::Unavailable, None),
        ("says-timeout", Reason::Timeout, None),
        ("says-404", Reason::NoRole, Some(404)),
        ("says-503", Reason::Throttled, Some(503)),
        ("says-nonsense", Reason::InvalidResponse, None),
        ("says-much", Reason::InvalidResponse, None),
    ] {
        let failure = Instance::failure(role).await;
        assert_eq!(failure.reason, reason, "{role}");
        assert_eq!(failure.step, Step::RoleCredentials, "{role}");
        assert_eq!(failure.status, status, "{role}");
        assert_eq!(failure.attempts, 1, "{role}");
    }
    let denied = Instance::failure("says-denied").await;
    assert_eq!(
        denied.message,
        "the metadata client says: as it was told to by its role"
    );
    let mut disabled = Instance::with_role("says-disabled").await;
    assert!(matches!(disabled.credentials().await, Err(Error::Disabled)));
    let mut other = Instance::with_role("says-what").await;
    let Err(Error::Other(words)) = other.credentials().await else {
        panic!()
    };
    assert_eq!(
        words,
        "the metadata client says: no such path: iam/security-credentials/says-what"
    );
}

#[tokio::test]
async fn options_of_the_other_client_are_refused() {
    let mut instance = Instance::new().await;
    let options = Options {
        token_ttl: Some(60),
        role_name: Some("says-denied".into()),
        ..no_options()
    };
    let Err(Error::Unsupported(words)) = instance.configure(options).await else {
        panic!()
    };
    assert!(words.starts_with("option token-ttl "), "{words}");
    // Nothing has changed.
    instance.credentials().await.unwrap();

    let options = Options {
        disabled: Some(true),
        ..no_options()
    };
    instance.configure(options).await.unwrap();
    assert!(matches!(instance.credentials().await, Err(Error::Disabled)));
}
