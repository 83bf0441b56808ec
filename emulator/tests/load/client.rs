//! A client that is quick enough to keep an emulator busy, for the load test and the benchmark.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What is the same for all clients.
pub(crate) struct Client {
    address: SocketAddr,
    /// The connection to go on with, if the server keeps it.
    stream: Option<TcpStream>,
    received: Vec<u8>,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Response<'a> {
    pub(crate) head: &'a str,
    pub(crate) body: &'a str,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            stream: None,
            received: Vec::with_capacity(4096),
        }
    }

    /// Asks for a token of six hours.
    pub(crate) async fn token(&mut self) -> io::Result<String> {
        let put = "PUT /latest/api/token HTTP/1.1\r\nHost: imds\r\n\
                   X-aws-ec2-metadata-token-ttl-seconds: 21600\r\n\r\n";
        let response = self.ask(put.as_bytes()).await?;
        Ok(response.body.to_owned())
    }

    /// The bytes of a request for `path`.
    pub(crate) fn get(path: &str, token: &str) -> Vec<u8> {
        format!("GET {path} HTTP/1.1\r\nHost: imds\r\nX-aws-ec2-metadata-token: {token}\r\n\r\n")
            .into()
    }

    pub(crate) async fn ask(&mut self, request: &[u8]) -> io::Result<Response<'_>> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => TcpStream::connect(self.address).await?,
        };
        stream.write_all(request).await?;
        self.received.clear();
        let (head, whole) = loop {
            if stream.read_buf(&mut self.received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(lengths) = lengths(&self.received)
                && self.received.len() >= lengths.1
            {
                break lengths;
            }
        };
        let text = std::str::from_utf8(&self.received).map_err(io::Error::other)?;
        let (head, body) = (&text[..head], &text[head..whole]);
        if !head.contains("Connection: close") {
            self.stream = Some(stream);
        }
        Ok(Response { head, body })
    }
}

/// The lengths of the head and of all, once the head is there.
fn lengths(received: &[u8]) -> Option<(usize, usize)> {
    const NAME: &[u8] = b"Content-Length: ";
    let head = 4 + received.windows(4).position(|four| four == b"\r\n\r\n")?;
    let at = NAME.len() + received.windows(NAME.len()).position(|name| name == NAME)?;
    let digits = received[at..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    let body = digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
    Some((head, head + body))
}
