//! How requests that may leave the sandbox are sent.
//!
//! Redirects are never followed and no proxy is ever used. The head of an answer is bounded to
//! [`HEAD_LIMIT`] and its body to [`BODY_LIMIT`], and one exchange takes [`EXCHANGE_LIMIT`] at most,
//! whatever the component asks for.

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

/// More bytes of head than this are not read. The answers of IMDS have some hundred.
pub const HEAD_LIMIT: usize = 16 * 1024;

/// More bytes of body than this are not read, and not sent either. User data, the longest thing
/// that IMDS has, are 16 KiB.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// To open a connection takes so long at most, and the answer as much again.
pub const EXCHANGE_LIMIT: Duration = Duration::from_secs(60);

/// Sends requests, for tests and simulations that want no socket. Without one, each request has a
/// TCP connection of its own, for IMDS closes them after each answer.
///
/// Only requests that [`Egress::check`](crate::egress::Egress::check) lets pass come here.
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Sends a request with an absolute URI, and gives the answer with its whole body. It is awaited
    /// on the library's own tokio runtime.
    fn send(&self, request: Request<Bytes>, timeouts: Timeouts) -> Exchange;
}

/// An exchange on its way.
pub type Exchange = Pin<Box<dyn Future<Output = Result<Response<Bytes>, TransportError>> + Send>>;

/// How long an exchange may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// To open the connection.
    pub connect: Duration,
    /// From then to the last byte of the answer.
    pub answer: Duration,
}

impl Timeouts {
    /// Time-outs as given.
    pub fn new(connect: Duration, answer: Duration) -> Self {
        Self { connect, answer }
    }

    /// What is not asked for is the limit, and more is not to be had.
    pub(crate) fn clamped(connect: Option<Duration>, answer: Option<Duration>) -> Self {
        let clamp =
            |timeout: Option<Duration>| timeout.unwrap_or(EXCHANGE_LIMIT).min(EXCHANGE_LIMIT);
        Self {
            connect: clamp(connect),
            answer: clamp(answer),
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum TransportError {
    /// No connection.
    Connect(io::Error),
    /// No connection in time.
    ConnectTimeout,
    /// No answer in time.
    AnswerTimeout,
    /// The answer's body is longer than [`BODY_LIMIT`].
    BodyTooLong,
    /// The connection broke, or what came is not HTTP.
    Protocol(Box<dyn StdError + Send + Sync>),
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect(_) => "there is no connection",
            Self::ConnectTimeout => "the connection took too long to open",
            Self::AnswerTimeout => "the answer took too long",
            Self::BodyTooLong => "the body of the answer is too long",
            Self::Protocol(_) => "the connection broke, or what came is not HTTP",
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

/// A TCP connection for each request: what is used without another transport, and what another one
/// can be made around.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use bytes::Bytes;
/// use ec2_role_host::transport::{Direct, Exchange, Timeouts, Transport};
///
/// /// Says what is asked.
/// #[derive(Debug)]
/// struct Loud;
///
/// impl Transport for Loud {
///     fn send(&self, request: http::Request<Bytes>, timeouts: Timeouts) -> Exchange {
///         println!("{} {}", request.method(), request.uri().path());
///         Direct.send(request, timeouts)
///     }
/// }
/// # let imds = imds_emulator::Emulator::builder().start().await?;
/// # let builder = ec2_role_host::Ec2RoleProvider::builder().endpoint(imds.url());
/// # builder.transport(Loud).build().await?.credentials().await?;
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
            tokio::time::timeout(timeouts.answer, exchange(stream, request))
                .await
                .map_err(|_| TransportError::AnswerTimeout)?
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
    // One small write each way: nothing to gain from waiting for more.
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn exchange(
    stream: TcpStream,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, TransportError> {
    let (mut parts, body) = request.into_parts();
    // On the wire the target is a path; the authority is in the Host header.
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
    let answer = async {
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
    // The connection moves the bytes; it is over when the answer is, or before, and then the answer
    // says why.
    tokio::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = connection => answer.await,
    }
}
