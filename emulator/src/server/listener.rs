//! Ports, which faults can close, and the connections that they accept.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::StartError;
use super::connection::serve;
use crate::control::Shared;
use crate::fault::Family;

/// The pause after a failure to accept a connection, as when no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often the rules that can close the port are checked.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// The number of connections that can wait to be accepted.
const BACKLOG: u32 = 1024;
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

/// A port that accepts or refuses connections.
enum Port {
    Open(TcpListener),
    /// Refuses connections, but stays bound, so that no other process takes the port.
    Refusing(Option<TcpSocket>),
}

impl Port {
    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        match self {
            Self::Open(listener) => listener.accept().await,
            Self::Refusing(_) => std::future::pending().await,
        }
    }

    fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }

    /// Opens a closed port, and closes an open one. A failure is retried later.
    fn turned(self, address: SocketAddr) -> Self {
        match self {
            Self::Open(listener) => {
                drop(listener);
                Self::Refusing(bound(address).ok())
            }
            Self::Refusing(socket) => {
                let socket = match socket {
                    Some(socket) => Ok(socket),
                    None => bound(address),
                };
                match socket.and_then(|socket| socket.listen(BACKLOG)) {
                    Ok(listener) => Self::Open(listener),
                    Err(_) => Self::Refusing(None),
                }
            }
        }
    }
}

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Accepts connections until the emulator stops, then waits for those with a request in progress.
pub(super) async fn listen(
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) {
    let family = match address {
        SocketAddr::V4(_) => Family::Ipv4,
        SocketAddr::V6(_) => Family::Ipv6,
    };
    let mut port = Port::Open(listener);
    let mut changes = shared.changes.subscribe();
    // Connections are aborted with this task.
    let mut connections = JoinSet::new();
    loop {
        shared.tick();
        let imds = shared.imds.load_full();
        if port.is_open() == imds.is_down(family, shared.clock.now()) {
            port = port.turned(address);
        }
        // No event reports that a rule begins or ends.
        let look_again = imds.can_be_down() || !port.is_open() || shared.timeline.is_waiting();
        drop(imds);
        let accepted = tokio::select! {
            accepted = port.accept() => accepted,
            _ = changes.changed() => continue,
            () = tokio::time::sleep(LOOK_AGAIN), if look_again => continue,
            () = end(&mut stopped) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                connections.spawn(serve(stream, peer, Arc::clone(&shared), stopped.clone()));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
    drop(port);
    while connections.join_next().await.is_some() {}
}

/// Returns when the emulator is to stop.
pub(super) async fn end(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
