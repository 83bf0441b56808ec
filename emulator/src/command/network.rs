//! The network that has the addresses of IMDS.

use std::path::PathBuf;

use clap::Args;
use imds_emulator::Builder;

/// Options that put the emulator at the addresses of IMDS in a network that exists.
#[derive(Args, Debug)]
pub(crate) struct Network {
    /// Listen on port 80 of 169.254.169.254 and fd00:ec2::254, and add both to the loopback
    /// interface of this network until the emulator stops. For a sidecar in a pod or beside a
    /// container; needs CAP_NET_ADMIN. Linux only
    #[arg(long, conflicts_with_all = ["host", "port", "netns", "join"], global = true)]
    link_local: bool,

    /// Like --link-local, in the network namespace at PATH; a name without a slash is one of `ip
    /// netns`. `run` runs the command there
    #[arg(long, value_name = "PATH", conflicts_with_all = ["host", "port", "join"], global = true)]
    netns: Option<PathBuf>,

    /// Like --link-local, in the network namespace of the process PID, such as one of a container.
    /// `run` runs the command there
    #[arg(
        long,
        value_name = "PID",
        conflicts_with_all = ["host", "port"],
        value_parser = clap::value_parser!(u32).range(1..),
        global = true
    )]
    join: Option<u32>,
}

impl Network {
    /// The option that was given.
    pub(crate) fn option(&self) -> Option<&'static str> {
        if self.link_local {
            return Some("--link-local");
        }
        let netns = self.netns.as_ref().map(|_| "--netns");
        netns.or(self.join.map(|_| "--join"))
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn apply(&self, builder: Builder) -> anyhow::Result<Builder> {
        use imds_emulator::LinkLocal;

        let network = match (&self.netns, self.join) {
            (Some(name), _) if !has_slash(name) => {
                LinkLocal::Namespace(PathBuf::from("/run/netns").join(name))
            }
            (Some(path), _) => LinkLocal::Namespace(path.clone()),
            (None, Some(id)) => LinkLocal::Process(id),
            (None, None) if self.link_local => LinkLocal::Here,
            (None, None) => return Ok(builder),
        };
        Ok(builder.link_local(network))
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn apply(&self, builder: Builder) -> anyhow::Result<Builder> {
        match self.option() {
            Some(option) => anyhow::bail!(
                "{option} needs Linux. On this system, give the loopback interface the address of \
                 IMDS as root, and run `imds-emulator --host 169.254.169.254 --port 80`"
            ),
            None => Ok(builder),
        }
    }
}

/// Whether it is a path, such as `./NAME`, and not a name of `ip netns`.
#[cfg(target_os = "linux")]
fn has_slash(name: &std::path::Path) -> bool {
    name.as_os_str().as_encoded_bytes().contains(&b'/')
}
