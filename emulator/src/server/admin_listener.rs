//! The listeners of the admin API: a TCP port and, on Unix, a Unix socket.

use std::io;
use std::path::Path;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::listener::{bind_once, end};
use super::{StartError, reachable};
use crate::admin;
use crate::control::Control;

/// Serves the admin API. Returns its URL.
pub(super) async fn serve_admin(
    control: &Control,
    stopped: &watch::Receiver<bool>,
    tasks: &mut JoinSet<()>,
) -> Result<String, StartError> {
    let admin = &control.shared.initial.admin;
    let router = admin::router(control.clone(), stopped.clone());
    let (listener, address) = bind_once(&[admin.host], admin.port)
        .await?
        .pop()
        .ok_or_else(|| StartError {
            doing: "no address for the admin API".into(),
            source: Box::new(io::Error::from(io::ErrorKind::AddrNotAvailable)),
        })?;
    let mut ends = stopped.clone();
    let served = axum::serve(listener, router.clone())
        .with_graceful_shutdown(async move { end(&mut ends).await });
    tasks.spawn(async move {
        let _ = served.await;
    });
    if let Some(path) = &admin.socket {
        serve_socket(path, router, stopped, tasks).map_err(|source| StartError {
            doing: format!("cannot listen on {}", path.display()),
            source: Box::new(source),
        })?;
    }
    Ok(format!("http://{}", reachable(address)))
}

/// Serves the admin API on a Unix socket.
#[cfg(unix)]
fn serve_socket(
    path: &Path,
    router: axum::Router,
    stopped: &watch::Receiver<bool>,
    tasks: &mut JoinSet<()>,
) -> io::Result<()> {
    let unix::Socket { listener, file } = unix::Socket::bind(path)?;
    let mut stopped = stopped.clone();
    let served = axum::serve(listener, router)
        .with_graceful_shutdown(async move { end(&mut stopped).await });
    tasks.spawn(async move {
        let _file = file;
        let _ = served.await;
    });
    Ok(())
}

#[cfg(not(unix))]
fn serve_socket(
    _: &Path,
    _: axum::Router,
    _: &watch::Receiver<bool>,
    _: &mut JoinSet<()>,
) -> io::Result<()> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "Unix sockets are not supported on this platform",
    ))
}

#[cfg(unix)]
mod unix {
    use std::io;
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
    use std::path::{Path, PathBuf};

    use tokio::net::UnixListener;

    /// A Unix socket. Its file is removed when `file` is dropped.
    pub(super) struct Socket {
        pub(super) listener: UnixListener,
        pub(super) file: SocketFile,
    }

    pub(super) struct SocketFile(PathBuf);

    impl Socket {
        pub(super) fn bind(path: &Path) -> io::Result<Self> {
            // The socket of an emulator that was killed can be replaced: nothing accepts its
            // connections.
            let is_socket =
                std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
            if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
                std::fs::remove_file(path)?;
            }
            let listener = UnixListener::bind(path)?;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
            Ok(Self {
                listener,
                file: SocketFile(path.to_owned()),
            })
        }
    }

    impl Drop for SocketFile {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }
}
