//! Ports, which faults can close, and the connections that they accept.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::StartError;
use super::connection::serve;
use super::network::{Imposed, Network, Prohibition};
use super::port::Port;
use crate::control::Shared;
use crate::fault::{Conditions, Family, Refusal};

/// The pause after a failure to accept a connection, as when no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often the rules that can close the port are checked.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// The number of attempts, with port 0 and several addresses, to find a port that is free on all of
/// them.
const PORT_ATTEMPTS: usize = 16;

/// Listens on all hosts, on the same port.
pub(super) async fn bind(
    hosts: &[IpAddr],
    port: u16,
) -> Result<Vec<(TcpListener, SocketAddr)>, StartError> {
    let mut attempts = if port == 0 { PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        match bind_once(hosts, port).await {
            Err(error) if attempts > 0 && hosts.len() > 1 => drop(error),
            bound => return bound,
        }
    }
}

pub(super) async fn bind_once(
    hosts: &[IpAddr],
    mut port: u16,
) -> Result<Vec<(TcpListener, SocketAddr)>, StartError> {
    let mut bound = Vec::new();
    for host in hosts {
        let address = SocketAddr::from((*host, port));
        let failed = |source: io::Error| StartError {
            doing: format!("cannot listen on {address}"),
            source: Box::new(source),
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        port = address.port();
        bound.push((listener, address));
    }
    Ok(bound)
}

/// Accepts connections until the emulator stops. Then serves those whose clients have connected, and
/// waits for the requests in progress.
pub(super) async fn listen(
    listener: TcpListener,
    address: SocketAddr,
    network: Arc<Network>,
    shared: Arc<Shared>,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) {
    let family = match address {
        SocketAddr::V4(_) => Family::Ipv4,
        SocketAddr::V6(_) => Family::Ipv6,
    };
    let mut port = Port::open(listener);
    let mut prohibition: Option<Prohibition> = None;
    let mut imposed: Option<(Conditions, Imposed)> = None;
    let obstacle = shared.obstacles.add();
    let mut changes = shared.changes.subscribe();
    let start = {
        let (network, shared, stopped) =
            (Arc::clone(&network), Arc::clone(&shared), stopped.clone());
        move |stream, peer| {
            let (network, shared) = (Arc::clone(&network), Arc::clone(&shared));
            serve(
                stream,
                peer,
                network,
                shared,
                router.clone(),
                stopped.clone(),
            )
        }
    };
    // Connections are aborted with this task.
    let mut connections = JoinSet::new();
    loop {
        shared.tick();
        let imds = shared.imds.load_full();
        let now = shared.clock.now();
        let refusal = imds.refusal(family, now);
        if port.is_open() == refusal.is_some() {
            port = port.turned(address, network.kind);
        }
        if let (Some(Refusal::Prohibited), Some(routes)) = (refusal, &network.routes) {
            // A failure is retried later. Until then the connection is refused.
            if prohibition.is_none() {
                let new = routes.prohibit(address.ip());
                let problem = new.as_ref().err();
                let problem =
                    problem.map(|error| format!("the kernel does not prohibit the route: {error}"));
                obstacle.route.set(problem);
                prohibition = new.ok();
            }
        } else {
            prohibition = None;
            obstacle.route.set(None);
        }
        let conditions = imds.conditions(now);
        // The old ones end first, because a packet can be in one class only.
        if imposed.as_ref().is_some_and(|(of, _)| *of != conditions) {
            imposed = None;
        }
        if conditions == Conditions::default() {
            obstacle.packets.set(None);
        } else if imposed.is_none() {
            // A failure is retried later.
            let new = network.impose(address.ip(), &conditions);
            obstacle.packets.set(new.as_ref().err().cloned());
            imposed = new.ok().flatten().map(|new| (conditions, new));
        }
        // No event reports that a rule begins or ends.
        let look_again =
            imds.acts_below_requests() || !port.is_open() || shared.timeline.is_waiting();
        drop(imds);
        let accepted = tokio::select! {
            accepted = port.accept() => accepted,
            _ = changes.changed() => continue,
            () = tokio::time::sleep(LOOK_AGAIN), if look_again => continue,
            () = end(&mut stopped) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                connections.spawn(start(stream, peer));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
    for (stream, peer) in port.waiting() {
        connections.spawn(start(stream, peer));
    }
    drop((port, prohibition, imposed));
    while connections.join_next().await.is_some() {}
}

/// Returns when the emulator is to stop.
pub(super) async fn end(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
