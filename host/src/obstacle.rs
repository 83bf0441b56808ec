//! Obstacles that an exchange reveals: another service in the place of IMDS, or a block.

use std::fmt;
use std::io;
use std::path::Path;

use bytes::Bytes;
use http::{Response, header};

use crate::transport::TransportError;

/// Why the endpoint is not the IMDS of EC2, or cannot be reached, as far as an exchange shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Obstacle {
    /// The Instance Metadata Service of Azure responds.
    Azure,
    /// A metadata server of Google Cloud responds.
    GoogleCloud,
    /// `systemd-imdsd` runs, and keeps other processes from connecting to IMDS.
    SystemdImdsd,
}

/// The socket of `systemd-imdsd`, which exists where it runs (systemd 261 and later).
const IMDSD_SOCKET: &str = "/run/systemd/io.systemd.InstanceMetadata";

impl Obstacle {
    /// The obstacle that an exchange reveals.
    pub(crate) fn of(outcome: &Result<Response<Bytes>, TransportError>) -> Option<Self> {
        match outcome {
            Ok(response) => Self::of_response(response),
            Err(TransportError::Connect(error)) => {
                Self::of_refused_connection(error, Path::new(IMDSD_SOCKET))
            }
            Err(_) => None,
        }
    }

    fn of_response(response: &Response<Bytes>) -> Option<Self> {
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            value.to_str().ok()
        };
        let server = header(header::SERVER.as_str()).unwrap_or_default();
        let body = response.body();
        let google = header("metadata-flavor") == Some("Google")
            || ["Metadata Server for VM", "GKE Metadata Server"].contains(&server)
            // Without the header that it requires, that of GKE omits its own headers.
            || body.starts_with(b"GKE Metadata Server ");
        let required = b"Required metadata header not specified";
        let azure = server.starts_with("IMDS/")
            || server.starts_with("Microsoft-IIS/")
            || body.windows(required.len()).any(|part| part == required);
        match (google, azure) {
            (true, _) => Some(Self::GoogleCloud),
            (false, true) => Some(Self::Azure),
            (false, false) => None,
        }
    }

    /// `systemd-imdsd` adds a `prohibit` route, with which `connect` fails at once.
    fn of_refused_connection(error: &io::Error, socket: &Path) -> Option<Self> {
        let is_blocked = matches!(
            error.kind(),
            io::ErrorKind::PermissionDenied | io::ErrorKind::HostUnreachable
        );
        (is_blocked && socket.exists()).then_some(Self::SystemdImdsd)
    }

    /// What to do about it.
    pub(crate) fn remedy(self) -> &'static str {
        match self {
            Self::Azure => {
                "this is a machine of Azure, whose metadata service has no AWS credentials: use another source of credentials, for example web identity federation"
            }
            Self::GoogleCloud => {
                "this is a machine of Google Cloud, whose metadata server has no AWS credentials: use another source of credentials, for example web identity federation"
            }
            Self::SystemdImdsd => {
                "systemd-imdsd keeps other programs from connecting to IMDS: boot with systemd.imds.network=unlocked on the kernel command line"
            }
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Azure => "the metadata service of Azure responds, not that of EC2",
            Self::GoogleCloud => "the metadata server of Google Cloud responds, not that of EC2",
            Self::SystemdImdsd => "systemd-imdsd blocks direct connections to IMDS",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(headers: &[(&str, &str)], body: &'static str) -> Response<Bytes> {
        let mut response = Response::builder().status(403);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(body.into()).unwrap()
    }

    #[test]
    fn other_clouds_are_recognised_by_what_their_servers_say() {
        for (headers, body, obstacle) in [
            (&[][..], "", None),
            (&[("server", "EC2ws")], "", None),
            (
                &[("server", "Microsoft-IIS/10.0")],
                "",
                Some(Obstacle::Azure),
            ),
            (
                &[("server", "IMDS/150.870.65.1854")],
                "",
                Some(Obstacle::Azure),
            ),
            (
                &[],
                r#"{ "error": "Bad request: . Required metadata header not specified" }"#,
                Some(Obstacle::Azure),
            ),
            (
                &[("metadata-flavor", "Google")],
                "",
                Some(Obstacle::GoogleCloud),
            ),
            (
                &[("server", "Metadata Server for VM")],
                "",
                Some(Obstacle::GoogleCloud),
            ),
            (
                &[],
                r#"GKE Metadata Server encountered an error: Missing required header "Metadata-Flavor": "Google""#,
                Some(Obstacle::GoogleCloud),
            ),
        ] {
            assert_eq!(
                Obstacle::of(&Ok(response(headers, body))),
                obstacle,
                "{headers:?}"
            );
        }
    }

    #[test]
    fn a_block_is_systemds_if_its_socket_exists() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("io.systemd.InstanceMetadata");
        let blocked = |kind: io::ErrorKind| Obstacle::of_refused_connection(&kind.into(), &socket);
        let kinds = [
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::HostUnreachable,
        ];
        for kind in kinds {
            assert_eq!(blocked(kind), None);
        }
        std::fs::write(&socket, "").unwrap();
        for kind in kinds {
            assert_eq!(blocked(kind), Some(Obstacle::SystemdImdsd));
        }
        assert_eq!(blocked(io::ErrorKind::ConnectionRefused), None);
        assert_eq!(Obstacle::of(&Err(TransportError::ConnectTimeout)), None);
    }
}
