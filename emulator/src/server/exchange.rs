//! One exchange: the core decides about a request, and the response is sent after its delay.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

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

/// An exchange that has begun: the core has decided about the request. It is recorded in the
/// journal, even if this is dropped because the client has closed the connection.
pub(super) struct Begun {
    entry: Entry,
    delay: Duration,
    delivery: Delivery,
    has_body: bool,
}

impl Begun {
    pub(super) fn new(shared: &Arc<Shared>, imds: &Imds, request: &Parts, origin: &Origin) -> Self {
        let now = shared.clock.now();
        let Decision {
            delay,
            delivery,
            summary,
        } = imds.decide(request, origin.client(shared), now);
        let (method, path) = (request.method.as_str(), request.uri.path());
        Self {
            entry: Entry::new(shared, method, path, &request.headers, origin, summary, now),
            delay,
            delivery,
            has_body: request.method != Method::HEAD,
        }
    }

    /// Carries out the decision. The response is ready after its delay.
    ///
    /// # Errors
    ///
    /// The steps on the connection that take the place of a response.
    pub(super) async fn carry_out(self) -> Result<Response<Whole>, Vec<Step>> {
        let Self {
            entry,
            delay,
            delivery,
            has_body,
        } = self;
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
                return Ok(
                    response.map(|bytes| Whole(Some(if has_body { bytes } else { Bytes::new() })))
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
