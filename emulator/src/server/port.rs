//! A port that accepts or refuses connections.

use std::io;
use std::net::{Shutdown, SocketAddr};

use socket2::{SockRef, Socket};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::network::Kind;

/// The number of connections that can wait to be accepted.
const BACKLOG: u32 = 1024;

/// A port that accepts or refuses connections.
///
/// A port that refuses them stays bound, and no other socket can listen on it: on Linux, that takes a
/// socket that does not let others reuse its address. It did let them when it was bound, because the
/// connections before would be in the way, and it does again when it is to listen.
pub(super) enum Port {
    Open(TcpListener),
    /// Refuses connections.
    Refusing(Option<TcpSocket>),
    /// The same in a network other than this process's, where this process cannot open a socket. On
    /// Linux a socket that was shut down no longer listens, stays bound if it was bound to a port of
    /// the program's choice, and can listen again. Until then it is not registered with the runtime,
    /// because the runtime would always report it as readable.
    ShutDown(Socket),
}

impl Port {
    pub(super) fn open(listener: TcpListener) -> Self {
        // Each response is written in one call, so the system has nothing to coalesce. Connections
        // inherit the option.
        let _ = SockRef::from(&listener).set_tcp_nodelay(true);
        Self::Open(listener)
    }

    pub(super) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        match self {
            Self::Open(listener) => listener.accept().await,
            Self::Refusing(_) | Self::ShutDown(_) => std::future::pending().await,
        }
    }

    /// The connections that wait to be accepted.
    pub(super) fn waiting(&self) -> Vec<(TcpStream, SocketAddr)> {
        let Self::Open(listener) = self else {
            return Vec::new();
        };
        // The runtime may not know yet that they wait, so the kernel is asked.
        let listener = SockRef::from(listener);
        let next = || {
            let (stream, peer) = listener.accept().ok()?;
            stream.set_nonblocking(true).ok()?;
            let stream = TcpStream::from_std(stream.into()).ok()?;
            Some((stream, peer.as_socket()?))
        };
        // A client that keeps connecting must not keep the port open.
        let most = usize::try_from(BACKLOG).unwrap_or(usize::MAX);
        std::iter::from_fn(next).take(most).collect()
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }

    /// Opens a closed port, and closes an open one. A failure is retried later.
    pub(super) fn turned(self, address: SocketAddr, network: Kind) -> Self {
        match (self, network) {
            (Self::Open(listener), Kind::Ours) => {
                drop(listener);
                Self::Refusing(bound(address).ok())
            }
            (Self::Open(listener), Kind::Command | Kind::Existing) => {
                let Ok(socket) = SockRef::from(&listener).try_clone() else {
                    return Self::Open(listener);
                };
                drop(listener);
                // It fails only if the socket does not listen.
                let _ = socket.shutdown(Shutdown::Both);
                let _ = socket.set_reuse_address(false);
                Self::ShutDown(socket)
            }
            (Self::Refusing(socket), _) => {
                let socket = match socket {
                    Some(socket) => Ok(socket),
                    None => bound(address),
                };
                let listens = socket.and_then(|socket| {
                    socket.set_reuseaddr(true)?;
                    socket.listen(BACKLOG)
                });
                match listens {
                    Ok(listener) => Self::open(listener),
                    Err(_) => Self::Refusing(None),
                }
            }
            (Self::ShutDown(socket), _) => {
                let backlog = i32::try_from(BACKLOG).unwrap_or(i32::MAX);
                let _ = socket.set_reuse_address(true);
                let listens = socket.listen(backlog).and_then(|()| socket.try_clone());
                match listens.and_then(|socket| TcpListener::from_std(socket.into())) {
                    Ok(listener) => Self::open(listener),
                    Err(_) => Self::ShutDown(socket),
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
    socket.set_reuseaddr(false)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_connection_sends_leaves_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut port = Port::open(listener);
        for kind in [Kind::Ours, Kind::Command] {
            let client = TcpStream::connect(address).await.unwrap();
            let (stream, _) = port.accept().await.unwrap();
            assert!(stream.nodelay().unwrap(), "before {kind:?}");
            drop((client, stream));
            // Closed, and opened again.
            port = port.turned(address, kind).turned(address, kind);
        }
        let _client = TcpStream::connect(address).await.unwrap();
        let (stream, _) = port.accept().await.unwrap();
        assert!(stream.nodelay().unwrap());
    }
}
