//! An IMDS client that the embedder provides, in place of the built-in client `[B7.1]` to `[B7.4]`: what
//! the AWS SDK for Go v2 calls `Options.Client`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::future::Future;

use crate::config::Options;
use crate::error::{Error, Failure, Reason, Step, quotable};
use crate::imds::client::{self, Version};
use crate::imds::session::Session;
use crate::instance::InstanceClient;
use crate::metadata::{self, DOCUMENT_LIMIT, Found, MetadataClient, RequestCounts};
use crate::ports::Clock;

/// The port to the embedder's client. Mirrors the WIT interface `metadata-client`.
pub trait CustomClientPort {
    /// The body at `path` below `/latest/meta-data/`, from a response with status 2xx.
    fn get_metadata(&mut self, path: &str) -> impl Future<Output = Result<Vec<u8>, ClientError>>;
}

/// Why there is no response. Mirrors `metadata-client.client-error`; the client writes the messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// The client is disabled.
    Disabled,
    /// The client is not allowed to reach IMDS.
    Denied(String),
    /// No connection to IMDS.
    Unavailable(String),
    /// No response in time.
    Timeout(String),
    /// A response with this status, other than 2xx.
    Status(u16),
    /// A malformed response.
    InvalidResponse(String),
    /// Any other error.
    Other(String),
}

/// An [`InstanceClient`] that calls the embedder's client.
#[derive(Debug)]
pub struct CustomClient<P, C> {
    port: P,
    clock: C,
    disabled: bool,
    counts: RequestCounts,
}

impl<P: CustomClientPort, C: Clock> CustomClient<P, C> {
    /// A client that calls `port`.
    pub fn new(port: P, clock: C) -> Self {
        Self {
            port,
            clock,
            disabled: false,
            counts: RequestCounts::default(),
        }
    }
}

impl<P: CustomClientPort, C: Clock> MetadataClient for CustomClient<P, C> {
    async fn metadata(&mut self, step: Step, path: &str) -> Result<Found, Error> {
        if self.disabled {
            return Err(Error::Disabled);
        }
        self.counts.add(step);
        let began = self.clock.monotonic();
        let outcome = self.port.get_metadata(path.trim_start_matches('/')).await;
        let elapsed = self.clock.monotonic().since(began);
        let (reason, status, message) = match outcome {
            Ok(body) if body.len() <= DOCUMENT_LIMIT => {
                return Ok(Found {
                    body,
                    attempts: 1,
                    elapsed,
                });
            }
            Ok(_) => (
                Reason::InvalidResponse,
                None,
                format!("the body is longer than {DOCUMENT_LIMIT} bytes"),
            ),
            Err(ClientError::Disabled) => return Err(Error::Disabled),
            Err(ClientError::Other(message)) => return Err(Error::Other(quoted(&message))),
            Err(ClientError::Denied(message)) => (Reason::Denied, None, quoted(&message)),
            Err(ClientError::Unavailable(message)) => (Reason::Unavailable, None, quoted(&message)),
            Err(ClientError::Timeout(message)) => (Reason::Timeout, None, quoted(&message)),
            Err(ClientError::InvalidResponse(message)) => {
                (Reason::InvalidResponse, None, quoted(&message))
            }
            Err(ClientError::Status(status)) => (
                metadata::reason_of_status(status, step),
                Some(status),
                format!("IMDS answered {status}"),
            ),
        };
        let failure = Failure {
            reason,
            step,
            status,
            code: None,
            attempts: 1,
            elapsed,
            message,
        };
        Err(failure.into())
    }
}

/// The client's own message `[B7.3]`.
fn quoted(message: &str) -> String {
    format!("the metadata client says: {}", quotable(message))
}

impl<P: CustomClientPort, C: Clock> InstanceClient for CustomClient<P, C> {
    // [B7.2]
    fn supports(options: &Options) -> Result<(), Error> {
        match options.first_of_built_in_client() {
            None => Ok(()),
            Some(name) => Err(Error::Unsupported(format!(
                "option {name} configures the built-in IMDS client, which this build does not have; configure your own metadata client instead"
            ))),
        }
    }

    fn configure(&mut self, settings: client::Settings) {
        self.disabled = settings.disabled;
    }

    fn answered(&self) -> Option<Version> {
        None
    }

    fn session(&self) -> Option<&Session> {
        None
    }

    fn counts(&self) -> RequestCounts {
        self.counts
    }
}
