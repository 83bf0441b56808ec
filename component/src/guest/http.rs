//! What an HTTP exchange has in common on WASI 0.2 and 0.3: headers, options and error codes.

use alloc::string::String;
use alloc::vec::Vec;

use super::bindings::wasi::http::types::{ErrorCode, Fields, RequestOptions};
use super::nanoseconds;
use crate::ports::{RESPONSE_HEADERS, Request, TransportError};

pub(super) const INCOMPLETE: TransportError =
    TransportError::Unavailable("the connection broke before the response was complete");
pub(super) const BAD_REQUEST: TransportError =
    TransportError::Malformed("the host rejected the request as invalid");

/// The headers of `request`.
pub(super) fn fields(request: &Request<'_>) -> Result<Fields, TransportError> {
    let fields = Fields::new();
    for (name, value) in request.headers {
        fields
            .append(name, value.as_bytes())
            .map_err(|_| BAD_REQUEST)?;
    }
    Ok(fields)
}

/// The timeouts of `request`, as far as the host supports them. The transport's own timer applies in
/// any case.
pub(super) fn options(request: &Request<'_>) -> RequestOptions {
    let options = RequestOptions::new();
    let _ = options.set_connect_timeout(Some(nanoseconds(request.connect_timeout)));
    let _ = options.set_first_byte_timeout(Some(nanoseconds(request.read_timeout)));
    let _ = options.set_between_bytes_timeout(Some(nanoseconds(request.read_timeout)));
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
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => TransportError::Denied,
        ErrorCode::ConnectionTimeout => {
            TransportError::Timeout("the connection did not open in time")
        }
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
