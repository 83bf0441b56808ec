//! HTTP exchanges over `wasi:http/outgoing-handler`.
//!
//! Time limits are set as request options and also enforced by a timer, because hosts treat the
//! options as advice, each in its own way. Children must be dropped before
//! their parents, or the host traps: pollable before future, stream before body.

use alloc::vec::Vec;

use super::bindings::wasi::clocks::monotonic_clock;
use super::bindings::wasi::http::outgoing_handler::{self, OutgoingRequest};
use super::bindings::wasi::http::types::{
    FutureIncomingResponse, IncomingBody, IncomingResponse, Method as WasiMethod, Scheme,
};
use super::bindings::wasi::io::poll::{self, Pollable};
use super::bindings::wasi::io::streams::StreamError;
use crate::guest::http::{self, INCOMPLETE, failed};
use crate::guest::nanoseconds;
use crate::ports::{Method, Request, Response, Transport, TransportError};

/// The largest part of a body that is read at once.
const CHUNK: u64 = 16 * 1024;

#[derive(Debug)]
pub(super) struct WasiTransport;

impl Transport for WasiTransport {
    async fn exchange(&mut self, request: Request<'_>) -> Result<Response, TransportError> {
        let timer = Timer(monotonic_clock::subscribe_instant(nanoseconds(
            request.deadline.since_start(),
        )));
        let response = send(&request, &timer)?;
        let status = response.status();
        let headers = http::headers(&response.headers());
        let body = body(response, request.body_limit, &timer)?;
        Ok(Response {
            status,
            headers,
            body,
        })
    }
}

/// Fires at the deadline of the exchange.
struct Timer(Pollable);

impl Timer {
    fn wait(&self, event: &Pollable, message: &'static str) -> Result<(), TransportError> {
        if poll::poll(&[event, &self.0]).contains(&0) {
            Ok(())
        } else {
            Err(TransportError::Timeout(message))
        }
    }
}

/// Sends the request and waits for the head of the response.
fn send(request: &Request<'_>, timer: &Timer) -> Result<IncomingResponse, TransportError> {
    let outgoing = OutgoingRequest::new(http::fields(request)?);
    let method = match request.method {
        Method::Get => WasiMethod::Get,
        Method::Put => WasiMethod::Put,
    };
    let set = outgoing
        .set_method(&method)
        .and_then(|()| outgoing.set_scheme(Some(&Scheme::Http)))
        .and_then(|()| outgoing.set_authority(Some(request.authority)))
        .and_then(|()| outgoing.set_path_with_query(Some(request.path)));
    set.map_err(|()| http::rejected(request))?;

    // `outgoing.body()` is not called: if it is, some hosts send the empty body chunked.
    let future = outgoing_handler::handle(outgoing, Some(http::options(request)))
        .map_err(|code| failed(&code))?;
    wait_for(&future, timer)?;
    match future.get() {
        Some(Ok(Ok(response))) => Ok(response),
        Some(Ok(Err(code))) => Err(failed(&code)),
        Some(Err(())) | None => Err(TransportError::Unavailable("the host returned no response")),
    }
}

fn wait_for(future: &FutureIncomingResponse, timer: &Timer) -> Result<(), TransportError> {
    let ready = future.subscribe();
    timer.wait(&ready, "no response in time")
}

fn body(
    response: IncomingResponse,
    limit: usize,
    timer: &Timer,
) -> Result<Vec<u8>, TransportError> {
    let incoming = response
        .consume()
        .map_err(|()| TransportError::Malformed("the response has no body"))?;
    let outcome = read(&incoming, limit, timer);
    drop(incoming);
    drop(response);
    outcome
}

fn read(incoming: &IncomingBody, limit: usize, timer: &Timer) -> Result<Vec<u8>, TransportError> {
    let stream = incoming
        .stream()
        .map_err(|()| TransportError::Malformed("the response has no body"))?;
    let mut body = Vec::new();
    loop {
        match stream.read(CHUNK) {
            Ok(piece) if piece.is_empty() => {
                let more = stream.subscribe();
                timer.wait(&more, "the response was not complete in time")?;
            }
            Ok(piece) if body.len().saturating_add(piece.len()) > limit => {
                return Err(TransportError::TooLong(limit));
            }
            Ok(piece) => body.extend_from_slice(&piece),
            Err(StreamError::Closed) => return Ok(body),
            Err(StreamError::LastOperationFailed(_)) => return Err(INCOMPLETE),
        }
    }
}
