//! The file with the token. Some clients read the token from a file only.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::{Builder, NamedTempFile, TempPath};

/// Programs that clean temporary folders spare what was modified in the last hours.
const TOUCH: Duration = Duration::from_secs(3600);

/// A file that only this user can read, and that is removed with this.
pub(super) struct TokenFile(TempPath);

impl TokenFile {
    /// Writes the token to `file`, or to a new file in a temporary folder of the system.
    pub(super) fn write(file: Option<&Path>, token: &str) -> io::Result<Self> {
        let Some(file) = file else {
            let of_user = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
            let of_user = of_user.filter(|folder| folder.is_absolute());
            let file = match of_user.and_then(|folder| written(&folder, token).ok()) {
                Some(file) => file,
                None => written(&std::env::temp_dir(), token)?,
            };
            return Ok(Self(file.into_temp_path()));
        };
        let folder = file
            .parent()
            .filter(|folder| *folder != Path::new(""))
            .unwrap_or(Path::new("."));
        // No reader sees half of it.
        written(folder, token)?
            .persist(file)
            .map_err(|error| error.error)?;
        Ok(Self(TempPath::try_from_path(file)?))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Keeps the file from being cleaned away.
    pub(super) async fn keep(path: PathBuf) {
        loop {
            tokio::time::sleep(TOUCH).await;
            let touched = File::options()
                .append(true)
                .open(&path)
                .and_then(|file| file.set_modified(SystemTime::now()));
            if let Err(error) = touched {
                tracing::warn!(file = %path.display(), %error, "cannot keep the file with the token");
            }
        }
    }
}

/// A new file with the token, which only this user can read from its creation on.
fn written(folder: &Path, token: &str) -> io::Result<NamedTempFile> {
    let mut written = Builder::new()
        .prefix("ec2-role-credentials-")
        .tempfile_in(folder)?;
    // Without a newline: most SDKs reject one.
    written.write_all(token.as_bytes())?;
    Ok(written)
}
