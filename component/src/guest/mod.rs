//! The component: its exports, and the ports on WASI.
//!
//! A component instance is one [`Instance`]. Calls come one at a time, for a component is not
//! entered again while it is in a call; so the one instance sits in a cell, and every port blocks
//! until it has its answer.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use crate::imds::client::Tree;
use crate::provider::Shift;

use self::bindings::exports::imds::credentials::{ec2_role, metadata, provider};
use self::clock::WasiClock;
use self::random::WasiRandom;
use self::transport::WasiTransport;

mod bindings;
mod clock;
mod convert;
mod random;
mod runtime;
mod transport;

type Instance = crate::instance::Instance<WasiTransport, WasiClock, WasiRandom>;

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

impl metadata::Guest for Component {
    fn get_metadata(path: String) -> Result<String, provider::Error> {
        text(Tree::Metadata, &path)
    }

    fn get_dynamic_data(path: String) -> Result<String, provider::Error> {
        text(Tree::Dynamic, &path)
    }

    fn get_user_data() -> Result<Vec<u8>, provider::Error> {
        with_instance(|instance| Ok(ready(instance.metadata(Tree::UserData, ""))?))
    }

    fn get_region() -> Result<String, provider::Error> {
        with_instance(|instance| Ok(ready(instance.region())?))
    }

    fn get_instance_identity_document()
    -> Result<metadata::InstanceIdentityDocument, provider::Error> {
        with_instance(|instance| Ok(ready(instance.identity_document())?.into()))
    }

    fn get_iam_info() -> Result<metadata::IamInfo, provider::Error> {
        with_instance(|instance| Ok(ready(instance.iam_info())?.into()))
    }
}

fn text(tree: Tree, path: &str) -> Result<String, provider::Error> {
    with_instance(|instance| Ok(ready(instance.text(tree, path))?))
}

/// Runs `f` on the one instance, which begins to exist with the first call.
fn with_instance<O>(f: impl FnOnce(&mut Instance) -> O) -> O {
    static INSTANCE: runtime::OneThread<RefCell<Option<Box<Instance>>>> =
        runtime::OneThread::new(RefCell::new(None));

    let mut instance = INSTANCE.get().borrow_mut();
    f(
        instance
            .get_or_insert_with(|| Box::new(Instance::new(WasiTransport, WasiClock, WasiRandom))),
    )
}

/// The outcome of a future on ports that block.
fn ready<O>(future: impl Future<Output = O>) -> O {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        // No port ever waits for a waker.
        Poll::Pending => runtime::trap(),
    }
}
