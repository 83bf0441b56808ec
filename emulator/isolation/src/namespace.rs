//! Network namespaces that exist: sockets in them, and commands that run in them.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use nix::libc;
use nix::sched::{CloneFlags, setns};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Protocol, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags,
    SocketType,
};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::process::{errno, exit, pair, send};
use crate::reaper;

/// A network namespace that exists.
#[derive(Debug)]
pub struct Namespace {
    /// Where it is, unless it is the one of this process.
    place: Option<Place>,
    /// Closed when this is dropped and when this process ends, which the processes at the other end
    /// notice.
    _alive: OwnedFd,
    caller: OwnedFd,
}

#[derive(Debug)]
struct Place {
    network: OwnedFd,
    /// The user namespace that owns it, if this process may see it.
    user: Option<OwnedFd>,
}

impl Namespace {
    /// The network namespace of this process.
    ///
    /// # Errors
    ///
    /// If no file descriptor is left.
    pub fn here() -> io::Result<Self> {
        Self::new(None)
    }

    /// The network namespace that a file stands for, such as `/run/netns/NAME` or
    /// `/proc/PID/ns/net`.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened or is not a network namespace.
    pub fn open(path: &Path) -> io::Result<Self> {
        let network = OwnedFd::from(File::open(path)?);
        if ask(&network, libc::NS_GET_NSTYPE) != Ok(libc::CLONE_NEWNET) {
            let error = "the file is not a network namespace";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
        }
        let user = ask(&network, libc::NS_GET_USERNS).ok().map(owned);
        Self::new(Some(Place { network, user }))
    }

    fn new(place: Option<Place>) -> io::Result<Self> {
        let (alive, caller) = pair()?;
        Ok(Self {
            place,
            _alive: alive,
            caller,
        })
    }

    /// Lets `command` run in this network namespace. A caller that may not enter the namespace by
    /// itself enters the user namespace that owns it as well, as for the network of a container of
    /// the same user.
    ///
    /// When the command ends, the processes that it has left behind are killed. When this is dropped and
    /// when the caller ends in whatever way, the command is killed as well. The exception is a process
    /// that the caller may not kill, such as one that `sudo` has started.
    ///
    /// # Errors
    ///
    /// If no file descriptor is left. If the namespace cannot be entered, starting the command
    /// fails.
    #[expect(
        unsafe_code,
        reason = "code between fork and exec must be async-signal-safe"
    )]
    pub fn enter(&self, command: &mut Command) -> io::Result<()> {
        let place = self.place.as_ref().map(Place::try_clone).transpose()?;
        let caller = self.caller.try_clone()?;
        // SAFETY: the closure makes system calls on data that exists already.
        unsafe {
            command.pre_exec(move || {
                if let Some(place) = &place {
                    place.join()?;
                }
                Ok(reaper::attend(&caller)?)
            })
        };
        Ok(())
    }

    /// Whether it was made by [`here`](Self::here).
    pub fn is_here(&self) -> bool {
        self.place.is_none()
    }

    /// The number of the namespace, which is the inode of all its files. `None` if it is the one of this
    /// process, or if the kernel does not tell it.
    pub fn inode(&self) -> Option<u64> {
        let place = self.place.as_ref()?;
        Some(rustix::fs::fstat(&place.network).ok()?.st_ino)
    }
}

impl Place {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            network: self.network.try_clone()?,
            user: self.user.as_ref().map(OwnedFd::try_clone).transpose()?,
        })
    }

    /// Moves the calling process, which has one thread, into the namespace. Does not allocate.
    fn join(&self) -> Result<(), Errno> {
        let network = || setns(&self.network, CloneFlags::CLONE_NEWNET).map_err(errno);
        match (network(), &self.user) {
            (Err(Errno::PERM), Some(user)) => {
                // A process cannot enter its own user namespace again (EINVAL). What it lacks is then
                // a capability, which the first error says.
                setns(user, CloneFlags::CLONE_NEWUSER).map_err(|_| Errno::PERM)?;
                network()
            }
            (result, _) => result,
        }
    }
}

/// A kind of socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Kind(
    pub(crate) AddressFamily,
    pub(crate) SocketType,
    pub(crate) Option<Protocol>,
);

impl Kind {
    /// Opens a socket in the namespace of this thread. Does not allocate.
    pub(crate) fn open(self) -> Result<OwnedFd, Errno> {
        let Self(family, kind, protocol) = self;
        rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, protocol)
    }
}

/// Opens sockets in a namespace.
pub(crate) fn sockets(
    namespace: &Namespace,
    kinds: &[Kind],
) -> io::Result<Vec<Result<OwnedFd, Errno>>> {
    match &namespace.place {
        Some(place) => {
            let place = place.try_clone()?;
            sockets_of_child(move || place.join(), kinds)
        }
        None => Ok(kinds.iter().map(|kind| kind.open()).collect()),
    }
}

/// Opens sockets in a network namespace that nothing else uses. It lasts as long as the sockets.
pub(crate) fn sockets_apart(kinds: &[Kind]) -> io::Result<Vec<Result<OwnedFd, Errno>>> {
    let unshare = || {
        let result = nix::sched::unshare(CloneFlags::CLONE_NEWNET);
        let result = result
            .or_else(|_| nix::sched::unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUSER));
        result.map_err(errno)
    };
    sockets_of_child(unshare, kinds)
}

/// Opens sockets in the namespace that `enter` moves the calling process to, which has one thread. A
/// namespace belongs to a thread, and a process with several threads cannot enter a user namespace,
/// so a child opens them.
#[expect(
    unsafe_code,
    reason = "code between fork and exec must be async-signal-safe"
)]
fn sockets_of_child(
    enter: impl Fn() -> Result<(), Errno> + Send + Sync + 'static,
    kinds: &[Kind],
) -> io::Result<Vec<Result<OwnedFd, Errno>>> {
    let (ours, theirs) = pair()?;
    let opened = kinds.to_vec();
    // It does not get as far as executing this program.
    let mut command = Command::new("/proc/self/exe");
    // SAFETY: the closure makes system calls on data that exists already.
    unsafe {
        command.pre_exec(move || {
            enter()?;
            for kind in &opened {
                let socket = kind.open();
                let errno = socket
                    .as_ref()
                    .err()
                    .map_or(0, |errno| errno.raw_os_error());
                let socket = socket.as_ref().ok().map(AsFd::as_fd);
                send(&theirs, &errno.to_ne_bytes(), socket)?;
            }
            exit(0)
        })
    };
    // This returns when the child has ended, because the child does not execute a program.
    let mut child = command.spawn()?;
    drop(command);
    let sockets = kinds.iter().map(|_| socket(&ours)).collect();
    // A process that reaps all its children may have been faster.
    let _ = child.wait();
    sockets
}

/// A socket, or the reason why the child could not open it.
fn socket(from: &OwnedFd) -> io::Result<Result<OwnedFd, Errno>> {
    match receive(from)? {
        Some((0, Some(descriptor))) => Ok(Ok(descriptor)),
        Some((number, None)) if number > 0 => Ok(Err(Errno::from_raw_os_error(number))),
        _ => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

/// A number, with the descriptor that came with it; `None` at the end. Does not allocate.
pub(crate) fn receive(from: &OwnedFd) -> Result<Option<(i32, Option<OwnedFd>)>, Errno> {
    let mut bytes = [0; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        from,
        &mut [IoSliceMut::new(&mut bytes)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    let is_whole = received.bytes == bytes.len();
    Ok(is_whole.then(|| (i32::from_ne_bytes(bytes), descriptor)))
}

/// Lets the kernel kill the calling process, which is a child of `caller`, when that ends.
pub(crate) fn end_with(caller: Pid) -> Result<(), Errno> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() == Some(caller) {
        return Ok(());
    }
    // It has ended already.
    exit(1)
}

/// Asks the kernel about a namespace.
#[expect(unsafe_code, reason = "the libraries have no function for this")]
fn ask(namespace: &OwnedFd, question: libc::Ioctl) -> Result<i32, Errno> {
    // SAFETY: these questions have no argument.
    match unsafe { libc::ioctl(namespace.as_raw_fd(), question) } {
        -1 => Err(errno(nix::errno::Errno::last())),
        answer => Ok(answer),
    }
}

#[expect(unsafe_code, reason = "the kernel returns a number")]
fn owned(descriptor: i32) -> OwnedFd {
    // SAFETY: the kernel has opened the descriptor for this process, and nothing else knows it.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}
