//! Exports and ports on WASI 0.3.
//!
//! Calls may overlap. The one instance is behind a lock, so calls are served one after the other
//! `[B8.1]`.

use alloc::string::String;
use alloc::vec::Vec;

use futures_util::lock::{MappedMutexGuard, Mutex, MutexGuard};

use crate::guest::random::WasiRandom;
use crate::imds::client::{Client, Tree};
use crate::provider::Shift;

use self::bindings::exports::imds::credentials::{ec2_role, metadata, provider};
use self::clock::WasiClock;
use self::transport::WasiTransport;

pub(super) mod bindings;
mod clock;
mod transport;

type Instance =
    crate::instance::Instance<Client<WasiTransport, WasiClock, WasiRandom>, WasiClock, WasiRandom>;

struct Component;

impl provider::Guest for Component {
    async fn get_credentials() -> Result<provider::Credentials, provider::Error> {
        Ok(instance().await.get_credentials().await?.into())
    }

    async fn invalidate() {
        instance().await.invalidate();
    }

    async fn reject(access_key_id: String) {
        instance().await.reject(&access_key_id);
    }
}

impl ec2_role::Guest for Component {
    async fn configure(options: ec2_role::Options) -> Result<(), provider::Error> {
        Ok(instance().await.configure(options.into())?)
    }

    async fn retrieve() -> Result<provider::Credentials, provider::Error> {
        Ok(instance().await.retrieve().await?.into())
    }

    async fn adjust_expires_by(
        credentials: provider::Credentials,
        by: i64,
    ) -> Result<provider::Credentials, provider::Error> {
        let by = Shift::from_milliseconds(by);
        Ok(instance()
            .await
            .adjust_expires_by(credentials.into(), by)
            .into())
    }

    async fn handle_fail_to_refresh(
        previous: Option<provider::Credentials>,
        cause: provider::Error,
    ) -> Result<provider::Credentials, provider::Error> {
        let previous = previous.map(Into::into);
        Ok(instance()
            .await
            .handle_fail_to_refresh(previous, cause.into())?
            .into())
    }

    async fn status() -> ec2_role::ProviderStatus {
        instance().await.status().into()
    }
}

impl metadata::Guest for Component {
    async fn get_metadata(path: String) -> Result<String, provider::Error> {
        text(Tree::Metadata, &path).await
    }

    async fn get_dynamic_data(path: String) -> Result<String, provider::Error> {
        text(Tree::Dynamic, &path).await
    }

    async fn get_user_data() -> Result<Vec<u8>, provider::Error> {
        Ok(instance().await.metadata(Tree::UserData, "").await?)
    }

    async fn get_region() -> Result<String, provider::Error> {
        Ok(instance().await.region().await?)
    }

    async fn get_instance_identity_document()
    -> Result<metadata::InstanceIdentityDocument, provider::Error> {
        Ok(instance().await.identity_document().await?.into())
    }

    async fn get_iam_info() -> Result<metadata::IamInfo, provider::Error> {
        Ok(instance().await.iam_info().await?.into())
    }
}

async fn text(tree: Tree, path: &str) -> Result<String, provider::Error> {
    Ok(instance().await.text(tree, path).await?)
}

/// The one instance, which the first call creates. A caller that cancels drops the guard, and the next
/// caller takes the instance as it is `[B8.2]`.
async fn instance() -> MappedMutexGuard<'static, Option<Instance>, Instance> {
    static INSTANCE: Mutex<Option<Instance>> = Mutex::new(None);

    MutexGuard::map(INSTANCE.lock().await, |instance| {
        instance.get_or_insert_with(|| Instance::new(WasiTransport, WasiClock, WasiRandom))
    })
}
