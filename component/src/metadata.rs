//! Look-ups of metadata: the interface of a client, the result of a look-up, request counts.

use alloc::string::String;
use alloc::vec::Vec;
use core::future::Future;
use core::time::Duration;

use crate::error::{Error, Failure, Reason, Step, quotable};

/// The size limit of listings and documents, in bytes `[B1.5]`.
pub const DOCUMENT_LIMIT: usize = 64 * 1024;

/// Looks up metadata: the built-in IMDS client, or one of the embedder's own.
pub trait MetadataClient {
    /// Gets what is at `path` below `/latest/meta-data`. `step` is the purpose of the look-up.
    fn metadata(&mut self, step: Step, path: &str) -> impl Future<Output = Result<Found, Error>>;
}

/// What a look-up found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The body of the response.
    pub body: Vec<u8>,
    /// How many requests the look-up took.
    pub attempts: u32,
    /// How long the look-up took.
    pub elapsed: Duration,
}

impl Found {
    /// A failure whose cause is the body.
    #[cold]
    pub fn failure(&self, reason: Reason, step: Step, message: String) -> Failure {
        Failure {
            reason,
            step,
            status: Some(200),
            code: None,
            attempts: self.attempts,
            elapsed: self.elapsed,
            message,
        }
    }

    /// The error for a document that contains the error code `code` instead of the requested data.
    #[cold]
    pub(crate) fn refused(&self, step: Step, what: &str, code: String, message: &str) -> Error {
        let why = match message.is_empty() {
            true => "no reason given".into(),
            false => quotable(message),
        };
        let mut failure = self.failure(Reason::Refused, step, [what, ": ", &why].concat());
        failure.code = Some(code);
        failure.into()
    }
}

/// How many requests a client has sent since it was created, by what they were for. Requests
/// without a response count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Requests for session tokens.
    pub token: u64,
    /// Requests for the list of roles.
    pub role_list: u64,
    /// Requests for the credentials document of a role.
    pub role_credentials: u64,
    /// All other requests.
    pub metadata: u64,
}

impl RequestCounts {
    /// Counts one request.
    pub(crate) fn add(&mut self, step: Step) {
        *self.count(step) += 1;
    }

    /// Uncounts a request that was not sent after all.
    #[cold]
    pub(crate) fn take_back(&mut self, step: Step) {
        *self.count(step) -= 1;
    }

    fn count(&mut self, step: Step) -> &mut u64 {
        match step {
            Step::Token => &mut self.token,
            Step::RoleList => &mut self.role_list,
            Step::RoleCredentials => &mut self.role_credentials,
            Step::Metadata => &mut self.metadata,
        }
    }
}

/// The reason that a status other than 200 stands for `[B3.1]`.
pub(crate) fn reason_of_status(status: u16, step: Step) -> Reason {
    match status {
        403 => Reason::Forbidden,
        // Every server that supports IMDSv2 has the token path.
        404 if step != Step::Token => Reason::NotFound,
        429 | 503 => Reason::Throttled,
        500..=599 => Reason::Unavailable,
        _ => Reason::UnexpectedStatus,
    }
}
