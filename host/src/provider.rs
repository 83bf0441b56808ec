//! The handle that programs hold.
//!
//! A component instance takes one call at a time, and one whose call is given up on cannot be
//! entered again. So a task of its own owns the instance and sees every call to its end, whatever
//! becomes of the caller.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::credentials::Credentials;
use crate::egress::Egress;
use crate::error::{Error, ErrorKind};
use crate::sandbox::bindings::ec2_role;
use crate::sandbox::{Instance, Sandbox};

/// Where IMDS is on EC2.
const DEFAULT_ENDPOINT: &str = "http://169.254.169.254";

/// Calls that may wait for the instance. A caller beyond them waits for its place.
const QUEUE: usize = 64;

/// Gives credentials of the instance's role, from a component in a sandbox. Clones share the one
/// instance.
///
/// Whoever is given credentials gets a value that is good for a while: hold the provider, not the
/// credentials.
#[derive(Clone)]
pub struct Ec2RoleProvider {
    calls: mpsc::Sender<Call>,
}

impl Ec2RoleProvider {
    /// A provider for IMDS as it is on EC2.
    pub fn builder() -> Builder {
        Builder {
            component: None,
            egress: None,
            options: ec2_role::Options {
                disabled: None,
                endpoint: Some(DEFAULT_ENDPOINT.into()),
                endpoint_mode: None,
                imdsv1: None,
                role_name: None,
                connect_timeout: None,
                read_timeout: None,
                operation_timeout: None,
                attempts: None,
                token_ttl: None,
                expiry_window: None,
                expiry_window_jitter: None,
                refresh_policy: None,
                max_extension: None,
                extended_path: None,
            },
        }
    }

    /// Credentials that are good to use now: the ones held while they last, else new ones from
    /// IMDS.
    ///
    /// # Errors
    ///
    /// When there are none and IMDS gives none.
    pub async fn credentials(&self) -> Result<Arc<Credentials>, Error> {
        self.call(Call::Credentials).await
    }

    /// Credentials straight from IMDS, past the cache.
    ///
    /// # Errors
    ///
    /// When IMDS gives none.
    pub async fn retrieve(&self) -> Result<Arc<Credentials>, Error> {
        self.call(Call::Retrieve).await
    }

    /// Tells that AWS did not accept the credentials with this key id. If they are the ones held,
    /// the next call gets others; else nothing happens.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Component`] when the component cannot be run.
    pub async fn reject(&self, access_key_id: &str) -> Result<(), Error> {
        self.call(|reply| Call::Reject(access_key_id.to_owned(), reply))
            .await
    }

    /// What is at `path` below `/latest/meta-data`, as text.
    ///
    /// # Errors
    ///
    /// When IMDS does not give it; [`ErrorKind::NotFound`] when there is no such path.
    pub async fn metadata(&self, path: &str) -> Result<String, Error> {
        self.call(|reply| Call::Metadata(path.to_owned(), reply))
            .await
    }

    async fn call<T>(&self, call: impl FnOnce(Reply<T>) -> Call) -> Result<T, Error> {
        let stopped = || {
            Error::new(
                ErrorKind::Other,
                "the provider's task has ended with its runtime",
            )
        };
        let (reply, answer) = oneshot::channel();
        self.calls.send(call(reply)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

impl fmt::Debug for Ec2RoleProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ec2RoleProvider").finish_non_exhaustive()
    }
}

/// When requests are sent without a session token (IMDSv1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imdsv1Policy {
    /// Never.
    Never,
    /// When IMDS refuses to give a token: 403, 404 or 405.
    OnRefusal,
    /// After any failure to get a token but 400, silence and server errors included, as the AWS SDK
    /// for Go does.
    OnAnyFailure,
}

/// When credentials are refreshed, and what becomes of them when that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshPolicy {
    /// When they have ended. When that fails, their life is extended by 5 to 15 minutes.
    Classic,
    /// In a window before their end. When that fails, they go on unchanged, and the next attempt
    /// comes 5 to 10 minutes later.
    Windowed,
}

/// How a provider is to be. What is not set has the component's default.
#[derive(Clone)]
#[must_use]
pub struct Builder {
    component: Option<Vec<u8>>,
    egress: Option<Egress>,
    options: ec2_role::Options,
}

impl Builder {
    /// The base URL of IMDS. Default: `http://169.254.169.254`.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.options.endpoint = Some(url.into());
        self
    }

    /// The name of the role, which saves the request for it. Default: the one that IMDS lists.
    pub fn role_name(mut self, name: impl Into<String>) -> Self {
        self.options.role_name = Some(name.into());
        self
    }

    /// How long a connection may take to open: 1 ms to 1 min, whole milliseconds. Default: 1 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.connect_timeout = Some(milliseconds(timeout));
        self
    }

    /// How long an answer may take on an open connection: 1 ms to 1 min, whole milliseconds.
    /// Default: 1 s.
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.options.read_timeout = Some(milliseconds(timeout));
        self
    }

    /// How long one look-up may take in all: 1 ms to 10 min, whole milliseconds. Default: 5 s.
    pub fn operation_timeout(mut self, timeout: Duration) -> Self {
        self.options.operation_timeout = Some(milliseconds(timeout));
        self
    }

    /// How often a request is sent at most: 1 to 10. Default: 3.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.options.attempts = Some(attempts);
        self
    }

    /// When to send requests without a session token. Default: never.
    pub fn imdsv1(mut self, policy: Imdsv1Policy) -> Self {
        self.options.imdsv1 = Some(match policy {
            Imdsv1Policy::Never => ec2_role::Imdsv1Policy::Never,
            Imdsv1Policy::OnRefusal => ec2_role::Imdsv1Policy::OnRefusal,
            Imdsv1Policy::OnAnyFailure => ec2_role::Imdsv1Policy::OnAnyFailure,
        });
        self
    }

    /// When credentials are refreshed, and what becomes of them when that fails. Default:
    /// `Classic`.
    pub fn refresh_policy(mut self, policy: RefreshPolicy) -> Self {
        self.options.refresh_policy = Some(match policy {
            RefreshPolicy::Classic => ec2_role::RefreshPolicy::Classic,
            RefreshPolicy::Windowed => ec2_role::RefreshPolicy::Windowed,
        });
        self
    }

    /// Which requests leave the sandbox. Default: those to the endpoint.
    pub fn egress(mut self, egress: Egress) -> Self {
        self.egress = Some(egress);
        self
    }

    /// Another component in place of the built-in one. It must export the interfaces of
    /// `imds:credentials`.
    pub fn component(mut self, component: impl Into<Vec<u8>>) -> Self {
        self.component = Some(component.into());
        self
    }

    /// Compiles and configures the component. No request is sent. Needs a tokio runtime, which the
    /// provider lives in.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfiguration`] for a value that is not accepted,
    /// [`ErrorKind::Component`] for a component that does not fit.
    pub async fn build(self) -> Result<Ec2RoleProvider, Error> {
        let Self {
            component,
            egress,
            options,
        } = self;
        let egress = match egress {
            Some(egress) => egress,
            None => options
                .endpoint
                .as_deref()
                .unwrap_or(DEFAULT_ENDPOINT)
                .parse()
                .map_err(|error: crate::egress::InvalidEndpoint| {
                    Error::new(ErrorKind::InvalidConfiguration, error.to_string())
                })?,
        };
        // Compilation is work for the processor, some ten milliseconds of it in a release build.
        let sandbox = tokio::task::spawn_blocking(move || match component {
            Some(component) => Sandbox::new(&component),
            None => Sandbox::built_in(),
        })
        .await
        .map_err(|error| {
            Error::new(ErrorKind::Component, "the compilation was given up").with_source(error)
        })??;
        let mut owner = Owner {
            sandbox,
            egress,
            options,
            instance: None,
        };
        owner.instance().await?;
        let (calls, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(owner.run(waiting));
        Ok(Ec2RoleProvider { calls })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("egress", &self.egress)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// More than fits is more than is accepted, and the component says so.
fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

type Reply<T> = oneshot::Sender<Result<T, Error>>;

enum Call {
    Credentials(Reply<Arc<Credentials>>),
    Retrieve(Reply<Arc<Credentials>>),
    Reject(String, Reply<()>),
    Metadata(String, Reply<String>),
}

/// Owns the instance.
struct Owner {
    sandbox: Sandbox,
    egress: Egress,
    options: ec2_role::Options,
    instance: Option<Instance>,
}

impl Owner {
    /// Answers calls until the last handle is gone. A caller that is gone is no reason to stop.
    async fn run(mut self, mut calls: mpsc::Receiver<Call>) {
        while let Some(call) = calls.recv().await {
            match call {
                Call::Credentials(reply) => {
                    let answer = self
                        .with(async |instance| instance.get_credentials().await)
                        .await;
                    let _ = reply.send(answer.map(|credentials| Arc::new(credentials.into())));
                }
                Call::Retrieve(reply) => {
                    let answer = self.with(async |instance| instance.retrieve().await).await;
                    let _ = reply.send(answer.map(|credentials| Arc::new(credentials.into())));
                }
                Call::Reject(id, reply) => {
                    let answer = self.with(async |instance| instance.reject(&id).await).await;
                    let _ = reply.send(answer);
                }
                Call::Metadata(path, reply) => {
                    let answer = self
                        .with(async |instance| instance.get_metadata(&path).await)
                        .await;
                    let _ = reply.send(answer);
                }
            }
        }
    }

    /// Makes a call. After a trap the instance is of no more use, and the next call gets another.
    async fn with<T>(
        &mut self,
        call: impl AsyncFnOnce(&mut Instance) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let answer = call(self.instance().await?).await;
        if answer
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::Component)
        {
            self.instance = None;
        }
        answer
    }

    async fn instance(&mut self) -> Result<&mut Instance, Error> {
        if self.instance.is_none() {
            let mut instance = self.sandbox.instantiate(self.egress.clone()).await?;
            instance.configure(&self.options).await?;
            self.instance = Some(instance);
        }
        self.instance
            .as_mut()
            .ok_or_else(|| Error::new(ErrorKind::Component, "there is no instance"))
    }
}
