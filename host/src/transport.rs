//! How requests that may leave the sandbox are sent.
//!
//! Redirects are not followed and no proxy is used. The head of a response is limited to
//! [`HEAD_LIMIT`], its body to [`BODY_LIMIT`], and each phase of an exchange to [`EXCHANGE_LIMIT`],
//! even if the component asks for more.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::endpoint::{Host, parse_authority};

/// The size limit of a response's head, in bytes. IMDS sends a few hundred.
pub const HEAD_LIMIT: usize = 16 * 1024;

/// The size limit of the body of a request or a response, in bytes. The longest document of IMDS,
/// the user data, has at most 16 KiB.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// The time limit for opening a connection, and then again for the response.
pub const EXCHANGE_LIMIT: Duration = Duration::from_secs(60);

/// Sends requests. By default, [`Direct`] opens a TCP connection for each request; tests and
/// simulations can replace it and use no socket.
///
/// Only requests that [`Egress::check`](crate::egress::Egress::check) allows reach a transport.
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Sends a request with an absolute URI, and returns the response with its whole body. The future
    /// is awaited on the library's own tokio runtime.
    fn send(&self, request: Request<Bytes>, timeouts: Timeouts) -> Exchange;
}

/// A request that is being sent, and then its response.
pub type Exchange = Pin<Box<dyn Future<Output = Result<Response<Bytes>, TransportError>> + Send>>;

/// How long the phases of an exchange may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// Until the connection is open.
    pub connect: Duration,
    /// From then to the last byte of the response.
    pub response: Duration,
}

impl Timeouts {
    /// Timeouts of these durations.
    pub fn new(connect: Duration, response: Duration) -> Self {
        Self { connect, response }
    }

    /// The timeouts that the component asked for, at most [`EXCHANGE_LIMIT`] each, which is also the
    /// default.
    pub(crate) fn clamped(connect: Option<Duration>, response: Option<Duration>) -> Self {
        let clamp =
            |timeout: Option<Duration>| timeout.unwrap_or(EXCHANGE_LIMIT).min(EXCHANGE_LIMIT);
        Self {
            connect: clamp(connect),
            response: clamp(response),
        }
    }
}

/// Why there is no response.
#[derive(Debug)]
#[non_exhaustive]
pub enum TransportError {
    /// The connection could not be opened.
    Connect(io::Error),
    /// The connection was not open in time.
    ConnectTimeout,
    /// The response was not complete in time.
    ResponseTimeout,
    /// The response's body is longer than [`BODY_LIMIT`].
    BodyTooLong,
    /// The connection broke, or the response is not valid HTTP.
    Protocol(Box<dyn StdError + Send + Sync>),
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect(_) => "cannot connect",
            Self::ConnectTimeout => "timed out while connecting",
            Self::ResponseTimeout => "timed out while waiting for the response",
            Self::BodyTooLong => "the body of the response is longer than 1 MiB",
            Self::Protocol(_) => "the connection broke, or the response is not valid HTTP",
        })
    }
}

impl StdError for TransportError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Connect(error) => Some(error),
            Self::Protocol(error) => Some(&**error),
            _ => None,
        }
    }
}

/// The default transport: a TCP connection for each request, because IMDS closes a connection after
/// each response. Another transport can wrap it.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use bytes::Bytes;
/// use ec2_role_host::transport::{Direct, Exchange, Timeouts, Transport};
///
/// /// Prints every request.
/// #[derive(Debug)]
/// struct Printing;
///
/// impl Transport for Printing {
///     fn send(&self, request: http::Request<Bytes>, timeouts: Timeouts) -> Exchange {
///         println!("{} {}", request.method(), request.uri().path());
///         Direct.send(request, timeouts)
///     }
/// }
/// # let imds = imds_emulator::Emulator::builder().start().await?;
/// # let builder = ec2_role_host::Ec2RoleProvider::builder().endpoint(imds.url());
/// # builder.transport(Printing).build().await?.credentials().await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Direct;

impl Transport for Direct {
    fn send(&self, request: Request<Bytes>, timeouts: Timeouts) -> Exchange {
        Box::pin(async move {
            let stream = tokio::time::timeout(timeouts.connect, connect(request.uri().clone()))
                .await
                .map_err(|_| TransportError::ConnectTimeout)?
                .map_err(TransportError::Connect)?;
            tokio::time::timeout(timeouts.response, exchange(stream, request))
                .await
                .map_err(|_| TransportError::ResponseTimeout)?
        })
    }
}

async fn connect(uri: Uri) -> io::Result<TcpStream> {
    let (host, port) = uri
        .authority()
        .and_then(parse_authority)
        .ok_or(io::ErrorKind::InvalidInput)?;
    let stream = match host {
        Host::Address(address) => TcpStream::connect((address, port)).await?,
        Host::Name(name) => TcpStream::connect((name.as_str(), port)).await?,
    };
    // One small write in each direction: waiting for more data only costs time.
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn exchange(
    stream: TcpStream,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, TransportError> {
    let (mut parts, body) = request.into_parts();
    // On the wire the request target is a path; the authority is in the Host header.
    parts.uri = parts
        .uri
        .into_parts()
        .path_and_query
        .map(Uri::from)
        .ok_or_else(|| TransportError::Protocol("the request has no path".into()))?;
    let protocol = |error: hyper::Error| TransportError::Protocol(error.into());
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(HEAD_LIMIT)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(protocol)?;
    let response = async {
        let request = Request::from_parts(parts, Full::new(body));
        let response = sender.send_request(request).await.map_err(protocol)?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, BODY_LIMIT)
            .collect()
            .await
            .map_err(|error| match error.downcast::<hyper::Error>() {
                Ok(error) => TransportError::Protocol(error),
                Err(_) => TransportError::BodyTooLong,
            })?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    };
    // The connection moves the bytes. It may end before the response is complete; the response then
    // says why.
    tokio::pin!(response);
    tokio::select! {
        biased;
        outcome = &mut response => outcome,
        _ = connection => response.await,
    }
}
