//! A port that accepts or refuses connections.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};

/// The number of connections that can wait to be accepted.
const BACKLOG: u32 = 1024;

/// A port that accepts or refuses connections.
pub(super) enum Port {
    Open(TcpListener),
    /// Refuses connections, but stays bound, so that no other process takes the port.
    Refusing(Refusing),
}

impl Port {
    pub(super) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        match self {
            Self::Open(listener) => listener.accept().await,
            Self::Refusing(_) => std::future::pending().await,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }

    /// Opens a closed port, and closes an open one. A failure is retried later.
    pub(super) fn turned(self, address: SocketAddr) -> Self {
        match self {
            Self::Open(listener) => Refusing::close(listener, address),
            Self::Refusing(refusing) => refusing.open(address),
        }
    }
}

/// On Linux a socket that was shut down no longer listens, and can listen again. It can come from
/// another network namespace, in which this process cannot bind another one.
///
/// The runtime takes a socket that was shut down for one at its end, so it does not have it meanwhile.
#[cfg(target_os = "linux")]
pub(super) struct Refusing(socket2::Socket);

#[cfg(target_os = "linux")]
impl Refusing {
    fn close(listener: TcpListener, _: SocketAddr) -> Port {
        let Ok(socket) = socket2::SockRef::from(&listener).try_clone() else {
            return Port::Open(listener);
        };
        drop(listener);
        // It fails if the socket does not listen.
        let _ = socket.shutdown(std::net::Shutdown::Both);
        Port::Refusing(Self(socket))
    }

    fn open(self, _: SocketAddr) -> Port {
        let backlog = i32::try_from(BACKLOG).unwrap_or(i32::MAX);
        let listens = self.0.listen(backlog).and_then(|()| self.0.try_clone());
        match listens.and_then(|socket| TcpListener::from_std(socket.into())) {
            Ok(listener) => Port::Open(listener),
            Err(_) => Port::Refusing(self),
        }
    }
}

/// Elsewhere, the socket is replaced by one that is bound and does not listen.
#[cfg(not(target_os = "linux"))]
pub(super) struct Refusing(Option<tokio::net::TcpSocket>);

#[cfg(not(target_os = "linux"))]
impl Refusing {
    fn close(listener: TcpListener, address: SocketAddr) -> Port {
        drop(listener);
        Port::Refusing(Self(bound(address).ok()))
    }

    fn open(self, address: SocketAddr) -> Port {
        let socket = match self.0 {
            Some(socket) => Ok(socket),
            None => bound(address),
        };
        match socket.and_then(|socket| socket.listen(BACKLOG)) {
            Ok(listener) => Port::Open(listener),
            Err(_) => Port::Refusing(Self(None)),
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn bound(address: SocketAddr) -> io::Result<tokio::net::TcpSocket> {
    use tokio::net::TcpSocket;

    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
