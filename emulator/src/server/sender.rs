//! Which process is at the other end of a connection.
//!
//! The kernel's table of connections has the inode of the client's socket, and one of the client's
//! file descriptors leads to the same inode.

use std::collections::{BTreeSet, VecDeque};
use std::iter;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;

use procfs::ProcResult;
use procfs::net::TcpNetEntry;
use procfs::process::{FDTarget, Process as Entry, all_processes};

use super::listener::Network;
use crate::journal::{Parent, Process, kept};

/// The length from which the kernel truncates the name of a process, in bytes.
const LONGEST_NAME: usize = 15;

/// The process that connected `client` to `server`, if it still has the connection and the emulator
/// may see that. If several processes have it, because one inherited it from another, it is the one
/// that is nearest to the isolated command, or the one with the lowest ID.
pub(super) fn find(network: Network, client: SocketAddr, server: SocketAddr) -> Option<Process> {
    let supervisor = match network {
        Network::Ours | Network::Existing { .. } => None,
        Network::Commands { supervisor } => Some(i32::try_from(supervisor).ok()?),
    };
    let inside = match (supervisor, network) {
        (Some(supervisor), _) => Entry::new(supervisor).ok()?,
        (
            _,
            Network::Existing {
                namespace: Some(namespace),
            },
        ) => member(namespace)?,
        _ => Entry::myself().ok()?,
    };
    let inode = iter::once(inside)
        .chain(supervisor.into_iter().flat_map(networks))
        .find_map(|inside| inode(&inside, client, server))?;
    // The tree has all processes of the command, because the init process adopts orphans. But a
    // process can escape the walk when its parent ends.
    let sender = supervisor
        .into_iter()
        .flat_map(descendants)
        .chain(all_processes().into_iter().flatten().flatten())
        .find(|entry| has_socket(entry, inode))?;
    let stat = sender.stat().ok()?;
    Some(Process {
        pid: sender.pid.unsigned_abs(),
        name: name(&sender, stat.comm),
        parent: parent(stat.ppid, supervisor),
    })
}

/// A process in a network namespace, by the inode of its file.
fn member(namespace: u64) -> Option<Entry> {
    let mut processes = all_processes().ok()?.flatten();
    processes.find(|entry| network_of(entry) == Some(namespace))
}

/// The inode of the client's socket, from the table of the network that `inside` is in.
fn inode(inside: &Entry, client: SocketAddr, server: SocketAddr) -> Option<u64> {
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

/// A process in each of the networks below `ancestor`, as far as they can be told apart. Containers
/// of an isolated command have networks of their own.
fn networks(ancestor: i32) -> impl Iterator<Item = Entry> {
    let mut known = BTreeSet::new();
    descendants(ancestor)
        .filter(move |entry| network_of(entry).is_some_and(|network| known.insert(network)))
}

/// The inode of the file of a process's network namespace.
fn network_of(entry: &Entry) -> Option<u64> {
    let file = std::fs::metadata(format!("/proc/{}/ns/net", entry.pid));
    Some(file.ok()?.ino())
}

/// The processes below `ancestor`, parents before children.
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

fn has_socket(entry: &Entry, inode: u64) -> bool {
    let descriptors = entry.fd().into_iter().flatten().flatten();
    descriptors
        .into_iter()
        .any(|descriptor| matches!(descriptor.target, FDTarget::Socket(socket) if socket == inode))
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
fn parent(pid: i32, supervisor: Option<i32>) -> Option<Parent> {
    let entry = Entry::new(pid).ok()?;
    let stat = entry.stat().ok()?;
    (supervisor != Some(stat.ppid)).then(|| Parent {
        pid: pid.unsigned_abs(),
        name: name(&entry, stat.comm),
    })
}
