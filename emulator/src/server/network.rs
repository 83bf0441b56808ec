//! The network in which a port is open, and what the emulator can do there.

use std::net::IpAddr;

#[cfg(all(feature = "isolation", target_os = "linux"))]
pub(super) use imds_isolation::{Imposed, Prohibition, Routes, Traffic};

#[cfg(not(all(feature = "isolation", target_os = "linux")))]
pub(super) use self::none::{Imposed, Prohibition, Routes, Traffic};

#[cfg(target_os = "linux")]
use super::sender::Senders;
#[cfg(all(feature = "isolation", target_os = "linux"))]
use crate::control::OwnNetwork;
use crate::fault::Conditions;

/// The network in which a port is open.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) kind: Kind,
    /// The routes to the addresses of IMDS, if they are the emulator's.
    pub(super) routes: Option<Routes>,
    /// The packets to and from these addresses.
    pub(super) traffic: Option<Traffic>,
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
            traffic: None,
            #[cfg(target_os = "linux")]
            senders: Senders::here(),
        }
    }

    /// Imposes conditions on the packets to and from an address, if the emulator owns the network. The
    /// error says what is in the way.
    pub(super) fn impose(
        &self,
        address: IpAddr,
        conditions: &Conditions,
    ) -> Result<Option<Imposed>, String> {
        let Some(traffic) = self.traffic.as_ref() else {
            return Ok(None);
        };
        let imposed = traffic.impose(address, &of(conditions));
        imposed.map(Some).map_err(|error| explained(&error))
    }
}

#[cfg(all(feature = "isolation", target_os = "linux"))]
fn of(conditions: &Conditions) -> imds_isolation::Conditions {
    let Conditions {
        loss,
        delay,
        jitter,
        bandwidth,
    } = *conditions;
    imds_isolation::Conditions {
        loss,
        delay,
        jitter,
        bandwidth,
    }
}

#[cfg(not(all(feature = "isolation", target_os = "linux")))]
fn of(conditions: &Conditions) -> Conditions {
    *conditions
}

/// What can be done in a network of the emulator. Without `traffic`, it is tried in a network of its
/// own, because the networks of isolated commands do not exist yet.
#[cfg(all(feature = "isolation", target_os = "linux"))]
pub(super) fn own(traffic: Option<Traffic>) -> OwnNetwork {
    OwnNetwork::new(move |conditions| {
        let traffic = match &traffic {
            Some(traffic) => traffic.clone(),
            None => Traffic::apart().map_err(|error| {
                format!("a network namespace to try it in cannot be made ({error})")
            })?,
        };
        let imposed = traffic.impose(TRIAL, &of(conditions));
        imposed.map(drop).map_err(|error| explained(&error))
    })
}

/// An address that nothing has, from a block for documentation.
#[cfg(all(feature = "isolation", target_os = "linux"))]
const TRIAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

#[cfg(all(feature = "isolation", target_os = "linux"))]
fn explained(error: &imds_isolation::ImposeError) -> String {
    use std::error::Error as _;
    use std::io;
    let modules = error.part.modules();
    let source = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>());
    match source.map(io::Error::kind) {
        // The kernel's word for a kind of queueing discipline or filter that it does not know.
        Some(io::ErrorKind::NotFound | io::ErrorKind::Unsupported) | None => {
            format!("{error}, because it lacks a module; it needs {modules}")
        }
        Some(io::ErrorKind::PermissionDenied) => {
            format!("{error} for this process, which needs the capability NET_ADMIN")
        }
        Some(io::ErrorKind::AlreadyExists) => format!(
            "{error}, because the loopback interface has a queueing discipline of another program, which \
             the emulator does not replace (`tc qdisc delete dev lo root` removes it)"
        ),
        Some(kind) => format!("{error} ({kind}); it needs the modules {modules}"),
    }
}

#[cfg(not(all(feature = "isolation", target_os = "linux")))]
fn explained(error: &std::io::Error) -> String {
    error.to_string()
}

/// Without networks of their own, there is nothing to act on.
#[cfg(not(all(feature = "isolation", target_os = "linux")))]
mod none {
    use std::convert::Infallible;
    use std::io;
    use std::net::IpAddr;

    use crate::fault::Conditions;

    pub(in crate::server) type Imposed = Infallible;
    pub(in crate::server) type Prohibition = Infallible;

    #[derive(Debug)]
    pub(in crate::server) enum Routes {}

    impl Routes {
        pub(in crate::server) fn prohibit(&self, _: IpAddr) -> io::Result<Prohibition> {
            match *self {}
        }
    }

    #[derive(Debug)]
    pub(in crate::server) enum Traffic {}

    impl Traffic {
        pub(in crate::server) fn impose(&self, _: IpAddr, _: &Conditions) -> io::Result<Imposed> {
            match *self {}
        }
    }
}
