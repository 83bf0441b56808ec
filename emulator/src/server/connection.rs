//! One connection: passes its requests to the router, and carries out the steps on the connection
//! that a fault puts in place of a response.

use std::convert::Infallible;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
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
use tokio::sync::watch;
use tower::Service as _;

use super::entry::{Entry, Origin};
use super::exchange::Begun;
use super::listener;
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

fn head_timeout(server: &config::Server) -> Duration {
    let timeout = TimeDelta::from(server.head_timeout).to_std();
    timeout.unwrap_or(Duration::MAX)
}

fn http(server: &config::Server) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(head_timeout(server))
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
    let (head_timeout, meter) = {
        let mut imds = shared.imds();
        if imds.tells_processes_apart() {
            drop(imds);
            // Before the first request is answered, because the client may end as soon as it is.
            origin.process = process(&network, peer, &stream).await;
            imds = shared.imds();
        }
        let meter = Meter::new(network.kind, &shared, &origin, &stream);
        let now = shared.clock.now();
        if let Some(summary) = imds.accept(origin.client(&shared), now) {
            let headers = HeaderMap::new();
            Entry::new(&shared, "", "", &headers, &origin, summary, now).end(Outcome::Reset, 0);
            return wire::reset(stream);
        }
        let config = imds.config();
        let is_ipv4 = peer.ip().to_canonical().is_ipv4();
        if !is_ipv4 && config.metadata_options.http_protocol_ipv6 == Switch::Disabled {
            return;
        }
        (head_timeout(&config.server), meter)
    };
    let stream = Arc::new(stream);
    // A client that sends nothing, or half a head, takes little memory.
    let first = tokio::select! {
        biased;
        first = wire::first_bytes(&stream) => first.ok(),
        () = end_of_input(&stream, &mut stopped) => None,
        () = tokio::time::sleep(head_timeout) => None,
    };
    let steps = if let Some(first) = first {
        let distance = Distance::new(network.kind, &shared, peer);
        let begin = |request: &Parts| {
            distance.set(&stream, &request.method);
            if let Some(meter) = &meter {
                meter.read();
            }
            Begun::new(&shared, &shared.imds(), request, &origin)
        };
        let http = http(&shared.imds().config().server);
        let stream = Arc::clone(&stream);
        let wire = Wire { stream, first };
        Box::pin(answer(wire, &http, &router, begin, &mut stopped)).await
    } else {
        None
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

/// Answers the requests on a connection. Returns steps on the connection if they take the place of a
/// response.
async fn answer(
    wire: Wire,
    http: &http1::Builder,
    router: &Router,
    begin: impl Fn(&Parts) -> Begun,
    stopped: &mut watch::Receiver<bool>,
) -> Option<Vec<Step>> {
    let steps = Mutex::default();
    let service = service_fn(|request: Request<Incoming>| {
        let (request, body) = request.into_parts();
        // The exchange begins here rather than in the future: hyper drops the future without a poll
        // if the client has already closed the connection.
        let begun = begin(&request);
        respond(router.clone(), begun, &steps, request, body)
    });
    let stream = Arc::clone(&wire.stream);
    let mut connection = pin!(http.serve_connection(TokioIo::new(wire), service));
    tokio::select! {
        biased;
        steps = end(connection.as_mut(), &steps) => return steps,
        () = end_of_input(&stream, stopped) => connection.as_mut().graceful_shutdown(),
    }
    end(connection, &steps).await
}

/// Waits for the end of a connection, or for steps. Errors of the connection concern only the client.
async fn end<C: Future>(
    mut connection: Pin<&mut C>,
    steps: &Mutex<Option<Vec<Step>>>,
) -> Option<Vec<Step>> {
    // The service runs when the connection is polled, so its steps are there afterwards.
    std::future::poll_fn(|context| {
        let has_ended = connection.as_mut().poll(context).is_ready();
        let steps = steps.lock().unwrap_or_else(PoisonError::into_inner).take();
        if has_ended || steps.is_some() {
            Poll::Ready(steps)
        } else {
            Poll::Pending
        }
    })
    .await
}

/// Returns when the emulator is to stop and all bytes that have arrived are read. The request that
/// they contain is then recorded, even if it arrived just before the emulator stops.
async fn end_of_input(stream: &TcpStream, stopped: &mut watch::Receiver<bool>) {
    listener::end(stopped).await;
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
    hand_over: &Mutex<Option<Vec<Step>>>,
    request: Parts,
    body: Incoming,
) -> Result<Response<Body>, Infallible> {
    // IMDS ignores bodies. hyper skips the body if the connection stays open.
    drop(body);
    let mut request = Request::from_parts(request, Body::empty());
    request.extensions_mut().insert(FromListener::new(begun));
    let mut response = router.call(request).await?;
    if let Some(ConnectionSteps(steps)) = response.extensions_mut().remove() {
        *hand_over.lock().unwrap_or_else(PoisonError::into_inner) = Some(steps);
        // The connection is taken from the HTTP library, which drops this future.
        std::future::pending().await
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::server::Builder;

    #[tokio::test]
    async fn a_client_that_sends_nothing_takes_little_memory() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        let (stream, peer) = accepted.unwrap();
        let (router, control) = Builder::new().router().unwrap();
        let (_stop, stopped) = watch::channel(false);
        let network = Arc::new(Network::ours());
        let served = serve(stream, peer, network, control.shared, router, stopped);
        let size = size_of_val(&served);
        assert!(size <= 2048, "{size} bytes");
        drop(client);
    }
}
