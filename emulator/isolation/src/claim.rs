//! The claim of a process to the loopback interface of a network namespace, which lasts as long as the
//! process.
//!
//! It is an abstract Unix socket: each name exists once per network namespace, and is free again when
//! the process has ended, in whatever way.

use std::fmt;
use std::fs;
use std::os::fd::OwnedFd;

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketType};

use crate::namespace::Kind;

/// A socket for a claim.
pub(crate) const SOCKET: Kind = Kind(AddressFamily::UNIX, SocketType::STREAM, None);
/// The name, which `ss -xl` shows with an `@`.
const NAME: &[u8] = b"imds-isolation";
/// The number of processes that can ask who has the claim. The kernel keeps what nobody accepts.
const BACKLOG: i32 = 4096;

/// A claim, until it is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    _socket: OwnedFd,
}

impl Claim {
    /// Makes a claim in the namespace of `socket`.
    ///
    /// # Errors
    ///
    /// The process that has it. Where the kernel refuses for another reason, nobody can have a claim.
    pub(crate) fn make(socket: OwnedFd) -> Result<Option<Self>, Claimant> {
        let Ok(name) = SocketAddrUnix::new_abstract_name(NAME) else {
            return Ok(None);
        };
        match net::bind(&socket, &name) {
            Ok(()) => {
                // The kernel remembers for others which process listens.
                let _ = net::listen(&socket, BACKLOG);
                Ok(Some(Self { _socket: socket }))
            }
            Err(Errno::ADDRINUSE) => {
                let connected = rustix::io::ioctl_fionbio(&socket, true)
                    .and_then(|()| net::connect(&socket, &name));
                let id = connected.ok().and_then(|()| peer(&socket));
                Err(Claimant::new(id))
            }
            Err(_) => Ok(None),
        }
    }
}

/// The process at the other end. `None` if this process cannot see it, as from another container. rustix
/// has no value for that.
fn peer(socket: &OwnedFd) -> Option<u32> {
    let credentials = getsockopt(socket, PeerCredentials).ok()?;
    u32::try_from(credentials.pid()).ok().filter(|id| *id > 0)
}

/// The process that has a claim.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claimant {
    /// Its ID, unless it is in a container whose processes this process cannot see.
    pub id: Option<u32>,
    /// Its name.
    pub name: Option<String>,
}

impl Claimant {
    fn new(id: Option<u32>) -> Self {
        let name = id.and_then(|id| fs::read_to_string(format!("/proc/{id}/comm")).ok());
        Self {
            id,
            name: name.map(|name| name.trim_end().to_owned()),
        }
    }
}

impl fmt::Display for Claimant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.id, &self.name) {
            (Some(id), Some(name)) => write!(f, "process {id} ({name})"),
            (Some(id), None) => write!(f, "process {id}"),
            (None, _) => {
                f.write_str("a process that is not visible here, such as one of a container")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::namespace::sockets_apart;

    #[test]
    fn a_claim_lasts_until_it_is_dropped_and_names_its_process() {
        let sockets = match sockets_apart(&[SOCKET; 100]) {
            Ok(sockets) => sockets,
            Err(error) => {
                eprintln!("not run, because namespaces are forbidden: {error}");
                return;
            }
        };
        let mut sockets = sockets.into_iter().map(Result::unwrap);
        let mut claim = || Claim::make(sockets.next().unwrap());
        let first = claim().unwrap();
        assert!(first.is_some());
        let claimant = claim().unwrap_err();
        assert_eq!(claimant.id, Some(std::process::id()));
        let text = claimant.to_string();
        assert!(
            text.starts_with(&format!("process {} (", std::process::id())),
            "{text}"
        );
        drop(first);
        // A process that another test has just forked may still have a copy of the socket.
        let last = std::iter::repeat_with(|| {
            std::thread::sleep(Duration::from_millis(50));
            claim()
        });
        assert!(
            last.take(98)
                .any(|claim| claim.is_ok_and(|it| it.is_some()))
        );
    }
}
