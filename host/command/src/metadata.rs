//! `metadata`: prints any path of the metadata tree.

use std::io::{self, IsTerminal as _};

use anyhow::Context as _;

use crate::Outcome;
use crate::source::{Log, Source};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ec2-role-credentials metadata placement/region
  ec2-role-credentials metadata /latest/dynamic/instance-identity/document
  ec2-role-credentials metadata user-data > user-data.sh
  ec2-role-credentials metadata --emulator /")]
pub(crate) struct Arguments {
    /// Print this path below /latest/meta-data. A path that begins with `dynamic/`, and `user-data`, are
    /// below /latest. A leading /latest is optional
    path: String,

    #[command(flatten)]
    source: Source,

    #[command(flatten)]
    log: Log,
}

/// The part of the tree that a path is in.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    Metadata(&'a str),
    Dynamic(&'a str),
    UserData,
}

impl Arguments {
    pub(crate) async fn run(self) -> Outcome {
        self.log.start(None)?;
        let opened = self.source.open().await?;
        let metadata = opened.provider.metadata();
        let body = match place(&self.path) {
            Place::Metadata(path) => metadata.get(path).await.map(String::into_bytes),
            Place::Dynamic(path) => metadata.dynamic_data(path).await.map(String::into_bytes),
            Place::UserData => metadata.user_data().await,
        };
        let mut body = body.with_context(|| format!("cannot read {:?}", self.path))?;
        // The bytes are printed unchanged, except that a terminal's prompt must begin on a new line.
        if io::stdout().is_terminal() && !body.ends_with(b"\n") {
            body.push(b'\n');
        }
        crate::print(&body)
    }
}

/// The names are unambiguous: `meta-data` contains no `dynamic`, `meta-data` or `user-data`.
fn place(path: &str) -> Place<'_> {
    let path = path.trim_start_matches('/');
    let path = path.strip_prefix("latest/").unwrap_or(path);
    let below = |name: &str| {
        let rest = path.strip_prefix(name)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest.trim_start_matches('/'))
    };
    if let Some("") = below("user-data") {
        return Place::UserData;
    }
    if let Some(path) = below("dynamic") {
        return Place::Dynamic(path);
    }
    Place::Metadata(below("meta-data").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_be_written_in_full_or_short() {
        for (path, expected) in [
            ("instance-id", Place::Metadata("instance-id")),
            ("/instance-id", Place::Metadata("instance-id")),
            ("meta-data/placement/", Place::Metadata("placement/")),
            (
                "/latest/meta-data/placement/region",
                Place::Metadata("placement/region"),
            ),
            ("/latest/meta-data/", Place::Metadata("")),
            ("/", Place::Metadata("")),
            ("dynamic/fws/", Place::Dynamic("fws/")),
            ("/latest/dynamic", Place::Dynamic("")),
            ("dynamics", Place::Metadata("dynamics")),
            ("user-data", Place::UserData),
            ("/latest/user-data/", Place::UserData),
            ("user-data/x", Place::Metadata("user-data/x")),
        ] {
            assert_eq!(place(path), expected, "{path}");
        }
    }
}
