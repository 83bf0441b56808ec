//! The processes between the caller and the command.
//!
//! The caller's child, which becomes the *supervisor*, creates the namespaces and starts the *init*
//! process, which is number 1 in the new process namespace, prepares the namespaces, and starts the
//! command. When the init process ends, the kernel kills every process of its namespace.
//!
//! ```text
//! caller ── supervisor ── init ── command
//! ```
//!
//! A socket between each process and the next is closed when either ends, whatever the cause. So the
//! supervisor kills the init process when the caller has ended, and the init process exits when the
//! supervisor has ended. The supervisor forwards signals, and exits with the command's status.
//!
//! All of this runs between `fork` and `exec` in a process that had other threads, so it must not
//! take locks: it makes system calls on data that was prepared before, and does not allocate.

use std::convert::Infallible;
use std::ffi::CStr;
use std::io::{self, IoSlice, Write as _};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use nix::libc;
use nix::sched::CloneFlags;
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use rustix::process::{DumpableBehavior, Pid, WaitOptions, WaitStatus};

use crate::loss;
use crate::message::{Message, Report, Stage};
use crate::netlink;
use crate::outside;
use crate::plan::{Plan, SCRATCH, Step};
use crate::sockets;

/// The number of connections that can wait to be accepted.
const BACKLOG: i32 = 1024;

type Result<T> = std::result::Result<T, Errno>;

/// Moves the calling process, which is a new child of the caller, behind a supervisor and an init
/// process into namespaces of its own. Returns in the process that is to run the command.
///
/// `announce` leads to the caller, and gets a socket for this child.
pub(crate) fn isolate(plan: &Plan, announce: &OwnedFd) -> io::Result<()> {
    let (ours, callers) = pair()?;
    send(
        announce,
        &Message::Announced.encode(),
        Some(callers.as_fd()),
    )?;
    drop(callers);
    let mut stage = Stage::Namespaces;
    enter(plan, &ours, &mut stage).map_err(|errno| {
        let _ = send(&ours, &Message::Failed(stage, errno).encode(), None);
        errno.into()
    })
}

fn enter(plan: &Plan, caller: &OwnedFd, stage: &mut Stage) -> Result<()> {
    // Handlers of the caller's program must not run here.
    let mask = SigSet::all()
        .thread_swap_mask(SigmaskHow::SIG_SETMASK)
        .map_err(errno)?;
    unshare(plan, stage)?;
    let outside = match &plan.outside {
        Some(requests) => {
            *stage = Stage::Outside;
            Some(outside::request(requests)?)
        }
        None => None,
    };
    *stage = Stage::Processes;
    let supervisor = rustix::process::getpid();
    let (to_init, to_supervisor) = pair()?;
    if let Some(init) = fork()? {
        let Err(_) = supervise(init, &to_init, caller, outside.as_ref());
        // The init process ends when this one does.
        exit(1);
    }
    drop(to_init);
    drop(outside);
    let report = prepare(plan, caller, stage)?;
    let ready = Message::Ready {
        supervisor: supervisor.as_raw_pid(),
        report,
    };
    send(caller, &ready.encode(), None)?;
    *stage = Stage::Processes;
    if let Some(command) = fork()? {
        let Err(_) = init(command, &to_supervisor);
        exit(1);
    }
    mask.thread_set_mask().map_err(errno)?;
    Ok(())
}

/// Creates the namespaces. Root keeps all its users and groups where the system lets it do without
/// a user namespace. Everyone else gets one, which has the user of the caller only.
fn unshare(plan: &Plan, stage: &mut Stage) -> Result<()> {
    let namespaces = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID;
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    // `pasta` gives up its privileges, so it can enter a network only with the user namespace.
    if user.is_root() && plan.outside.is_none() && nix::sched::unshare(namespaces).is_ok() {
        return Ok(());
    }
    nix::sched::unshare(namespaces | CloneFlags::CLONE_NEWUSER).map_err(errno)?;
    *stage = Stage::User;
    // Without this an unprivileged process cannot map its group.
    write(c"/proc/self/setgroups", b"deny")?;
    for (file, outside) in [
        (c"/proc/self/uid_map", user.as_raw()),
        (c"/proc/self/gid_map", group.as_raw()),
    ] {
        let inside = if plan.map_root { 0 } else { outside };
        let mut line = [0; 32];
        let mut rest = &mut line[..];
        write!(rest, "{inside} {outside} 1").map_err(|_| Errno::OVERFLOW)?;
        let length = 32 - rest.len();
        write(file, line.get(..length).unwrap_or_default())?;
    }
    Ok(())
}

/// Sets up the network, the listening sockets and the mounts, and hands the sockets to the caller.
fn prepare(plan: &Plan, caller: &OwnedFd, stage: &mut Stage) -> Result<Report> {
    *stage = Stage::Network;
    let socket = netlink::ROUTE.open()?;
    for message in &plan.messages {
        netlink::send(&socket, message)?;
    }
    send(caller, &Message::Network.encode(), Some(socket.as_fd()))?;
    // A kernel that has no such sockets can still run the command.
    if let Ok(socket) = sockets::SOCK_DIAG.open() {
        send(caller, &Message::Sockets.encode(), Some(socket.as_fd()))?;
    }
    if let Ok(socket) = loss::NETFILTER.open() {
        send(caller, &Message::Filters.encode(), Some(socket.as_fd()))?;
    }
    *stage = Stage::Listeners;
    for (at, address) in (0..).zip(&plan.listeners) {
        let listener = listen(address)?;
        send(
            caller,
            &Message::Listener(at).encode(),
            Some(listener.as_fd()),
        )?;
    }
    *stage = Stage::Mounts;
    // Mounts that the caller makes later are seen here, and not the other way round.
    let one_way = MountPropagationFlags::REC | MountPropagationFlags::DOWNSTREAM;
    rustix::mount::mount_change(c"/", one_way)?;
    mount_new(c"tmpfs", SCRATCH)?;
    let mut report = Report::default();
    for (facet, step) in &plan.steps {
        if report.get(*facet).is_none()
            && let Err(errno) = carry_out(step)
        {
            report.set(*facet, errno);
        }
    }
    Ok(report)
}

fn listen(address: &SocketAddr) -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family(address), SocketType::STREAM, flags, None)?;
    listen_on(&socket, address)?;
    Ok(socket)
}

pub(crate) fn family(address: &SocketAddr) -> AddressFamily {
    match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    }
}

/// Lets a socket listen on an address.
pub(crate) fn listen_on(socket: &OwnedFd, address: &SocketAddr) -> Result<()> {
    rustix::net::sockopt::set_socket_reuseaddr(socket, true)?;
    rustix::net::bind(socket, address)?;
    rustix::net::listen(socket, BACKLOG)
}

fn carry_out(step: &Step) -> Result<()> {
    match step {
        Step::Directory(path) => rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)),
        Step::File { path, contents } => write(path, contents),
        Step::New { kind, on } => mount_new(kind, on),
        Step::Bind { from, on } => {
            rustix::mount::mount_bind_recursive(from.as_c_str(), on.as_c_str())
        }
        Step::Unmount(path) => rustix::mount::unmount(path, UnmountFlags::DETACH),
    }
}

fn mount_new(kind: &CStr, on: &CStr) -> Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount(kind, on, kind, flags, None)
}

fn write(path: &CStr, contents: &[u8]) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o644))?;
    match rustix::io::write(&file, contents)? {
        count if count == contents.len() => Ok(()),
        _ => Err(Errno::NOSPC),
    }
}

/// The supervisor: forwards signals to the init process, kills it when the caller has ended, and exits
/// with the command's status. The connection to the network outside ends with it.
fn supervise(
    init: Pid,
    to_init: &OwnedFd,
    caller: &OwnedFd,
    outside: Option<&OwnedFd>,
) -> Result<Infallible> {
    let signals = detach(&[to_init, caller, outside.unwrap_or(caller)])?;
    let mut is_caller_gone = false;
    loop {
        let mut events = [
            PollFd::new(&signals, PollFlags::IN),
            PollFd::new(caller, PollFlags::empty()),
        ];
        // The end of the caller stays readable, so waiting for it again would return at once.
        let watched = if is_caller_gone { 1 } else { 2 };
        wait(events.get_mut(..watched).unwrap_or_default())?;
        let [_, gone] = &events;
        if !is_caller_gone && !gone.revents().is_empty() {
            is_caller_gone = true;
            kill(init, libc::SIGKILL);
        }
        while let Some(signal) = next(&signals)? {
            if signal != libc::SIGCHLD {
                kill(init, signal);
            } else if ended()?.is_some() {
                end_as(status(to_init)?);
            }
        }
    }
}

/// The init process: passes signals to the command, reaps processes that have lost their parent,
/// and ends when the command or the supervisor has ended.
fn init(command: Pid, to_supervisor: &OwnedFd) -> Result<Infallible> {
    let signals = detach(&[to_supervisor])?;
    loop {
        let mut events = [
            PollFd::new(&signals, PollFlags::IN),
            PollFd::new(to_supervisor, PollFlags::empty()),
        ];
        wait(&mut events)?;
        let [_, gone] = &events;
        if !gone.revents().is_empty() {
            exit(1);
        }
        while let Some(signal) = next(&signals)? {
            if signal != libc::SIGCHLD {
                kill(command, signal);
                continue;
            }
            while let Some((process, status)) = ended()? {
                if process == command {
                    rustix::io::write(to_supervisor, &status.as_raw().to_ne_bytes())?;
                    exit(0);
                }
            }
        }
    }
}

/// Takes a process out of the caller's terminal and pipes. Returns its signals, which are blocked.
pub(crate) fn detach(keep: &[&OwnedFd]) -> Result<SignalFd> {
    // Signals of a terminal go to a process group. The command gets these by itself.
    rustix::process::setpgid(None, None)?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    let signals = SignalFd::with_flags(&SigSet::all(), flags).map_err(errno)?;
    // Readers of the command's output wait until every copy of its end is closed.
    let null = rustix::fs::open(c"/dev/null", OFlags::RDWR, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    drop(null);
    let mut next = 3;
    loop {
        let kept = keep.iter().map(|fd| fd.as_raw_fd());
        let kept = kept
            .chain([signals.as_raw_fd()])
            .filter(|fd| *fd >= next)
            .min();
        close_range(next, kept.map_or(RawFd::MAX, |fd| fd - 1));
        match kept {
            Some(fd) => next = fd + 1,
            None => return Ok(signals),
        }
    }
}

pub(crate) fn wait(events: &mut [PollFd<'_>]) -> Result<()> {
    match poll(events, None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno),
    }
}

pub(crate) fn next(signals: &SignalFd) -> Result<Option<i32>> {
    let info = signals.read_signal().map_err(errno)?;
    Ok(info.and_then(|info| i32::try_from(info.ssi_signo).ok()))
}

/// A child that has ended, if one has.
pub(crate) fn ended() -> Result<Option<(Pid, WaitStatus)>> {
    match rustix::process::wait(WaitOptions::NOHANG) {
        Err(Errno::CHILD) => Ok(None),
        result => result,
    }
}

/// Sends a signal. Returns whether this process may; the other one may have ended.
#[expect(unsafe_code, reason = "the safe interfaces have no real-time signals")]
pub(crate) fn kill(process: Pid, signal: i32) -> bool {
    // SAFETY: it takes two numbers.
    unsafe { libc::kill(process.as_raw_pid(), signal) == 0 }
}

/// The command's status, from the init process. It is missing if the command was not started, or if
/// the init process was killed.
fn status(to_init: &OwnedFd) -> Result<ExitStatus> {
    let mut bytes = [0; 4];
    let count = rustix::io::read(to_init, &mut bytes)?;
    Ok(ExitStatus::from_raw(match count {
        4 => i32::from_ne_bytes(bytes),
        _ => libc::SIGKILL,
    }))
}

/// Ends this process with the status of another.
pub(crate) fn end_as(status: ExitStatus) -> ! {
    if let Some(signal) = status.signal() {
        // If the signal dumps memory, the command has done so already.
        let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
        default_action(signal);
        kill(rustix::process::getpid(), signal);
        let _ = SigSet::empty().thread_set_mask();
    }
    exit(status.code().unwrap_or(1));
}

/// Two sockets that are connected. Each message is sent in one piece, and is received so.
pub(crate) fn pair() -> Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

pub(crate) fn send(to: &OwnedFd, message: &[u8], descriptor: Option<BorrowedFd<'_>>) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if let Some(descriptor) = &descriptor {
        let rights = SendAncillaryMessage::ScmRights(std::slice::from_ref(descriptor));
        if !ancillary.push(rights) {
            return Err(Errno::NOBUFS);
        }
    }
    let message = [IoSlice::new(message)];
    rustix::net::sendmsg(to, &message, &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

pub(crate) fn errno(errno: nix::errno::Errno) -> Errno {
    Errno::from_raw_os_error(errno as i32)
}

/// Returns the child in the parent, and nothing in the child.
#[expect(unsafe_code, reason = "there is no safe fork")]
pub(crate) fn fork() -> Result<Option<Pid>> {
    // SAFETY: this process has one thread, as the module's text says, and what it does until it
    // executes a program or exits is safe between the two.
    let fork = unsafe { nix::unistd::fork() }.map_err(errno)?;
    Ok(match fork {
        nix::unistd::ForkResult::Parent { child } => Pid::from_raw(child.as_raw()),
        nix::unistd::ForkResult::Child => None,
    })
}

/// Ends this process without running the exit handlers of the caller's program.
#[expect(
    unsafe_code,
    reason = "std::process::exit runs the handlers of the caller's program"
)]
pub(crate) fn exit(status: i32) -> ! {
    // SAFETY: it takes a number and does not return.
    unsafe { libc::_exit(status) }
}

#[expect(unsafe_code, reason = "installing a handler is unsafe")]
fn default_action(signal: i32) {
    // SAFETY: the default action is no function of ours.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

#[expect(unsafe_code, reason = "descriptors have owners")]
fn close_range(first: RawFd, last: RawFd) {
    if last < first {
        return;
    }
    // SAFETY: the owners of these descriptors are objects of the caller's program, of which this
    // process runs no more. The descriptors that it uses are not among them.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if done != 0 {
        // Linux before 5.9.
        for descriptor in first..last.min(OLD_LIMIT) {
            // SAFETY: as above.
            unsafe { libc::close(descriptor) };
        }
    }
}

/// The number of descriptors that are closed one by one on an old kernel.
const OLD_LIMIT: RawFd = 65_536;
