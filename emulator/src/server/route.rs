//! The routes to the addresses of IMDS, which a fault can prohibit.

#[cfg(all(feature = "isolation", target_os = "linux"))]
pub(super) use imds_isolation::{Prohibition, Routes};

#[cfg(not(all(feature = "isolation", target_os = "linux")))]
pub(super) use self::none::{Prohibition, Routes};

/// Without networks of their own, there are no such routes.
#[cfg(not(all(feature = "isolation", target_os = "linux")))]
mod none {
    use std::convert::Infallible;
    use std::io;
    use std::net::IpAddr;

    pub(in crate::server) type Prohibition = Infallible;

    #[derive(Clone)]
    pub(in crate::server) enum Routes {}

    impl Routes {
        pub(in crate::server) fn prohibit(&self, _: IpAddr) -> io::Result<Prohibition> {
            match *self {}
        }
    }
}
