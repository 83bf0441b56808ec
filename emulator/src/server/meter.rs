//! How many packets clients send in networks of the emulator.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use socket2::{SockRef, Socket};
use tokio::net::TcpStream;

use super::entry::Origin;
use super::network::Kind;
use crate::control::Shared;
use crate::journal::Sample;

/// Counts the packets that the client of a connection sends: up to each [`read`](Self::read), and
/// until this is dropped, which leaves the connection open until then.
pub(super) struct Meter {
    shared: Arc<Shared>,
    origin: Origin,
    connection: Socket,
    counted: AtomicU32,
}

impl Meter {
    /// A meter, if packets are counted and the emulator owns the network. Elsewhere packets can be longer
    /// than on EC2, so their number is another one, too.
    pub(super) fn new(
        network: Kind,
        shared: &Arc<Shared>,
        origin: &Origin,
        stream: &TcpStream,
    ) -> Option<Self> {
        if network == Kind::Ours || !shared.recorded().packets {
            return None;
        }
        Some(Self {
            shared: Arc::clone(shared),
            origin: origin.clone(),
            connection: SockRef::from(stream).try_clone().ok()?,
            counted: AtomicU32::new(0),
        })
    }

    /// Adds the packets since the last time to the journal.
    pub(super) fn read(&self) {
        let Some(received) = received(&self.connection) else {
            return;
        };
        let before = self.counted.swap(received, Ordering::Relaxed);
        // The kernel's counter wraps around.
        let packets = received.wrapping_sub(before);
        if packets > 0 {
            self.shared.journal.add_packets(Sample {
                at: self.shared.began.elapsed(),
                connection: self.origin.connection.unwrap_or_default(),
                process: self.origin.process.clone(),
                packets: packets.into(),
            });
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.read();
    }
}

#[cfg(all(feature = "isolation", target_os = "linux"))]
fn received(connection: &Socket) -> Option<u32> {
    imds_isolation::packets_received(connection).ok()
}

/// There are no isolated commands.
#[cfg(not(all(feature = "isolation", target_os = "linux")))]
fn received(_: &Socket) -> Option<u32> {
    None
}
