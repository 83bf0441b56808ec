//! What is done in the namespaces before the command runs, prepared as data: between `fork` and
//! `exec` a process must not allocate.

use std::ffi::{CStr, CString, OsStr};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::{netlink, silent};

/// The directory that holds a temporary file system during the preparation. Every system has it.
pub(crate) const SCRATCH: &CStr = c"/proc";
/// Where the kernel shows what the firmware says of the machine.
const DMI: &str = "/sys/devices/virtual/dmi/id";
/// The file of name servers.
const RESOLVER: &str = "/etc/resolv.conf";

/// A part of the preparation that the kernel may refuse. The command runs without it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Facet {
    /// A `/proc` that shows the processes in the namespace.
    Proc,
    /// A `/sys` that shows the network interfaces in the namespace.
    Sys,
    /// Files that say what machine this is, such as `/sys/class/dmi/id/sys_vendor`.
    Machine,
    /// Names in `/etc/hosts`.
    Hosts,
    /// A name server that can be reached, in `/etc/resolv.conf`.
    Resolver,
}

impl Facet {
    pub(crate) const ALL: [Self; 5] = [
        Self::Proc,
        Self::Sys,
        Self::Machine,
        Self::Hosts,
        Self::Resolver,
    ];

    /// What the command lacks if the kernel refuses this.
    pub fn description(self) -> &'static str {
        match self {
            Self::Proc => "a /proc of the command's own",
            Self::Sys => "a /sys that shows the interfaces of the command's network",
            Self::Machine => "files that say that the machine is an EC2 instance (DMI)",
            Self::Hosts => "the names of IMDS in /etc/hosts",
            Self::Resolver => "a name server in /etc/resolv.conf that can be reached",
        }
    }
}

/// One step of the preparation.
#[derive(Debug)]
pub(crate) enum Step {
    Directory(CString),
    File {
        path: CString,
        contents: Vec<u8>,
    },
    /// Mounts a new file system of a type.
    New {
        kind: CString,
        on: CString,
    },
    Bind {
        from: CString,
        on: CString,
    },
    Unmount(CString),
}

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) map_root: bool,
    /// The socket for a request to connect the network to the one outside.
    pub(crate) outside: Option<OwnedFd>,
    pub(crate) messages: Vec<Vec<u8>>,
    pub(crate) listeners: Vec<SocketAddr>,
    /// In the order in which they are carried out. If one fails, the rest of its facet is skipped.
    pub(crate) steps: Vec<(Facet, Step)>,
}

/// The inputs of a plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inputs {
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) silent: Vec<IpAddr>,
    pub(crate) source: Option<Ipv4Addr>,
    pub(crate) listeners: Vec<SocketAddr>,
    pub(crate) hosts: Vec<(IpAddr, String)>,
    pub(crate) dmi: Vec<(String, String)>,
    pub(crate) hypervisor_uuid: Option<String>,
    pub(crate) map_root: bool,
    pub(crate) is_host_like: bool,
}

impl Plan {
    /// A plan; `outside` is the socket for a request to connect the network.
    pub(crate) fn new(inputs: &Inputs, outside: Option<OwnedFd>) -> io::Result<Self> {
        let mut steps = vec![];
        let mut add = |facet, step| steps.push((facet, step));
        let (cgroup, kept) = (Path::new("/sys/fs/cgroup"), scratch("cgroup"));
        if cgroup.is_dir() {
            add(Facet::Sys, directory(&kept)?);
            add(Facet::Sys, bind(cgroup, &kept)?);
        }
        add(Facet::Sys, new("sysfs", "/sys")?);
        if cgroup.is_dir() {
            add(Facet::Sys, bind(&kept, cgroup)?);
        }
        for step in machine(inputs)? {
            add(Facet::Machine, step);
        }
        if !inputs.hosts.is_empty() {
            let path = scratch("hosts");
            let contents = hosts(&inputs.hosts).into_bytes();
            add(Facet::Hosts, file(&path, contents)?);
            add(Facet::Hosts, bind(&path, Path::new("/etc/hosts"))?);
        }
        if let (true, Some(servers)) = (inputs.is_host_like, name_servers()) {
            add(Facet::Resolver, bind(servers, Path::new(RESOLVER))?);
        }
        add(Facet::Proc, Step::Unmount(SCRATCH.to_owned()));
        add(Facet::Proc, new("proc", "/proc")?);
        let mut messages = netlink::loopback(&inputs.addresses, inputs.source);
        messages.extend(silent::network(&inputs.silent));
        Ok(Self {
            map_root: inputs.map_root,
            outside,
            messages,
            listeners: inputs.listeners.clone(),
            steps,
        })
    }
}

fn scratch(name: &str) -> PathBuf {
    Path::new(OsStr::from_bytes(SCRATCH.to_bytes())).join(name)
}

/// The file of name servers that replaces one whose servers are all on the loopback interface of this
/// machine, as under systemd-resolved.
fn name_servers() -> Option<&'static Path> {
    let original = Path::new("/run/systemd/resolve/resolv.conf");
    let text = fs::read_to_string(RESOLVER).ok()?;
    (is_local(&text) && original.exists()).then_some(original)
}

fn is_local(servers: &str) -> bool {
    let mut addresses = servers.lines().filter_map(|line| {
        let address = line.trim().strip_prefix("nameserver")?.trim();
        address.parse::<IpAddr>().ok()
    });
    addresses.all(|address| address.is_loopback())
}

/// The file of names that the command sees.
fn hosts(names: &[(IpAddr, String)]) -> String {
    let mut text = fs::read_to_string("/etc/hosts").unwrap_or_default();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for (address, name) in names {
        text.push_str(&format!("{address} {name}\n"));
    }
    text
}

/// Steps that put the files of the machine in their place.
///
/// Where the kernel has directories for them, these are covered. Where it has none, as in many
/// virtual machines, their parents are covered by copies that have them, because nobody can create
/// a directory in `/sys`.
fn machine(inputs: &Inputs) -> io::Result<Vec<Step>> {
    let mut steps = Vec::new();
    if let Some(uuid) = &inputs.hypervisor_uuid {
        let copy = scratch("sys");
        let hypervisor = copy.join("hypervisor");
        steps.push(directory(&copy)?);
        steps.push(directory(&hypervisor)?);
        let contents = format!("{uuid}\n").into_bytes();
        steps.push(file(&hypervisor.join("uuid"), contents)?);
        steps.push(file(&hypervisor.join("type"), b"xen\n".to_vec())?);
        steps.extend(cover(Path::new("/sys"), &copy, "hypervisor")?);
    }
    if inputs.dmi.is_empty() {
        return Ok(steps);
    }
    let id = scratch("id");
    steps.push(directory(&id)?);
    for (name, contents) in &inputs.dmi {
        let contents = format!("{contents}\n").into_bytes();
        steps.push(file(&id.join(name), contents)?);
    }
    if Path::new(DMI).is_dir() {
        steps.push(bind(&id, Path::new(DMI))?);
        return Ok(steps);
    }
    for (parent, name) in [("/sys/devices/virtual", "virtual"), ("/sys/class", "class")] {
        let copy = scratch(name);
        let dmi = copy.join("dmi");
        steps.push(directory(&copy)?);
        steps.push(directory(&dmi)?);
        steps.push(directory(&dmi.join("id"))?);
        steps.push(bind(&id, &dmi.join("id"))?);
        steps.extend(cover(Path::new(parent), &copy, "dmi")?);
    }
    Ok(steps)
}

/// Steps that add the directories of `original` to `copy`, except one that the copy has already,
/// and cover `original` with the copy.
fn cover(original: &Path, copy: &Path, except: &str) -> io::Result<Vec<Step>> {
    let mut steps = Vec::new();
    for entry in fs::read_dir(original)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && entry.file_name() != except {
            let (from, on) = (entry.path(), copy.join(entry.file_name()));
            steps.push(directory(&on)?);
            steps.push(bind(&from, &on)?);
        }
    }
    steps.push(bind(copy, original)?);
    Ok(steps)
}

fn directory(path: &Path) -> io::Result<Step> {
    Ok(Step::Directory(c(path)?))
}

fn file(path: &Path, contents: Vec<u8>) -> io::Result<Step> {
    Ok(Step::File {
        path: c(path)?,
        contents,
    })
}

fn new(kind: &str, on: &str) -> io::Result<Step> {
    Ok(Step::New {
        kind: c(kind)?,
        on: c(on)?,
    })
}

fn bind(from: &Path, on: &Path) -> io::Result<Step> {
    Ok(Step::Bind {
        from: c(from)?,
        on: c(on)?,
    })
}

fn c(text: impl AsRef<OsStr>) -> io::Result<CString> {
    Ok(CString::new(text.as_ref().as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_of_the_machine_are_recognised() {
        for local in [
            "nameserver 127.0.0.53\noptions edns0\n",
            "nameserver ::1",
            "",
        ] {
            assert!(is_local(local), "{local}");
        }
        for other in [
            "nameserver 192.0.2.1",
            "nameserver 127.0.0.1\nnameserver\t192.0.2.1\n",
        ] {
            assert!(!is_local(other), "{other}");
        }
    }
}
