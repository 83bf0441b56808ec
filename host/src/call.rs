//! Calls to the component, and the channel on which they reach the owner of its instance.

use std::fmt;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind};
use crate::wit::metadata::{IamInfo, InstanceIdentityDocument};

/// A call to the component, and where its answer goes.
pub(crate) enum Call {
    Refresh(Reply<Arc<Credentials>>),
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

/// Sends calls to the owner of the instance.
#[derive(Clone)]
pub(crate) struct Calls(mpsc::UnboundedSender<Call>);

impl Calls {
    pub(crate) fn channel() -> (Self, mpsc::UnboundedReceiver<Call>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Sends a call and waits for its answer.
    pub(crate) async fn call<T>(&self, call: impl FnOnce(Reply<T>) -> Call) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.send(call(reply));
        self::answer(answer).await
    }

    /// Sends a call. If the owner has stopped, the call is dropped and so is its reply, which
    /// [`answer`] reports.
    pub(crate) fn send(&self, call: Call) {
        let _ = self.0.send(call);
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").finish_non_exhaustive()
    }
}

/// Waits for the answer to a call.
pub(crate) async fn answer<T>(answer: oneshot::Receiver<Result<T, Error>>) -> Result<T, Error> {
    answer.await.map_err(|_| stopped())?
}

#[cold]
fn stopped() -> Error {
    Error::new(ErrorKind::Other, "the provider has stopped")
}
