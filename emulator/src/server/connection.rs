//! One connection: passes its requests to the core, and carries out what the core decides.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use chrono::TimeDelta;
use http::HeaderMap;
use http::header::USER_AGENT;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use super::listener::end;
use super::wire::{self, Wire};
use crate::config;
use crate::control::Shared;
use crate::decision::{self, Decision, Delivery, Step, Summary};
use crate::imds::Client;
use crate::instance::Switch;
use crate::journal::{self, Exchange, Outcome};

/// The maximum length of a request's head in bytes.
const HEAD_BYTES: usize = 64 * 1024;

/// Counts a connection until it is dropped.
struct Counted(Arc<Shared>);

impl Counted {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(shared))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

fn http(server: &config::Server) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(TimeDelta::from(server.head_timeout).to_std().ok())
        .max_buf_size(HEAD_BYTES)
        .title_case_headers(true)
        .keep_alive(server.keep_alive);
    http
}

pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) {
    let _counted = Counted::new(&shared);
    let http = {
        let imds = shared.imds();
        if let Some(summary) = imds.accept(peer, shared.clock.now()) {
            Entry::new(&shared, "", "", &HeaderMap::new(), peer, summary).end(Outcome::Reset, 0);
            return wire::reset(stream);
        }
        let options = &imds.config().metadata_options;
        let is_ipv4 = peer.ip().to_canonical().is_ipv4();
        if !is_ipv4 && options.http_protocol_ipv6 == Switch::Disabled {
            return;
        }
        http(&imds.config().server)
    };
    // Each answer is written in one call, so the system has nothing to coalesce.
    let _ = stream.set_nodelay(true);
    let stream = Arc::new(stream);
    let (hand_over, mut taken_over) = mpsc::channel(1);
    let steps = {
        // All paths go to the core, so a router would add nothing but its cost.
        let service = service_fn(|request| respond(&shared, peer, &hand_over, request));
        let wire = TokioIo::new(Wire(Arc::clone(&stream)));
        let mut connection = pin!(http.serve_connection(wire, service));
        // Errors of the connection concern only the client.
        tokio::select! {
            _ = connection.as_mut() => return,
            steps = taken_over.recv() => steps,
            () = end(&mut stopped) => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    _ = connection => return,
                    steps = taken_over.recv() => steps,
                }
            }
        }
    };
    if let (Some(steps), Ok(stream)) = (steps, Arc::try_unwrap(stream)) {
        wire::perform(stream, steps).await;
    }
}

/// Answers the request, or hands over the steps for its connection.
async fn respond(
    shared: &Shared,
    peer: SocketAddr,
    hand_over: &mpsc::Sender<Vec<Step>>,
    request: Request<Incoming>,
) -> Result<Response<Whole>, Infallible> {
    // IMDS ignores bodies. hyper skips the body if the connection stays open.
    let (request, _) = request.into_parts();
    let client = Client {
        address: peer.ip(),
        connections: shared.connections.load(Ordering::Relaxed),
    };
    let Decision {
        delay,
        delivery,
        summary,
    } = shared.imds().decide(&request, client, shared.clock.now());
    let (method, path) = (request.method.as_str(), request.uri.path());
    let entry = Entry::new(shared, method, path, &request.headers, peer, summary);
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
            return Ok(response.map(|bytes| Whole(Some(bytes))));
        }
        Delivery::Script(steps) => steps,
        Delivery::NoResponse => vec![Step::Stall],
    };
    let outcome = match steps.last() {
        Some(Step::Reset) => Outcome::Reset,
        Some(Step::Stall) => Outcome::NoResponse,
        _ => Outcome::Spoiled,
    };
    entry.end(outcome, wire::body_length(&steps));
    let _ = hand_over.send(steps).await;
    // The connection is taken from the HTTP library, which drops this future.
    std::future::pending().await
}

/// An exchange that is written to the journal when it ends or the client disconnects.
struct Entry<'a> {
    shared: &'a Shared,
    began: Instant,
    exchange: Option<Exchange>,
}

impl<'a> Entry<'a> {
    fn new(
        shared: &'a Shared,
        method: &str,
        path: &str,
        headers: &HeaderMap,
        peer: SocketAddr,
        summary: Summary,
    ) -> Self {
        let began = Instant::now();
        let uptime = began.duration_since(shared.began).as_millis();
        let agent = headers.get(USER_AGENT);
        Self {
            shared,
            began,
            exchange: Some(Exchange {
                number: summary.number,
                at: shared.clock.now(),
                uptime_ms: u64::try_from(uptime).unwrap_or(u64::MAX),
                client: peer.ip().to_canonical(),
                method: journal::kept(method),
                path: journal::kept(path),
                imds: summary.imds,
                token: summary.token,
                user_agent: agent
                    .map(|agent| journal::kept(&String::from_utf8_lossy(agent.as_bytes()))),
                forwarded: headers.contains_key("x-forwarded-for"),
                rules: summary.rules,
                outcome: Outcome::Abandoned,
                status: summary.status,
                bytes: 0,
                duration_ms: 0.0,
            }),
        }
    }

    fn end(mut self, outcome: Outcome, bytes: usize) {
        if let Some(exchange) = &mut self.exchange {
            exchange.outcome = outcome;
            exchange.bytes = bytes;
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if let Some(mut exchange) = self.exchange.take() {
            if exchange.outcome == Outcome::Abandoned {
                exchange.status = None;
            }
            exchange.duration_ms = journal::milliseconds(self.began.elapsed());
            let steps = self.shared.timeline.take_after(&exchange);
            let at = exchange.at;
            self.shared.journal.add(exchange);
            for step in steps {
                // The step's status says what failed.
                let _ = self.shared.perform(step, at);
            }
        }
    }
}

/// A body that exists even if it is empty: without one, hyper puts `Content-Length` after all other
/// headers.
struct Whole(Option<Bytes>);

impl Body for Whole {
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
