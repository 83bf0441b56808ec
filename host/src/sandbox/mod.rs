//! The sandbox: the component's imports, and limits on what it uses.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Store};

use crate::compiled;
use crate::error::{Error, ErrorKind};
use crate::inspect::{Inspection, NOT_WASM, is_wasm};
use crate::wit::{self, ec2_role, metadata, provider};

mod epoch;
mod state;
#[cfg(test)]
mod tests;

pub(crate) use self::state::{LastObstacle, Ports, Randomness};

use self::state::State;

/// The component that this library was built with.
pub const COMPONENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ec2_role_component.wasm"));

const SET_UP: &str = "cannot set up the sandbox";

#[cold]
fn unfit(message: &str, error: wasmtime::Error) -> Error {
    Error::with_source(ErrorKind::Component, message, error)
}

/// The one engine of the process, which all components share.
pub(crate) fn engine() -> Result<&'static Engine, Error> {
    static ENGINE: OnceLock<Result<Engine, Error>> = OnceLock::new();

    let engine = ENGINE.get_or_init(|| {
        let mut config = Config::new();
        config
            .epoch_interruption(true)
            .wasm_backtrace_max_frames(None);
        let engine = Engine::new(&config).map_err(|error| unfit(SET_UP, error))?;
        epoch::start(&engine)
            .map_err(|error| Error::with_source(ErrorKind::Component, SET_UP, error))?;
        Ok(engine)
    });
    engine.as_ref().map_err(Error::clone)
}

/// A component, compiled and linked, ready to be instantiated.
#[derive(Clone)]
pub(crate) struct Sandbox {
    exports: wit::ExportsPre<State>,
}

static BUILT_IN: Mutex<Option<Sandbox>> = Mutex::new(None);

impl Sandbox {
    /// The component that the library was built with, which a process compiles only once.
    pub(crate) fn built_in(cache: Option<&Path>) -> Result<Self, Error> {
        let mut built_in = BUILT_IN.lock().unwrap_or_else(PoisonError::into_inner);
        match &*built_in {
            Some(sandbox) => Ok(sandbox.clone()),
            None => Ok(built_in.insert(Self::new(COMPONENT, cache)?).clone()),
        }
    }

    /// Whether [`built_in`](Self::built_in) takes no time, because the process has compiled the
    /// component.
    pub(crate) fn is_built_in_ready() -> bool {
        BUILT_IN.try_lock().is_ok_and(|built_in| built_in.is_some())
    }

    /// Compiles `component`, or loads it from the folder `cache`. The component must export the
    /// interfaces of `imds:credentials`.
    pub(crate) fn new(component: &[u8], cache: Option<&Path>) -> Result<Self, Error> {
        if !is_wasm(component) {
            return Err(Error::new(ErrorKind::Component, NOT_WASM));
        }
        let engine = engine()?;
        let component = match cache {
            Some(folder) => compiled::load_or_compile(folder, engine, component),
            None => Component::from_binary(engine, component),
        }
        .map_err(|error| unfit("cannot compile the component", error))?;

        let mut linker = Linker::new(engine);
        let mut unknown = Vec::new();
        for import in Inspection::of(&component, engine).imports {
            match state::link(&mut linker, &import) {
                Ok(true) => {}
                Ok(false) => unknown.push(import),
                Err(error) => return Err(unfit(SET_UP, error)),
            }
        }
        if !unknown.is_empty() {
            return Err(Error::new(
                ErrorKind::Component,
                format!(
                    "the component imports interfaces that the sandbox does not provide: {}",
                    unknown.join(", ")
                ),
            ));
        }
        let exports = linker
            .instantiate_pre(&component)
            .and_then(wit::ExportsPre::new)
            .map_err(|error| {
                unfit(
                    "the component does not match the interfaces of the sandbox",
                    error,
                )
            })?;
        Ok(Self { exports })
    }

    /// Starts an instance, whose calls may take as long as `bound`.
    pub(crate) async fn instantiate(
        &self,
        ports: &Ports,
        bound: Duration,
    ) -> Result<Instance, Error> {
        let mut store = store(self.exports.engine(), ports);
        let exports = bounded(bound, self.exports.instantiate_async(&mut store)).await?;
        Ok(Instance {
            store,
            exports,
            bound,
        })
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").finish_non_exhaustive()
    }
}

/// The store of an instance, with its limits.
fn store(engine: &Engine, ports: &Ports) -> Store<State> {
    let mut store = Store::new(engine, State::new(ports));
    store.limiter(|state| &mut state.limits);
    store.set_hostcall_fuel(ports.limits.hostcall);
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    store
}

/// An instance of the component. It cannot be used again after an error of the kind
/// [`ErrorKind::Component`].
pub(crate) struct Instance {
    store: Store<State>,
    exports: wit::Exports,
    bound: Duration,
}

impl Instance {
    /// Gives the next call up to a tick before it yields. Otherwise it would yield at once if the epoch
    /// has advanced since the last call, and its caller would wait for another thread.
    pub(crate) fn renew_epoch(&mut self) {
        self.store.set_epoch_deadline(1);
    }

    pub(crate) async fn configure(
        &mut self,
        options: &ec2_role::Options,
    ) -> Result<Result<(), provider::Error>, Error> {
        let role = self.exports.imds_credentials_ec2_role();
        bounded(self.bound, role.call_configure(&mut self.store, options)).await
    }

    /// How many requests the component has made, also those that the sandbox denied.
    pub(crate) fn requests(&self) -> u64 {
        self.store.data().requests
    }

    pub(crate) async fn get_credentials(&mut self) -> Result<provider::Credentials, Error> {
        let provider = self.exports.imds_credentials_provider();
        Ok(bounded(self.bound, provider.call_get_credentials(&mut self.store)).await??)
    }

    pub(crate) async fn retrieve(&mut self) -> Result<provider::Credentials, Error> {
        let role = self.exports.imds_credentials_ec2_role();
        Ok(bounded(self.bound, role.call_retrieve(&mut self.store)).await??)
    }

    pub(crate) async fn invalidate(&mut self) -> Result<(), Error> {
        let provider = self.exports.imds_credentials_provider();
        bounded(self.bound, provider.call_invalidate(&mut self.store)).await
    }

    pub(crate) async fn reject(&mut self, access_key_id: &str) -> Result<(), Error> {
        let provider = self.exports.imds_credentials_provider();
        bounded(
            self.bound,
            provider.call_reject(&mut self.store, access_key_id),
        )
        .await
    }

    pub(crate) async fn status(&mut self) -> Result<ec2_role::ProviderStatus, Error> {
        let role = self.exports.imds_credentials_ec2_role();
        bounded(self.bound, role.call_status(&mut self.store)).await
    }

    pub(crate) async fn get_metadata(&mut self, path: &str) -> Result<String, Error> {
        let metadata = self.exports.imds_credentials_metadata();
        Ok(bounded(
            self.bound,
            metadata.call_get_metadata(&mut self.store, path),
        )
        .await??)
    }

    pub(crate) async fn get_dynamic_data(&mut self, path: &str) -> Result<String, Error> {
        let metadata = self.exports.imds_credentials_metadata();
        Ok(bounded(
            self.bound,
            metadata.call_get_dynamic_data(&mut self.store, path),
        )
        .await??)
    }

    pub(crate) async fn get_user_data(&mut self) -> Result<Vec<u8>, Error> {
        let metadata = self.exports.imds_credentials_metadata();
        Ok(bounded(self.bound, metadata.call_get_user_data(&mut self.store)).await??)
    }

    pub(crate) async fn get_region(&mut self) -> Result<String, Error> {
        let metadata = self.exports.imds_credentials_metadata();
        Ok(bounded(self.bound, metadata.call_get_region(&mut self.store)).await??)
    }

    pub(crate) async fn get_instance_identity_document(
        &mut self,
    ) -> Result<metadata::InstanceIdentityDocument, Error> {
        let metadata = self.exports.imds_credentials_metadata();
        Ok(bounded(
            self.bound,
            metadata.call_get_instance_identity_document(&mut self.store),
        )
        .await??)
    }

    pub(crate) async fn get_iam_info(&mut self) -> Result<metadata::IamInfo, Error> {
        let metadata = self.exports.imds_credentials_metadata();
        Ok(bounded(self.bound, metadata.call_get_iam_info(&mut self.store)).await??)
    }
}

/// Waits for a call, at most for `bound`. The component yields the processor at every tick of its
/// epoch, so the limit holds even for an endless loop.
async fn bounded<T>(
    bound: Duration,
    call: impl Future<Output = wasmtime::Result<T>>,
) -> Result<T, Error> {
    let _in_progress = epoch::Call::begin();
    // A transport, a clock or a random number generator of the program may panic here.
    let call = AssertUnwindSafe(tokio::time::timeout(bound, call)).catch_unwind();
    let Ok(call) = call.await else {
        return Err(Error::new(
            ErrorKind::Component,
            "the transport, clock or random number generator of the host panicked",
        ));
    };
    match call {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(trap)) => Err(Error::with_source(
            ErrorKind::Component,
            "the component trapped",
            trap,
        )),
        Err(_) => Err(Error::new(
            ErrorKind::Component,
            format!("the component did not return within {bound:?}"),
        )),
    }
}
