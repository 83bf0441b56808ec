//! The network in which a port is open, and what the emulator can do there.

#[cfg(all(feature = "isolation", target_os = "linux"))]
pub(super) use imds_isolation::{Prohibition, Routes};

#[cfg(not(all(feature = "isolation", target_os = "linux")))]
pub(super) use self::none::{Prohibition, Routes};

#[cfg(target_os = "linux")]
use super::sender::Senders;

/// The network in which a port is open.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) kind: Kind,
    /// The routes to the addresses of IMDS, if they are the emulator's.
    pub(super) routes: Option<Routes>,
    #[cfg(target_os = "linux")]
    pub(super) senders: Senders,
}

#[cfg_attr(
    not(all(feature = "isolation", target_os = "linux")),
    expect(dead_code, reason = "only isolation makes the other networks")
)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// The one of this process.
    Ours,
    /// The one of an isolated command. Responses to a `PUT` leave with `HttpPutResponseHopLimit` as
    /// their time to live, as on EC2 `[I21]`.
    Command,
    /// One that existed before, whose loopback interface has the addresses of IMDS. Responses to a
    /// `PUT` leave as above.
    Existing,
}

impl Network {
    /// The network of this process.
    pub(super) fn ours() -> Self {
        Self {
            kind: Kind::Ours,
            routes: None,
            #[cfg(target_os = "linux")]
            senders: Senders::here(),
        }
    }
}

/// Without networks of their own, there are no such routes.
#[cfg(not(all(feature = "isolation", target_os = "linux")))]
mod none {
    use std::convert::Infallible;
    use std::io;
    use std::net::IpAddr;

    pub(in crate::server) type Prohibition = Infallible;

    #[derive(Debug)]
    pub(in crate::server) enum Routes {}

    impl Routes {
        pub(in crate::server) fn prohibit(&self, _: IpAddr) -> io::Result<Prohibition> {
            match *self {}
        }
    }
}
