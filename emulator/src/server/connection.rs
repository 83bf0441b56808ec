//! One connection: passes its requests to the router, and carries out the steps on the connection
//! that a fault puts in place of a response.

use std::convert::Infallible;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use chrono::TimeDelta;
use http::request::Parts;
use http::{HeaderMap, Method};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tower::Service as _;

use super::entry::{Entry, Origin};
use super::exchange::Begun;
use super::listener::end;
use super::meter::Meter;
use super::network::{Kind, Network};
use super::router::{ConnectionSteps, FromListener};
use super::wire::{self, Wire};
use crate::config;
use crate::control::Shared;
use crate::decision::Step;
use crate::instance::Switch;
use crate::journal::{Outcome, Process};

/// The maximum length of a request's head in bytes.
const HEAD_BYTES: usize = 64 * 1024;
/// The longest that a connection stays open, when the emulator stops, for bytes that have arrived but
/// are not read yet.
const UNREAD: Duration = Duration::from_millis(500);
/// How often the connection is checked for such bytes.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// The time to live of packets without a limit.
const DEFAULT_HOPS: u32 = 64;

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
    network: Arc<Network>,
    shared: Arc<Shared>,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) {
    let counted = Counted::new(&shared);
    let mut origin = Origin {
        address: peer.ip(),
        connection: Some(shared.accepted.fetch_add(1, Ordering::Relaxed) + 1),
        process: None,
        network_is_ours: network.traffic.is_some(),
    };
    let (http, meter) = {
        let mut imds = shared.imds();
        if imds.tells_processes_apart() {
            drop(imds);
            // Before the first request is answered, because the client may end as soon as it is.
            origin.process = process(&network, peer, &stream).await;
            imds = shared.imds();
        }
        let meter = Meter::new(network.kind, &shared, &origin, &stream);
        if let Some(summary) = imds.accept(origin.client(&shared), shared.clock.now()) {
            Entry::new(&shared, "", "", &HeaderMap::new(), &origin, summary).end(Outcome::Reset, 0);
            return wire::reset(stream);
        }
        let options = &imds.config().metadata_options;
        let is_ipv4 = peer.ip().to_canonical().is_ipv4();
        if !is_ipv4 && options.http_protocol_ipv6 == Switch::Disabled {
            return;
        }
        (http(&imds.config().server), meter)
    };
    // Each response is written in one call, so the system has nothing to coalesce.
    let _ = stream.set_nodelay(true);
    let stream = Arc::new(stream);
    let (hand_over, mut taken_over) = mpsc::channel(1);
    let steps = {
        let distance = Distance::new(network.kind, &shared, peer);
        let service = service_fn(|request: Request<Incoming>| {
            distance.set(&stream, request.method());
            if let Some(meter) = &meter {
                meter.read();
            }
            let (request, body) = request.into_parts();
            // The exchange begins here rather than in the future: hyper drops the future without a
            // poll if the client has already closed the connection.
            let begun = Begun::new(&shared, &shared.imds(), &request, &origin);
            respond(router.clone(), begun, &hand_over, request, body)
        });
        let wire = TokioIo::new(Wire(Arc::clone(&stream)));
        let mut connection = pin!(http.serve_connection(wire, service));
        // Errors of the connection concern only the client.
        tokio::select! {
            _ = connection.as_mut() => None,
            steps = taken_over.recv() => steps,
            () = end_of_input(&stream, &mut stopped) => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    _ = connection => None,
                    steps = taken_over.recv() => steps,
                }
            }
        }
    };
    let Ok(stream) = Arc::try_unwrap(stream) else {
        return;
    };
    match steps {
        Some(steps) => wire::perform(stream, steps).await,
        // The last packets of the client are still to come.
        None if meter.is_some() => {
            drop(counted);
            wire::close(stream).await;
        }
        None => {}
    }
}

/// Returns when the emulator is to stop and all bytes that have arrived are read. The request that
/// they contain is then recorded, even if it arrived just before the emulator stops.
async fn end_of_input(stream: &TcpStream, stopped: &mut watch::Receiver<bool>) {
    end(stopped).await;
    let read = async {
        while has_unread(stream) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    // A client that sends its next request too early is not waited for.
    let _ = tokio::time::timeout(UNREAD, read).await;
}

/// Asks the kernel, because the runtime learns later that bytes have arrived.
fn has_unread(stream: &TcpStream) -> bool {
    let mut byte = [MaybeUninit::uninit()];
    let peeked = socket2::SockRef::from(stream).peek(&mut byte);
    peeked.is_ok_and(|bytes| bytes > 0)
}

/// The process that opened the connection.
#[cfg(target_os = "linux")]
async fn process(
    network: &Arc<Network>,
    peer: SocketAddr,
    stream: &TcpStream,
) -> Option<Arc<Process>> {
    let ours = stream.local_addr().ok()?;
    let network = Arc::clone(network);
    let find = move || network.senders.find(peer, ours);
    let process = tokio::task::spawn_blocking(find).await.ok()??;
    Some(Arc::new(process))
}

/// Other systems do not tell.
#[cfg(not(target_os = "linux"))]
async fn process(_: &Arc<Network>, _: SocketAddr, _: &TcpStream) -> Option<Arc<Process>> {
    None
}

/// How far the packets of a connection go.
struct Distance {
    shared: Option<Arc<Shared>>,
    is_ipv6: bool,
}

impl Distance {
    fn new(network: Kind, shared: &Arc<Shared>, peer: SocketAddr) -> Self {
        Self {
            shared: (network != Kind::Ours).then(|| Arc::clone(shared)),
            is_ipv6: peer.is_ipv6(),
        }
    }

    /// Sets the time to live of what is sent in response to a request.
    fn set(&self, stream: &TcpStream, method: &Method) {
        let Some(shared) = &self.shared else { return };
        let hops = if method == Method::PUT {
            let imds = shared.imds();
            imds.config()
                .metadata_options
                .http_put_response_hop_limit
                .into()
        } else {
            DEFAULT_HOPS
        };
        let socket = socket2::SockRef::from(stream);
        // A connection that has ended needs no limit.
        let _ = match self.is_ipv6 {
            false => socket.set_ttl_v4(hops),
            true => socket.set_unicast_hops_v6(hops),
        };
    }
}

/// Answers the request, or hands over the steps for its connection.
async fn respond(
    mut router: Router,
    begun: Begun,
    hand_over: &mpsc::Sender<Vec<Step>>,
    request: Parts,
    body: Incoming,
) -> Result<Response<Body>, Infallible> {
    // IMDS ignores bodies. hyper skips the body if the connection stays open.
    drop(body);
    let mut request = Request::from_parts(request, Body::empty());
    request.extensions_mut().insert(FromListener::new(begun));
    let mut response = router.call(request).await?;
    if let Some(ConnectionSteps(steps)) = response.extensions_mut().remove() {
        let _ = hand_over.send(steps).await;
        // The connection is taken from the HTTP library, which drops this future.
        std::future::pending().await
    }
    Ok(response)
}
