//! A connection that can be taken back from the HTTP library.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;

use crate::decision::Step;

/// How long a connection that is closed still reads from the client: closing it with unread bytes
/// would reset it.
const LINGER: Duration = Duration::from_secs(1);

/// The HTTP library's handle of a connection. The emulator keeps another one.
///
/// Writing succeeds even if the client has closed the connection. Otherwise the library would give up,
/// and requests would be missing in the journal that the client has sent without waiting for responses.
/// Reading ends with the last of them.
pub(super) struct Wire(pub(super) Arc<TcpStream>);

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(context))?;
            match self.0.try_read_buf(into) {
                Ok(_) => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(context))?;
            match self.0.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if is_closed(&error) => return Poll::Ready(Ok(bytes.len())),
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(context))?;
            match self.0.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if is_closed(&error) => {
                    return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
                }
                done => return Poll::Ready(done),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(socket2::SockRef::from(&*self.0).shutdown(std::net::Shutdown::Write))
    }
}

/// Whether the client has closed the connection.
fn is_closed(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
    kinds.contains(&error.kind())
}

/// Carries out `steps` on a connection, and closes it.
pub(super) async fn perform(mut stream: TcpStream, steps: Vec<Step>) {
    for step in steps {
        let done = match step {
            Step::Send(bytes) => stream.write_all(&bytes).await,
            Step::Wait(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            Step::Close => return close(stream).await,
            Step::Reset => return reset(stream),
            Step::Stall => {
                until_it_ends(&stream).await;
                break;
            }
        };
        // The client has disconnected.
        if done.is_err() {
            return;
        }
    }
    close(stream).await;
}

/// Closes the connection, so that the client sees its end.
pub(super) async fn close(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    let _ = tokio::time::timeout(LINGER, until_it_ends(&stream)).await;
}

/// Resets the connection, so that the client sees an error.
pub(super) fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
}

/// Reads and discards bytes until the client closes the connection.
async fn until_it_ends(stream: &TcpStream) {
    let mut bytes = [0; 1024];
    loop {
        if stream.readable().await.is_err() {
            return;
        }
        match stream.try_read(&mut bytes) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(_) | Err(_) => return,
        }
    }
}
