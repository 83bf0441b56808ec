//! What the logic needs from outside: an HTTP exchange, the clocks, and randomness.

use alloc::string::String;
use alloc::vec::Vec;
use core::future::Future;
use core::time::Duration;

use crate::time::{Monotonic, UnixTime};

/// The request header that carries the session token.
pub const TOKEN_HEADER: &str = "x-aws-ec2-metadata-token";

/// The header that states the lifetime of a session token in seconds: the one wanted in a request,
/// the one remaining in a response.
pub const TTL_HEADER: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// The response header that says how many seconds to wait before the next request.
pub const RETRY_AFTER_HEADER: &str = "retry-after";

/// The response headers that the logic reads. A transport may omit all others.
pub const RESPONSE_HEADERS: [&str; 2] = [TTL_HEADER, RETRY_AFTER_HEADER];

/// One HTTP exchange at a time: plain HTTP/1.1, without redirects and without proxies.
pub trait Transport {
    /// Sends `request` and reads the whole answer, or fails by `request.deadline`.
    fn exchange(
        &mut self,
        request: Request<'_>,
    ) -> impl Future<Output = Result<Response, TransportError>>;
}

/// The clocks.
pub trait Clock {
    /// Now, on the wall clock.
    fn wall(&self) -> UnixTime;

    /// Now, on the monotonic clock.
    fn monotonic(&self) -> Monotonic;

    /// Ends when so much time has passed on the monotonic clock.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()>;
}

/// Randomness that nobody can foresee.
pub trait Random {
    /// A number in `[0, 1)`, each as likely as any other.
    fn unit(&mut self) -> f64;
}

/// What to send.
#[derive(Clone, Copy)]
#[expect(
    missing_debug_implementations,
    reason = "the headers hold the session token"
)]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// The host to send it to, with a port where one is given.
    pub authority: &'a str,
    /// The whole path, percent-encoded, including the endpoint's own path.
    pub path: &'a str,
    /// All headers but `Host` and those that belong to the connection. The values may be secrets.
    pub headers: &'a [(&'static str, &'a str)],
    /// More bytes of body than this are [`TransportError::TooLong`].
    pub body_limit: usize,
    /// How long the connection may take to open.
    pub connect_timeout: Duration,
    /// How long the answer may take after that.
    pub read_timeout: Duration,
    /// When the exchange ends in any case.
    pub deadline: Monotonic,
}

/// The methods that IMDS knows and that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `PUT`, always without a body.
    Put,
}

/// An answer, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Those of [`RESPONSE_HEADERS`] that the answer has, with names as written there. What is not
    /// text is left out.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of one of [`RESPONSE_HEADERS`].
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(have, _)| *have == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransportError {
    /// The host does not let us out.
    Denied,
    /// No connection, or it broke.
    Unavailable(&'static str),
    /// Not in time.
    Timeout(&'static str),
    /// A body of more than so many bytes.
    TooLong(usize),
    /// What came is not HTTP as it should be.
    Malformed(&'static str),
}
