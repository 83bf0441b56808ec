//! Questions to the kernel about a TCP socket of a network namespace.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use netlink_packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketType};

use crate::namespace::Kind;

/// A socket for questions about sockets.
pub(crate) const SOCK_DIAG: Kind = Kind(
    AddressFamily::NETLINK,
    SocketType::RAW,
    Some(net::netlink::SOCK_DIAG),
);
/// The room for an answer.
const ANSWER: usize = 4096;
/// Any cookie, INET_DIAG_NOCOOKIE.
const ANY: [u8; 8] = [0xff; 8];

/// The TCP sockets of a network namespace.
#[derive(Clone, Debug)]
pub struct Sockets {
    /// A socket in the namespace, for one question at a time.
    socket: Arc<Mutex<OwnedFd>>,
}

impl Sockets {
    /// Those of the namespace of this thread.
    ///
    /// # Errors
    ///
    /// If the kernel answers no questions about sockets.
    pub fn here() -> io::Result<Self> {
        Ok(Self::new(SOCK_DIAG.open()?))
    }

    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self {
            socket: Arc::new(Mutex::new(socket)),
        }
    }

    /// The inode of the socket that has the connection from `local` to `remote`. `None` if there is
    /// no such connection, or if no process has it any more.
    ///
    /// # Errors
    ///
    /// If the kernel does not answer, such as one without `CONFIG_INET_DIAG`.
    pub fn inode(&self, local: SocketAddr, remote: SocketAddr) -> io::Result<Option<u64>> {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        net::send(&*socket, &question(local, remote), SendFlags::empty())?;
        let mut bytes = [0; ANSWER];
        let (count, _) = net::recv(&*socket, &mut bytes[..], RecvFlags::empty())?;
        let answer = bytes.get(..count).unwrap_or_default();
        let answer = NetlinkMessage::<SockDiagMessage>::deserialize(answer)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        match answer.payload {
            NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                let found = &response.header;
                // Without such a connection, the kernel finds a socket that listens at `local`.
                let is_connected = found.socket_id.destination_port == remote.port();
                Ok((is_connected && found.inode != 0).then_some(found.inode.into()))
            }
            NetlinkPayload::Error(error) => match error.to_io() {
                error if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => Ok(None),
                error => Err(error),
            },
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// A question about one connection.
fn question(local: SocketAddr, remote: SocketAddr) -> Vec<u8> {
    // Sockets for IPv6 can have connections over IPv4, which the kernel finds by their IPv4 addresses.
    let (source, destination) = (local.ip().to_canonical(), remote.ip().to_canonical());
    let request = InetRequest {
        family: if source.is_ipv4() { AF_INET } else { AF_INET6 },
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: StateFlags::all(),
        socket_id: SocketId {
            source_port: local.port(),
            destination_port: remote.port(),
            source_address: source,
            destination_address: destination,
            interface_id: 0,
            cookie: ANY,
        },
    };
    let mut message = NetlinkMessage::from(SockDiagMessage::InetRequest(request));
    message.header.flags = NLM_F_REQUEST;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd as _;
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;

    /// The inode of a socket, as its file descriptor has it.
    fn inode(socket: &TcpStream) -> Option<u64> {
        let link = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        let link = link.to_string_lossy();
        let number = link.strip_prefix("socket:[")?.strip_suffix(']')?;
        Some(number.parse().unwrap())
    }

    #[test]
    fn a_connection_has_the_inode_of_its_socket() {
        let sockets = Sockets::here().unwrap();
        // The last socket has a connection over IPv4 at an address of IPv6.
        for (listen, connect) in [
            ("127.0.0.1:0", "127.0.0.1"),
            ("[::1]:0", "::1"),
            ("[::]:0", "127.0.0.1"),
        ] {
            let Ok(listener) = TcpListener::bind(listen) else {
                eprintln!("not run for {listen}, because there is no IPv6");
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            let address = SocketAddr::new(connect.parse().unwrap(), port);
            let client = TcpStream::connect(address).unwrap();
            let (server, peer) = listener.accept().unwrap();
            let ours = server.local_addr().unwrap();
            assert_eq!(sockets.inode(peer, ours).unwrap(), inode(&client));
            assert_eq!(sockets.inode(ours, peer).unwrap(), inode(&server));

            let other = SocketAddr::new(peer.ip(), 1);
            assert_eq!(sockets.inode(other, ours).unwrap(), None);
            // Nothing is connected to itself, and something listens at this address.
            assert_eq!(sockets.inode(ours, other).unwrap(), None);
            drop((server, client));
            // A process that another test starts may have the sockets until it runs its program.
            let mut tries = 0;
            while sockets.inode(peer, ours).unwrap().is_some() {
                tries += 1;
                assert!(tries < 500, "{peer} is still connected");
                sleep(Duration::from_millis(10));
            }
        }
    }
}
