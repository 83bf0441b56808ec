//! Exports and ports on WASI 0.2.
//!
//! Calls come one at a time, because a component is not re-entered during a call. So the one instance
//! is in a cell, and every port blocks until it has its result.

use alloc::boxed::Box;
use alloc::string::String;
use core::cell::{RefCell, RefMut};
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use crate::guest::random::WasiRandom;
use crate::provider::Shift;

use self::bindings::exports::imds::credentials::{ec2_role, provider};
use self::client::ImdsClient;
use self::clock::WasiClock;

pub(super) mod bindings;
#[cfg_attr(feature = "custom-client", path = "custom_client.rs")]
#[cfg_attr(not(feature = "custom-client"), path = "metadata.rs")]
mod client;
mod clock;
mod runtime;
#[cfg(not(feature = "custom-client"))]
mod transport;

type Instance = crate::instance::Instance<ImdsClient, WasiClock, WasiRandom>;

struct Component;

impl provider::Guest for Component {
    fn get_credentials() -> Result<provider::Credentials, provider::Error> {
        with_instance(|instance| Ok(ready(instance.get_credentials())?.into()))
    }

    fn invalidate() {
        with_instance(Instance::invalidate);
    }

    fn reject(access_key_id: String) {
        with_instance(|instance| instance.reject(&access_key_id));
    }
}

impl ec2_role::Guest for Component {
    fn configure(options: ec2_role::Options) -> Result<(), provider::Error> {
        with_instance(|instance| Ok(instance.configure(options.into())?))
    }

    fn retrieve() -> Result<provider::Credentials, provider::Error> {
        with_instance(|instance| Ok(ready(instance.retrieve())?.into()))
    }

    fn adjust_expires_by(
        credentials: provider::Credentials,
        by: i64,
    ) -> Result<provider::Credentials, provider::Error> {
        with_instance(|instance| {
            Ok(instance
                .adjust_expires_by(credentials.into(), Shift::from_milliseconds(by))
                .into())
        })
    }

    fn handle_fail_to_refresh(
        previous: Option<provider::Credentials>,
        cause: provider::Error,
    ) -> Result<provider::Credentials, provider::Error> {
        with_instance(|instance| {
            Ok(instance
                .handle_fail_to_refresh(previous.map(Into::into), cause.into())?
                .into())
        })
    }

    fn status() -> ec2_role::ProviderStatus {
        with_instance(|instance| instance.status().into())
    }
}

/// Runs `f` on the one instance.
fn with_instance<O>(f: impl FnOnce(&mut Instance) -> O) -> O {
    f(&mut instance())
}

/// The one instance, which the first call creates. It is not part of `with_instance`, which is compiled
/// for each export.
#[inline(never)]
fn instance() -> RefMut<'static, Instance> {
    static INSTANCE: runtime::SingleThreaded<RefCell<Option<Box<Instance>>>> =
        runtime::SingleThreaded::new(RefCell::new(None));

    RefMut::map(INSTANCE.get().borrow_mut(), |instance| {
        &mut **instance.get_or_insert_with(|| Box::new(client::instance()))
    })
}

/// The output of a future whose ports block.
fn ready<O>(future: impl Future<Output = O>) -> O {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        // No port waits for a waker.
        Poll::Pending => runtime::trap(),
    }
}
