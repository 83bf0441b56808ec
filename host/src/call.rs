//! Calls to the component, and how they reach the owner of its instance.

use std::fmt;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind};
use crate::wit::metadata::{IamInfo, InstanceIdentityDocument};

/// A call to the component, and where its answer goes.
pub(crate) enum Call {
    Retrieve(Reply<Arc<Credentials>>),
    Invalidate(Reply<()>),
    Reject(String, Reply<()>),
    Metadata(String, Reply<String>),
    DynamicData(String, Reply<String>),
    UserData(Reply<Vec<u8>>),
    Region(Reply<String>),
    IdentityDocument(Reply<InstanceIdentityDocument>),
    IamInfo(Reply<IamInfo>),
}

/// Takes the answer to one call.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// The owner of the instance, for those who call it.
pub(crate) trait Callee: fmt::Debug + Send + Sync {
    /// Begins a call. It runs to completion even if nobody waits for its answer.
    fn begin(&self, call: Call);
}

impl dyn Callee + '_ {
    /// Makes a call and waits for its answer.
    pub(crate) async fn call<T>(&self, call: impl FnOnce(Reply<T>) -> Call) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.begin(call(reply));
        answer.await.map_err(|_| stopped())?
    }
}

/// The call ended without an answer.
#[cold]
pub(crate) fn stopped() -> Error {
    Error::new(ErrorKind::Other, "the provider has stopped")
}
