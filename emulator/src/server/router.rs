//! The metadata surface as an axum router. The emulator's listener serves it, and applications can
//! mount it.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts as _, Request};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::request::Parts;

use super::entry::Origin;
use super::exchange::Begun;
use crate::control::{Shared, check_responses};
use crate::decision::Step;
use crate::imds::Imds;
use crate::instance::Switch;

/// Among the extensions of a request: it comes from the emulator's own listener, which has begun the
/// exchange, and carries out [`ConnectionSteps`].
#[derive(Clone)]
pub(super) struct FromListener(Arc<Mutex<Option<Begun>>>);

impl FromListener {
    pub(super) fn new(begun: Begun) -> Self {
        Self(Arc::new(Mutex::new(Some(begun))))
    }

    fn take(self) -> Option<Begun> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
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

async fn answer(shared: &Arc<Shared>, request: Request) -> Response {
    // IMDS ignores bodies.
    let (mut request, _) = request.into_parts();
    let from_listener: Option<FromListener> = request.extensions.remove();
    if let Some(begun) = from_listener.and_then(FromListener::take) {
        return match begun.carry_out().await {
            Ok(response) => response.map(Body::new),
            Err(steps) => {
                let mut response = Response::default();
                response.extensions_mut().insert(ConnectionSteps(steps));
                response
            }
        };
    }
    let peer = peer(&mut request).await;
    let origin = Origin {
        address: peer.unwrap_or(UNKNOWN),
        connection: None,
        process: None,
        network_is_ours: false,
    };
    let begun = {
        let imds = shared.imds();
        if let Err(reason) = check(shared, &imds, peer) {
            return not_possible(&reason);
        }
        Begun::new(shared, &imds, &request, &origin)
    };
    match begun.carry_out().await {
        Ok(response) => response.map(Body::new),
        Err(_) => not_possible("a fault acts on the connection"),
    }
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
