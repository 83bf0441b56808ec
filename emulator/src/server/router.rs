//! The metadata surface as an axum router: a request in, the core's response out.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts as _, Request};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{Method, StatusCode};
use http_body::{Frame, SizeHint};
use hyper::ext::ReasonPhrase;

use super::entry::Entry;
use crate::control::{Shared, check_responses};
use crate::decision::{self, Decision, Delivery, Step};
use crate::imds::{Client, Imds};
use crate::instance::Switch;
use crate::journal::Outcome;

/// Among the extensions of a request: it comes from the emulator's own listener, which carries out
/// [`ConnectionSteps`].
#[derive(Clone, Copy)]
pub(super) struct FromListener {
    pub(super) peer: SocketAddr,
}

/// Among the extensions of a response: the steps on the connection that take the place of the
/// response.
#[derive(Clone)]
pub(super) struct ConnectionSteps(pub(super) Vec<Step>);

/// The address in the journal of a client whose address is not known.
const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The router. It has no routes, because all paths are for the core to decide.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new().fallback_service(tower::service_fn(move |request: Request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(answer(&shared, request).await) }
    }))
}

async fn answer(shared: &Shared, request: Request) -> Response {
    // IMDS ignores bodies.
    let (mut request, _) = request.into_parts();
    let listener: Option<FromListener> = request.extensions.get().copied();
    let address = match listener {
        Some(FromListener { peer }) => Some(peer.ip()),
        None => peer(&mut request).await,
    };
    let client = Client {
        address: address.unwrap_or(UNKNOWN),
        connections: shared.connections.load(Ordering::Relaxed),
    };
    let Decision {
        delay,
        delivery,
        summary,
    } = {
        let imds = shared.imds();
        if listener.is_none()
            && let Err(reason) = check(shared, &imds, address)
        {
            return not_possible(&reason);
        }
        imds.decide(&request, client, shared.clock.now())
    };
    let (method, path) = (request.method.as_str(), request.uri.path());
    let entry = Entry::new(
        shared,
        method,
        path,
        &request.headers,
        client.address,
        summary,
    );
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
            return response
                .map(|bytes| Body::new(Whole(Some(if is_sent { bytes } else { Bytes::new() }))));
        }
        Delivery::Script(steps) => steps,
        Delivery::NoResponse => vec![Step::Stall],
    };
    if listener.is_none() {
        return not_possible("a fault acts on the connection");
    }
    let outcome = match steps.last() {
        Some(Step::Reset) => Outcome::Reset,
        Some(Step::Stall) => Outcome::NoResponse,
        _ => Outcome::Spoiled,
    };
    entry.end(outcome, body_length(&steps));
    let mut response = Response::default();
    response.extensions_mut().insert(ConnectionSteps(steps));
    response
}

/// The address of the client, if the application's server provides it.
async fn peer(request: &mut Parts) -> Option<IpAddr> {
    let info = ConnectInfo::<SocketAddr>::from_request_parts(request, &()).await;
    info.ok().map(|ConnectInfo(peer)| peer.ip())
}

/// Checks that a request from an application's server can be answered as it would be on the
/// emulator's own listener.
fn check(shared: &Shared, imds: &Imds, address: Option<IpAddr>) -> Result<(), String> {
    // A mounted emulator never has such rules and settings.
    if !shared.is_mounted {
        check_responses(imds).map_err(|invalid| invalid.to_string())?;
    }
    let Some(address) = address else {
        let mut rules = imds.faults().map(|(rule, _)| rule);
        return match rules.find(|rule| rule.matches.client.is_some()) {
            None => Ok(()),
            Some(rule) => Err(format!(
                "the rule {:?} has match.client, but the request carries no client address; serve \
                 the application with into_make_service_with_connect_info::<SocketAddr>()",
                rule.name
            )),
        };
    };
    let options = &imds.config().metadata_options;
    if address.to_canonical().is_ipv4() || options.http_protocol_ipv6 == Switch::Enabled {
        return Ok(());
    }
    Err(format!(
        "the request comes from {address}, but HttpProtocolIpv6 is disabled; enable it, or use IPv4"
    ))
}

fn not_possible(reason: &str) -> Response {
    let text = format!("imds-emulator cannot answer through a router: {reason}\n");
    (StatusCode::NOT_IMPLEMENTED, text).into_response()
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
struct Whole(Option<Bytes>);

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
