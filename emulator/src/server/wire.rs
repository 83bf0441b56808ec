//! A connection that can be taken back from the HTTP library.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BufMut;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::decision::Step;

/// How long a connection that is closed still reads from the client: closing it with unread bytes
/// would reset it.
const LINGER: Duration = Duration::from_secs(1);

/// Whether the system reports each arrival of bytes once, as epoll and kqueue do for the runtime.
const IS_EDGE_TRIGGERED: bool = cfg!(any(target_os = "linux", target_os = "macos"));

/// The HTTP library's handle of a connection. The emulator keeps another one.
///
/// Writing succeeds even if the client has closed the connection. Otherwise the library would give up,
/// and requests would be missing in the journal that the client has sent without waiting for responses.
/// Reading ends with the last of them.
pub(super) struct Wire {
    pub(super) stream: Arc<TcpStream>,
    /// What was read from the connection already.
    pub(super) first: Vec<u8>,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let count = self.first.len().min(into.remaining());
            into.put_slice(self.first.drain(..count).as_slice());
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            match read(&self.stream, into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(drop)),
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
            ready!(self.stream.poll_write_ready(context))?;
            match self.stream.try_write(bytes) {
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
            ready!(self.stream.poll_write_ready(context))?;
            match self.stream.try_write_vectored(slices) {
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
        Poll::Ready(socket2::SockRef::from(&*self.stream).shutdown(std::net::Shutdown::Write))
    }
}

/// Whether the client has closed the connection.
fn is_closed(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
    kinds.contains(&error.kind())
}

/// Reads until the head of a first request has arrived, or something else that the HTTP library must
/// see: the end of the connection, bytes that begin no request, or a long head. Meanwhile the
/// connection takes a fraction of the memory that it takes in the library.
pub(super) async fn first_bytes(stream: &TcpStream) -> io::Result<Vec<u8>> {
    const ROOM: usize = 512;
    const LONG: usize = 4096;
    let mut bytes = Vec::new();
    loop {
        stream.readable().await?;
        bytes.reserve(ROOM);
        match read(stream, &mut (&mut bytes).limit(ROOM)) {
            Ok(1..) if bytes.len() < LONG && is_unfinished(&bytes) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read.map(|_| bytes),
        }
    }
}

/// Whether the bytes are the beginning of a head.
fn is_unfinished(bytes: &[u8]) -> bool {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    !bytes.ends_with(b"\r\n\r\n") && matches!(request.parse(bytes), Ok(httparse::Status::Partial))
}

/// Reads what has arrived.
fn read(stream: &TcpStream, into: &mut impl BufMut) -> io::Result<usize> {
    let mut read = Err(io::ErrorKind::WouldBlock.into());
    // A stream that leaves room in the buffer has no more bytes for now. The runtime is told so, as
    // its own streams do, because asking the kernel takes another system call.
    let _ = stream.try_io(Interest::READABLE, || {
        read = stream.try_read_buf(into);
        match read {
            Ok(1..) if IS_EDGE_TRIGGERED && into.has_remaining_mut() => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            _ => Ok(()),
        }
    });
    read
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_unfinished_until_its_end_or_its_first_error() {
        for (bytes, expected) in [
            ("", true),
            ("G", true),
            ("GET / HTTP/1.1", true),
            ("GET / HTTP/1.1\r\nHost: imds\r\n", true),
            ("GET / HTTP/1.1\r\nHost: imds\r\n\r\n", false),
            ("GET / HTTP/1.1\n\n", false),
            ("PUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\nbo", false),
            ("\0", false),
            ("GET / HTTP/7", false),
            ("GET / HTTP/1.1\r\nno header\r\n", false),
        ] {
            assert_eq!(is_unfinished(bytes.as_bytes()), expected, "{bytes:?}");
        }
    }
}
