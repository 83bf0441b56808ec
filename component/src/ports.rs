//! What the logic needs from its environment: an HTTP exchange, the clocks, and randomness.

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

/// The request headers without which IMDS does not answer. All others may be left out, because some
/// hosts do not let a component set them.
pub const REQUIRED_HEADERS: [&str; 2] = [TOKEN_HEADER, TTL_HEADER];

/// The response header that says how many seconds to wait before the next request.
pub const RETRY_AFTER_HEADER: &str = "retry-after";

/// The response headers that the logic reads. A transport may omit all others.
pub const RESPONSE_HEADERS: [&str; 2] = [TTL_HEADER, RETRY_AFTER_HEADER];

/// Performs one HTTP exchange at a time: plain HTTP/1.1, without redirects and without proxies.
pub trait Transport {
    /// Sends `request` and reads the complete response, or fails by `request.deadline`.
    fn exchange(
        &mut self,
        request: Request<'_>,
    ) -> impl Future<Output = Result<Response, TransportError>>;
}

/// The clocks.
pub trait Clock {
    /// The current time of the wall clock.
    fn wall(&self) -> UnixTime;

    /// The current time of the monotonic clock.
    fn monotonic(&self) -> Monotonic;

    /// Completes after `time` on the monotonic clock.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()>;
}

/// Unpredictable randomness.
pub trait Random {
    /// A uniformly distributed number in `[0, 1)`.
    fn unit(&mut self) -> f64;
}

/// An HTTP request and its limits.
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
    /// All headers except `Host` and those that concern the connection. A value may be a secret.
    pub headers: &'a [(&'static str, &'a str)],
    /// The largest accepted body, in bytes. A longer one is [`TransportError::TooLong`].
    pub body_limit: usize,
    /// The time limit for opening the connection.
    pub connect_timeout: Duration,
    /// The time limit for the complete response once the connection is open.
    pub read_timeout: Duration,
    /// When the exchange must have ended, whatever the other limits.
    pub deadline: Monotonic,
}

/// The HTTP methods that the component uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `PUT`, without a body.
    Put,
}

/// A complete HTTP response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Those of [`RESPONSE_HEADERS`] that the response has, with the names as written there. Values
    /// that are not UTF-8 are omitted.
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

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransportError {
    /// The host does not allow the request or cannot send it, so nothing was sent.
    Denied(&'static str),
    /// The connection failed or broke.
    Unavailable(&'static str),
    /// No response in time.
    Timeout(&'static str),
    /// The body is longer than this many bytes.
    TooLong(usize),
    /// The response is not valid HTTP.
    Malformed(&'static str),
}
