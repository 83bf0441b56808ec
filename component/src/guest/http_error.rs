//! What the error codes of `wasi:http` mean. They are the same in 0.2 and 0.3.

use super::bindings::wasi::http::types::ErrorCode;
use crate::ports::TransportError;

pub(super) const CUT_OFF: TransportError =
    TransportError::Unavailable("the connection broke in the middle of the answer");
pub(super) const BAD_REQUEST: TransportError =
    TransportError::Malformed("the host does not take the request");

/// Hosts differ in which code they give for one cause, so the many codes make few cases.
pub(super) fn failed(code: &ErrorCode) -> TransportError {
    match code {
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => TransportError::Denied,
        ErrorCode::ConnectionTimeout => {
            TransportError::Timeout("the connection did not open in time")
        }
        ErrorCode::DnsTimeout => TransportError::Timeout("the name was not resolved in time"),
        ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::HttpResponseTimeout => TransportError::Timeout("no answer in time"),
        ErrorCode::DnsError(_) | ErrorCode::DestinationNotFound => {
            TransportError::Unavailable("the name of the endpoint does not resolve")
        }
        ErrorCode::ConnectionRefused => TransportError::Unavailable("the connection was refused"),
        ErrorCode::ConnectionTerminated | ErrorCode::HttpResponseIncomplete => CUT_OFF,
        ErrorCode::HttpRequestMethodInvalid
        | ErrorCode::HttpRequestUriInvalid
        | ErrorCode::HttpRequestUriTooLong
        | ErrorCode::HttpRequestLengthRequired
        | ErrorCode::HttpRequestBodySize(_)
        | ErrorCode::HttpRequestHeaderSectionSize(_)
        | ErrorCode::HttpRequestHeaderSize(_) => BAD_REQUEST,
        ErrorCode::HttpResponseHeaderSectionSize(_) | ErrorCode::HttpResponseHeaderSize(_) => {
            TransportError::Malformed("the headers of the answer are too long")
        }
        ErrorCode::HttpResponseBodySize(_) => {
            TransportError::Malformed("the body of the answer is too long")
        }
        // wasmtime says this of a reset connection as well as of an answer that is not HTTP.
        ErrorCode::HttpProtocolError => {
            TransportError::Unavailable("the connection broke, or the answer is not HTTP")
        }
        _ => TransportError::Unavailable("no connection to the endpoint"),
    }
}
