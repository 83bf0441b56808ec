//! The caller's side: which commands were started, and the sockets that listen for them.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::PoisonError;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::message::{LENGTH, Message, Stage};
use crate::outside::Problem;
use crate::plan::Facet;
use crate::routes::Routes;
use crate::sockets::Sockets;
use crate::traffic::Traffic;

/// The commands that were started in namespaces, one after the other.
#[derive(Debug)]
pub struct Launches {
    pub(crate) announced: UnixStream,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) source: Option<Ipv4Addr>,
    /// What kept the network from being connected to the one outside.
    pub(crate) problem: Problem,
}

impl Launches {
    /// Waits until a command is started, and returns its sockets. Returns `None` once the
    /// [`Command`](std::process::Command) is dropped, because it can start nothing any more.
    ///
    /// # Errors
    ///
    /// A [`Failure`], if the namespaces could not be prepared. The command was not started then.
    pub async fn next(&mut self) -> io::Result<Option<Result<Launch, Failure>>> {
        let Some((_, Some(connection))) = receive(&self.announced).await? else {
            return Ok(None);
        };
        let connection = register(connection)?;
        let mut listeners = Vec::new();
        let mut routes = None;
        let mut sockets = None;
        let mut filters = None;
        loop {
            let Some((message, descriptor)) = receive(&connection).await? else {
                let source = io::Error::from(io::ErrorKind::BrokenPipe);
                return Ok(Some(Err(Failure {
                    stage: Stage::Processes,
                    source,
                })));
            };
            match (message, descriptor) {
                (Message::Listener(at), Some(descriptor)) => {
                    let address = usize::try_from(at)
                        .ok()
                        .and_then(|at| self.addresses.get(at));
                    if let Some(address) = address {
                        listeners.push((*address, TcpListener::from(descriptor)));
                    }
                }
                (Message::Network, Some(descriptor)) => {
                    routes = Some(Routes::new(descriptor, self.source));
                }
                (Message::Sockets, Some(descriptor)) => {
                    sockets = Some(Sockets::new(descriptor));
                }
                (Message::Filters, Some(descriptor)) => filters = Some(descriptor),
                (Message::Ready { supervisor, report }, _) => {
                    let refused = Facet::ALL.into_iter().filter_map(|facet| {
                        let errno = report.get(facet)?;
                        Some((facet, errno.into()))
                    });
                    return Ok(Some(Ok(Launch {
                        listeners,
                        traffic: routes
                            .as_ref()
                            .map(|routes| Traffic::new(routes.clone(), filters)),
                        routes,
                        sockets,
                        supervisor: supervisor.unsigned_abs(),
                        refused: refused.collect(),
                        connection,
                    })));
                }
                (Message::Failed(stage, errno), _) => {
                    let problem = self.problem.lock();
                    let problem = problem.unwrap_or_else(PoisonError::into_inner).take();
                    return Ok(Some(Err(Failure {
                        stage,
                        source: problem.map_or(errno.into(), io::Error::other),
                    })));
                }
                (Message::Announced, _) | (_, None) => {}
            }
        }
    }
}

/// A command in namespaces of its own. It is killed, with all processes that it started, when this
/// is dropped.
#[derive(Debug)]
pub struct Launch {
    /// The sockets that listen in the namespace, with their addresses there.
    pub listeners: Vec<(SocketAddr, TcpListener)>,
    /// The routes to the addresses in the namespace.
    pub routes: Option<Routes>,
    /// The packets to and from the addresses in the namespace.
    pub traffic: Option<Traffic>,
    /// The TCP sockets in the namespace, unless the kernel cannot be asked about them.
    pub sockets: Option<Sockets>,
    /// The process id of the supervisor, which is the child that the caller waits for. Files such as
    /// `/proc/PID/net/tcp` show the namespace.
    pub supervisor: u32,
    /// What the kernel refused, and why. The command runs without it.
    pub refused: Vec<(Facet, io::Error)>,
    connection: UnixStream,
}

impl Launch {
    /// Waits until the command has ended.
    pub async fn ended(&self) {
        // Nothing more is sent, so all that can be received is the end.
        while let Ok(Some(_)) = receive(&self.connection).await {}
    }
}

/// The namespaces could not be prepared.
#[derive(Debug)]
pub struct Failure {
    /// What was being done.
    pub stage: Stage,
    source: io::Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed", self.stage.description())
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

pub(crate) fn register(socket: OwnedFd) -> io::Result<UnixStream> {
    let socket = std::os::unix::net::UnixStream::from(socket);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

/// A message, with the descriptor that came with it; `None` at the end.
async fn receive(from: &UnixStream) -> io::Result<Option<(Message, Option<OwnedFd>)>> {
    from.async_io(Interest::READABLE, || {
        let mut bytes = [0; LENGTH];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::net::recvmsg(
            from.as_fd(),
            &mut [IoSliceMut::new(&mut bytes)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        let mut descriptor = None;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(mut descriptors) = message {
                descriptor = descriptors.next();
            }
        }
        let message = bytes.get(..received.bytes).and_then(Message::decode);
        Ok(message.map(|message| (message, descriptor)))
    })
    .await
}
