//! One exchange: the core decides about a request, and the response is sent after its delay.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response};
use http_body::{Frame, SizeHint};
use hyper::ext::ReasonPhrase;

use super::entry::{Entry, Origin};
use crate::control::Shared;
use crate::decision::{self, Decision, Delivery, Step};
use crate::imds::Imds;
use crate::journal::Outcome;

/// The core's decision about a request.
pub(super) fn decide(shared: &Shared, imds: &Imds, request: &Parts, origin: &Origin) -> Decision {
    imds.decide(request, origin.client(shared), shared.clock.now())
}

/// Carries out a decision, and records the exchange in the journal. The response is ready after its
/// delay.
///
/// # Errors
///
/// The steps on the connection that take the place of a response.
pub(super) async fn carry_out(
    shared: &Shared,
    decision: Decision,
    request: &Parts,
    origin: &Origin,
) -> Result<Response<Whole>, Vec<Step>> {
    let Decision {
        delay,
        delivery,
        summary,
    } = decision;
    let (method, path) = (request.method.as_str(), request.uri.path());
    let entry = Entry::new(shared, method, path, &request.headers, origin, summary);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let steps = match delivery {
        Delivery::Response(mut response) => {
            if let Some(decision::ReasonPhrase(phrase)) = response.extensions_mut().remove() {
                response
                    .extensions_mut()
                    .insert(ReasonPhrase::from_static(phrase.as_bytes()));
            }
            entry.end(Outcome::Answered, response.body().len());
            let is_sent = request.method != Method::HEAD;
            return Ok(
                response.map(|bytes| Whole(Some(if is_sent { bytes } else { Bytes::new() })))
            );
        }
        Delivery::Script(steps) => steps,
        Delivery::NoResponse => vec![Step::Stall],
    };
    let outcome = match steps.last() {
        Some(Step::Reset) => Outcome::Reset,
        Some(Step::Stall) => Outcome::NoResponse,
        _ => Outcome::Spoiled,
    };
    entry.end(outcome, body_length(&steps));
    Err(steps)
}

/// The number of body bytes that `steps` send, after a head or without one.
fn body_length(steps: &[Step]) -> usize {
    let mut sent = Vec::new();
    for step in steps {
        if let Step::Send(bytes) = step {
            sent.extend_from_slice(bytes);
        }
    }
    let head = sent.windows(4).position(|four| four == b"\r\n\r\n");
    sent.len() - head.map_or(0, |at| at + 4)
}

/// A body that exists even if it is empty: without one, hyper puts `Content-Length` after all other
/// headers.
pub(super) struct Whole(Option<Bytes>);

impl http_body::Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = self.0.take().filter(|bytes| !bytes.is_empty());
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, Bytes::len) as u64)
    }
}
