//! Which process is at the other end of a connection.
//!
//! The kernel tells the inode of the client's socket, and one of the client's file descriptors leads
//! to the same inode.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::iter;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

#[cfg(feature = "isolation")]
use imds_isolation::Sockets;
use procfs::ProcResult;
use procfs::net::TcpNetEntry;
use procfs::process::{Process as Entry, all_processes};

use crate::journal::{Parent, Process, kept};

/// The length from which the kernel truncates the name of a process, in bytes.
const LONGEST_NAME: usize = 15;
/// The number of processes that are remembered. A program often opens one connection after the other.
const REMEMBERED: usize = 8;

/// The processes that connect to the emulator in one network.
#[derive(Debug)]
pub(super) struct Senders {
    network: Network,
    /// The sockets of the network, if the kernel can be asked about one of them.
    sockets: Option<Sockets>,
    /// The last ones, newest first.
    last: Mutex<VecDeque<i32>>,
}

/// A network, as far as it helps to find a process.
#[cfg_attr(
    not(feature = "isolation"),
    expect(dead_code, reason = "only isolation makes the other networks")
)]
#[derive(Clone, Copy, Debug)]
pub(super) enum Network {
    /// The one of this process.
    Ours,
    /// The one of an isolated command, whose supervisor has this ID.
    Command(i32),
    /// The one whose file has this inode.
    Namespace(u64),
}

impl Senders {
    pub(super) fn new(network: Network, sockets: Option<Sockets>) -> Self {
        Self {
            network,
            sockets,
            last: Mutex::default(),
        }
    }

    /// The processes in the network of this process.
    pub(super) fn here() -> Self {
        Self::new(Network::Ours, here())
    }

    /// The process that connected `client` to `server`, if it still has the connection and the
    /// emulator may see that. If several processes have it, because one inherited it from another, it
    /// is the one that is nearest to the isolated command, or the one with the lowest ID.
    pub(super) fn find(&self, client: SocketAddr, server: SocketAddr) -> Option<Process> {
        let inode = self.inode(client, server)?;
        let sender = self.owner(Path::new(&format!("socket:[{inode}]")))?;
        let stat = sender.stat().ok()?;
        Some(Process {
            pid: sender.pid.unsigned_abs(),
            name: name(&sender, stat.comm),
            parent: parent(stat.ppid, self.network),
        })
    }

    /// The inode of the client's socket.
    fn inode(&self, client: SocketAddr, server: SocketAddr) -> Option<u64> {
        let sockets = self.sockets.as_ref();
        let asked = sockets.and_then(|sockets| sockets.inode(client, server).ok());
        if let Some(Some(inode)) = asked {
            return Some(inode);
        }
        // The command may have containers, with networks of their own. About these the kernel cannot
        // be asked, so their tables are read.
        let is_elsewhere = asked.is_some();
        let inside: Vec<Entry> = match self.network {
            Network::Command(supervisor) => networks(supervisor)
                .skip(usize::from(is_elsewhere))
                .collect(),
            _ if is_elsewhere => return None,
            Network::Ours => Entry::myself().ok().into_iter().collect(),
            Network::Namespace(inode) => members(inode).take(1).collect(),
        };
        let mut inside = inside.iter();
        inside.find_map(|inside| listed(inside, client, server))
    }

    /// The process that has a socket, which is what its file descriptor links to.
    fn owner(&self, socket: &Path) -> Option<Entry> {
        let last = self.last().clone();
        let last = last.into_iter().filter_map(|pid| Entry::new(pid).ok());
        let owner = last
            .into_iter()
            .find(|entry| has(entry, socket))
            .map(|entry| inherited_from(entry, socket))
            .or_else(|| self.look_for(socket))?;
        let mut last = self.last();
        last.retain(|pid| *pid != owner.pid);
        last.push_front(owner.pid);
        last.truncate(REMEMBERED);
        Some(owner)
    }

    fn look_for(&self, socket: &Path) -> Option<Entry> {
        // The tree has all processes of the command, because the init process adopts orphans. But a
        // process can escape the walk when its parent ends.
        let likely: Box<dyn Iterator<Item = Entry>> = match self.network {
            Network::Ours => Box::new(descendants(std::process::id().cast_signed())),
            Network::Command(supervisor) => Box::new(descendants(supervisor)),
            Network::Namespace(inode) => Box::new(members(inode)),
        };
        likely.chain(all()).find(|entry| has(entry, socket))
    }

    fn last(&self) -> std::sync::MutexGuard<'_, VecDeque<i32>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(feature = "isolation")]
fn here() -> Option<Sockets> {
    Sockets::here().ok()
}

/// Only the feature `isolation` can ask the kernel.
#[cfg(not(feature = "isolation"))]
fn here() -> Option<Sockets> {
    None
}

/// Never made without the feature `isolation`.
#[cfg(not(feature = "isolation"))]
#[derive(Debug)]
pub(super) enum Sockets {}

#[cfg(not(feature = "isolation"))]
impl Sockets {
    fn inode(&self, _: SocketAddr, _: SocketAddr) -> std::io::Result<Option<u64>> {
        match *self {}
    }
}

/// All processes, the lowest ID first.
fn all() -> impl Iterator<Item = Entry> {
    let mut processes: Vec<Entry> = all_processes().into_iter().flatten().flatten().collect();
    processes.sort_by_key(|entry| entry.pid);
    processes.into_iter()
}

/// The processes in a network namespace, by the inode of its file.
fn members(inode: u64) -> impl Iterator<Item = Entry> {
    all().filter(move |entry| network_of(entry) == Some(inode))
}

/// The inode of the client's socket, from the table of the network that `inside` is in.
fn listed(inside: &Entry, client: SocketAddr, server: SocketAddr) -> Option<u64> {
    let (client, server) = (canonical(client), canonical(server));
    let find = |table: ProcResult<Vec<TcpNetEntry>>| {
        let ours = table.ok()?.into_iter().find(|socket| {
            // A connection that no process has any more has no inode.
            socket.inode != 0
                && canonical(socket.local_address) == client
                && canonical(socket.remote_address) == server
        })?;
        Some(ours.inode)
    };
    // For each table the kernel walks through the connections of the whole machine, which takes
    // milliseconds. Sockets for IPv6 can have connections over IPv4.
    let ipv4 = client.is_ipv4().then(|| find(inside.tcp())).flatten();
    ipv4.or_else(|| find(inside.tcp6()))
}

fn canonical(address: SocketAddr) -> SocketAddr {
    (address.ip().to_canonical(), address.port()).into()
}

/// A process in each of the networks from `ancestor` downwards, as far as they can be told apart.
/// The first one is in the network of `ancestor`. Containers of an isolated command have networks of
/// their own.
fn networks(ancestor: i32) -> impl Iterator<Item = Entry> {
    let mut known = BTreeSet::new();
    descendants(ancestor)
        .filter(move |entry| network_of(entry).is_some_and(|network| known.insert(network)))
}

/// The inode of the file of a process's network namespace.
fn network_of(entry: &Entry) -> Option<u64> {
    let file = fs::metadata(format!("/proc/{}/ns/net", entry.pid));
    Some(file.ok()?.ino())
}

/// `ancestor` and the processes below it, parents before children.
fn descendants(ancestor: i32) -> impl Iterator<Item = Entry> {
    let mut waiting = VecDeque::from([ancestor]);
    iter::from_fn(move || {
        loop {
            let Ok(entry) = Entry::new(waiting.pop_front()?) else {
                continue;
            };
            let tasks = entry.tasks().into_iter().flatten().flatten();
            for children in tasks.filter_map(|task| task.children().ok()) {
                waiting.extend(
                    children
                        .into_iter()
                        .filter_map(|pid| i32::try_from(pid).ok()),
                );
            }
            return Some(entry);
        }
    })
}

/// The process from which `entry` inherited a socket, or `entry` itself.
fn inherited_from(mut entry: Entry, socket: &Path) -> Entry {
    while let Ok(stat) = entry.stat()
        && let Ok(parent) = Entry::new(stat.ppid)
        && has(&parent, socket)
    {
        entry = parent;
    }
    entry
}

/// Whether a process has a socket.
fn has(entry: &Entry, socket: &Path) -> bool {
    let folder = PathBuf::from(format!("/proc/{}/fd", entry.pid));
    let mut descriptors = fs::read_dir(folder).into_iter().flatten().flatten();
    descriptors.any(|descriptor| fs::read_link(descriptor.path()).is_ok_and(|to| to == socket))
}

/// The name of a process. If the kernel may have truncated it, it is completed from the command line.
fn name(entry: &Entry, name: String) -> String {
    if name.len() < LONGEST_NAME {
        return kept(&name);
    }
    let arguments = entry.cmdline().unwrap_or_default();
    let complete = arguments.iter().find_map(|argument| {
        let (_, file) = argument.rsplit_once('/').unwrap_or(("", argument));
        file.starts_with(&name).then(|| file.to_owned())
    });
    kept(&complete.unwrap_or(name))
}

/// The parent, unless that is the init process of the isolated command.
fn parent(pid: i32, network: Network) -> Option<Parent> {
    let entry = Entry::new(pid).ok()?;
    let stat = entry.stat().ok()?;
    let is_init = matches!(network, Network::Command(supervisor) if supervisor == stat.ppid);
    (!is_init).then(|| Parent {
        pid: pid.unsigned_abs(),
        name: name(&entry, stat.comm),
    })
}
