//! HTTP exchanges over `wasi:http/client`.
//!
//! Time limits are set as request options and also enforced by a timer, because hosts treat the
//! options as advice, each in its own way.

use alloc::vec::Vec;
use core::pin::pin;

use futures_util::future::{Either, select};

use super::bindings::wasi::clocks::monotonic_clock;
use super::bindings::wasi::http::client;
use super::bindings::wasi::http::types::{
    Method as WasiMethod, Request as WasiRequest, Response as WasiResponse, Scheme,
};
use super::bindings::wit_future;
use crate::guest::http::{self, INCOMPLETE, failed};
use crate::guest::nanoseconds;
use crate::ports::{Method, Request, Response, Transport, TransportError};

/// The largest part of a body that is read at once.
const CHUNK: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct WasiTransport;

impl Transport for WasiTransport {
    async fn exchange(&mut self, request: Request<'_>) -> Result<Response, TransportError> {
        let deadline = nanoseconds(request.deadline.since_start());
        let timer = monotonic_clock::wait_until(deadline);
        match select(pin!(exchange(&request)), pin!(timer)).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(_) => Err(TransportError::Timeout("no response in time")),
        }
    }
}

async fn exchange(request: &Request<'_>) -> Result<Response, TransportError> {
    let response = client::send(outgoing(request)?)
        .await
        .map_err(|code| failed(&code))?;
    let status = response.get_status_code();
    let headers = http::headers(&response.get_headers());
    let body = body(response, request.body_limit).await?;
    Ok(Response {
        status,
        headers,
        body,
    })
}

fn outgoing(request: &Request<'_>) -> Result<WasiRequest, TransportError> {
    // No body and no trailers.
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (outgoing, _) = WasiRequest::new(
        http::fields(request)?,
        None,
        trailers,
        Some(http::options(request)),
    );
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
    Ok(outgoing)
}

async fn body(response: WasiResponse, limit: usize) -> Result<Vec<u8>, TransportError> {
    let (_, received) = wit_future::new(|| Ok(()));
    let (mut stream, trailers) = WasiResponse::consume_body(response, received);
    let mut body = Vec::new();
    loop {
        let (result, piece) = stream.read(Vec::with_capacity(CHUNK)).await;
        if body.len().saturating_add(piece.len()) > limit {
            return Err(TransportError::TooLong(limit));
        }
        body.extend_from_slice(&piece);
        match result {
            wit_bindgen::StreamResult::Complete(_) => {}
            wit_bindgen::StreamResult::Dropped => break,
            wit_bindgen::StreamResult::Cancelled => return Err(INCOMPLETE),
        }
    }
    // The stream ends in the same way whether or not the body is complete.
    drop(stream);
    match trailers.await {
        Ok(_) => Ok(body),
        Err(code) => Err(failed(&code)),
    }
}
