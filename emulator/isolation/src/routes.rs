//! The routes to addresses of the loopback interface, which can be prohibited.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;

use crate::netlink;

/// The routes to addresses of the loopback interface of a namespace.
#[derive(Clone, Debug)]
pub struct Routes {
    /// A socket in the namespace, for one message at a time.
    socket: Arc<Mutex<OwnedFd>>,
    source: Option<Ipv4Addr>,
}

/// The number of attempts to find the kernel's route to a new address, and the pause between them.
const ATTEMPTS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(1);

impl Routes {
    pub(crate) fn new(socket: OwnedFd, source: Option<Ipv4Addr>) -> Self {
        Self {
            socket: Arc::new(Mutex::new(socket)),
            source,
        }
    }

    /// Prohibits the route to an address until the result is dropped: connecting to the address fails
    /// with EACCES. Connections that are open get no more packets.
    ///
    /// # Errors
    ///
    /// If the kernel refuses it.
    pub fn prohibit(&self, address: IpAddr) -> io::Result<Prohibition> {
        let prohibition = Prohibition {
            routes: self.clone(),
            address,
        };
        if address.is_ipv6() {
            self.remove_kernels_route(address);
        }
        // If it fails, the route is restored.
        for message in netlink::prohibit(address) {
            match prohibition.routes.send(&message) {
                // The route was removed by hand.
                Ok(()) | Err(Errno::SRCH) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(prohibition)
    }

    /// Removes the route that the kernel has for an IPv6 address. The kernel adds it a moment after the
    /// address, and would add it beside the prohibition.
    fn remove_kernels_route(&self, address: IpAddr) {
        for _ in 0..ATTEMPTS {
            if self.send(&netlink::remove_route(address)) != Err(Errno::SRCH) {
                return;
            }
            std::thread::sleep(PAUSE);
        }
    }

    pub(crate) fn send(&self, message: &[u8]) -> Result<(), Errno> {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        netlink::send(&socket, message)
    }
}

/// The prohibition of a route. It ends when this is dropped.
#[derive(Debug)]
pub struct Prohibition {
    routes: Routes,
    address: IpAddr,
}

impl Drop for Prohibition {
    fn drop(&mut self) {
        for message in netlink::allow(self.address, self.routes.source) {
            // The namespace may be gone, or the route was restored by hand.
            let _ = self.routes.send(&message);
        }
    }
}
