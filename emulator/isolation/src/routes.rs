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
        // If the process is killed between two of these steps, the next one finds the prohibition.
        self.send(&netlink::prohibit(address))?;
        if address.is_ipv6() {
            self.remove_kernels_route(address);
        }
        Ok(Prohibition {
            routes: self.clone(),
            address,
        })
    }

    /// Removes the route that the kernel has for an IPv6 address, which it prefers to the prohibition. The
    /// kernel adds it a moment after the address.
    fn remove_kernels_route(&self, address: IpAddr) {
        for _ in 0..ATTEMPTS {
            // It is missing as well if it was removed by hand.
            if self.send(&netlink::remove_local_route(address)) != Err(Errno::SRCH) {
                return;
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Removes the prohibition that a killed process left behind. `is_present` says whether the loopback
    /// interface still has the address.
    pub(crate) fn clear(&self, address: IpAddr, is_present: bool) {
        let was_prohibited = self.send(&netlink::remove_prohibition(address)).is_ok();
        if was_prohibited && is_present {
            self.allow(address);
        }
    }

    fn allow(&self, address: IpAddr) {
        for message in netlink::allow(address, self.source) {
            // The namespace may be gone, or the route was restored by hand.
            let _ = self.send(&message);
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
        self.routes.allow(self.address);
    }
}
