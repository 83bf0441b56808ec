//! An IMDS client of the embedder's own, in place of the built-in one (7.1 to 7.4): what the AWS SDK
//! for Go v2 calls `Options.Client`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::future::Future;

use crate::config::Options;
use crate::error::{Error, Failure, Reason, Step};
use crate::imds::client::{self, Version};
use crate::imds::session::Session;
use crate::instance::InstanceClient;
use crate::metadata::{self, DOCUMENT_LIMIT, Found, MetadataClient, RequestCounts};
use crate::ports::Clock;

/// The client's own words are passed on up to so many characters (7.3).
const WORDS: usize = 200;

/// The client, as the WIT interface `metadata-client` has it.
pub trait CustomClientPort {
    /// The body at `path` below `/latest/meta-data/`, of an answer with a status of 2xx.
    fn get_metadata(&mut self, path: &str) -> impl Future<Output = Result<Vec<u8>, ClientError>>;
}

/// Why there is no answer. Mirrors `metadata-client.client-error`; the texts are the client's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// The client is switched off.
    Disabled,
    /// It was not let out.
    Denied(String),
    /// Nothing answers.
    Unavailable(String),
    /// No answer in time.
    Timeout(String),
    /// An answer with this status, other than 2xx.
    Status(u16),
    /// An answer that cannot be understood.
    InvalidResponse(String),
    /// Anything else.
    Other(String),
}

/// An [`InstanceClient`] that asks the embedder's client.
#[derive(Debug)]
pub struct CustomClient<P, C> {
    port: P,
    clock: C,
    disabled: bool,
    counts: RequestCounts,
}

impl<P: CustomClientPort, C: Clock> CustomClient<P, C> {
    /// A client that has asked nothing yet.
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
            Err(ClientError::Other(words)) => return Err(Error::Other(said(&words))),
            Err(ClientError::Denied(words)) => (Reason::Denied, None, said(&words)),
            Err(ClientError::Unavailable(words)) => (Reason::Unavailable, None, said(&words)),
            Err(ClientError::Timeout(words)) => (Reason::Timeout, None, said(&words)),
            Err(ClientError::InvalidResponse(words)) => {
                (Reason::InvalidResponse, None, said(&words))
            }
            Err(ClientError::Status(status)) => (
                metadata::reason_of_status(status, step),
                Some(status),
                format!("IMDS answered {status}"),
            ),
        };
        Err(Error::Failed(Failure {
            reason,
            step,
            status,
            code: None,
            attempts: 1,
            elapsed,
            message,
        }))
    }
}

/// One line of bounded length.
fn said(words: &str) -> String {
    let line = words.chars().map(|c| if c.is_control() { ' ' } else { c });
    format!(
        "the metadata client says: {}",
        line.take(WORDS).collect::<String>()
    )
}

impl<P: CustomClientPort, C: Clock> InstanceClient for CustomClient<P, C> {
    fn supports(options: &Options) -> Result<(), Error> {
        match options.first_of_built_in_client() {
            None => Ok(()),
            Some(name) => Err(Error::Unsupported(format!(
                "option {name} is for the metadata client, and this build has one of the embedder's own: set it there"
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
