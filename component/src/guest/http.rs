//! What an HTTP exchange has in common on WASI 0.2 and 0.3: headers, options and error codes.

use alloc::string::String;
use alloc::vec::Vec;

use super::bindings::wasi::http::types::{ErrorCode, Fields, RequestOptions};
use super::nanoseconds;
use crate::ports::{REQUIRED_HEADERS, RESPONSE_HEADERS, Request, TransportError};

pub(super) const INCOMPLETE: TransportError =
    TransportError::Unavailable("the connection broke before the response was complete");
const BAD_REQUEST: TransportError =
    TransportError::Denied("the host rejected the request as invalid");

/// The headers of `request`, without the optional ones that the host forbids `[B1.3]`.
pub(super) fn fields(request: &Request<'_>) -> Result<Fields, TransportError> {
    let fields = Fields::new();
    for (name, value) in request.headers {
        let refused = fields.append(name, value.as_bytes()).is_err();
        if refused && REQUIRED_HEADERS.contains(name) {
            return Err(TransportError::Denied(
                "the host forbids the headers of session tokens",
            ));
        }
    }
    Ok(fields)
}

/// The error for a host that rejects the method, the scheme, the authority or the path of `request`
/// `[B3.1]`.
#[cold]
pub(super) fn rejected(request: &Request<'_>) -> TransportError {
    match request.authority.as_bytes().first() == Some(&b'[') {
        true => TransportError::Denied(
            "the host cannot send to IPv6 addresses; use an endpoint with a name or an IPv4 address",
        ),
        false => BAD_REQUEST,
    }
}

/// The timeouts of `request`, as far as the host supports them. The transport's own timer applies in
/// any case `[B1.4]`.
pub(super) fn options(request: &Request<'_>) -> RequestOptions {
    let options = RequestOptions::new();
    let read = nanoseconds(request.read_timeout);
    // In Node.js this is the longest time without activity until the response begins, so a shorter one
    // would cut off a response that comes in time.
    let connect = nanoseconds(request.connect_timeout).max(read);
    let _ = options.set_connect_timeout(Some(connect));
    let _ = options.set_first_byte_timeout(Some(read));
    let _ = options.set_between_bytes_timeout(Some(read));
    options
}

/// Those of [`RESPONSE_HEADERS`] that are among `fields`.
pub(super) fn headers(fields: &Fields) -> Vec<(&'static str, String)> {
    RESPONSE_HEADERS
        .iter()
        .filter_map(|name| {
            let first = fields.get(name).into_iter().next()?;
            Some((*name, String::from_utf8(first).ok()?))
        })
        .collect()
}

/// The error for an error code of the host. Hosts use different codes for one cause, so many codes
/// share a case.
pub(super) fn failed(code: &ErrorCode) -> TransportError {
    match code {
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => {
            TransportError::Denied("the host does not allow requests to the endpoint")
        }
        // In Node.js, also while waiting for the response.
        ErrorCode::ConnectionTimeout => TransportError::Timeout("the connect timeout passed"),
        ErrorCode::DnsTimeout => {
            TransportError::Timeout("the host name of the endpoint was not resolved in time")
        }
        ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout => TransportError::Timeout("no response in time"),
        ErrorCode::DnsError(_) | ErrorCode::DestinationNotFound => {
            TransportError::Unavailable("the host name of the endpoint does not resolve")
        }
        ErrorCode::ConnectionRefused => TransportError::Unavailable("the connection was refused"),
        ErrorCode::ConnectionTerminated | ErrorCode::HttpResponseIncomplete => INCOMPLETE,
        ErrorCode::HttpRequestMethodInvalid
        | ErrorCode::HttpRequestUriInvalid
        | ErrorCode::HttpRequestUriTooLong
        | ErrorCode::HttpRequestLengthRequired
        | ErrorCode::HttpRequestBodySize(_)
        | ErrorCode::HttpRequestHeaderSectionSize(_)
        | ErrorCode::HttpRequestHeaderSize(_) => BAD_REQUEST,
        ErrorCode::HttpResponseHeaderSectionSize(_) | ErrorCode::HttpResponseHeaderSize(_) => {
            TransportError::Malformed("the response headers are too long")
        }
        ErrorCode::HttpResponseBodySize(_) => {
            TransportError::Malformed("the response body is too long")
        }
        // wasmtime uses this code for a reset connection and for a response that is not HTTP.
        ErrorCode::HttpProtocolError => {
            TransportError::Unavailable("the connection broke, or the response is not HTTP")
        }
        _ => TransportError::Unavailable("no connection to the endpoint"),
    }
}
