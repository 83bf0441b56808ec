//! A test of an IMDS client: it must survive an outage of the token endpoint, fetch a new token when its token
//! expires, and never fall back to IMDSv1. In your code base, `main` is a `#[tokio::test]`.
//!
//! ```sh
//! cargo run -p imds-emulator --example client_test
//! ```

use std::error::Error;

use chrono::{TimeDelta, Utc};
use imds_emulator::fault::{Fault, Rule};
use imds_emulator::journal::Assertion;
use imds_emulator::{Clock, Emulator};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Time stands still until the test moves it.
    let clock = Clock::manual(Utc::now());
    let imds = Emulator::builder()
        .role("web-server")
        .clock(clock.clone())
        .start()
        .await?;
    let authority = imds.url().trim_start_matches("http://").to_owned();
    let mut client = Client::new(authority);

    // Two requests for a token fail, one succeeds, and one replaces the expired token. Both expectations
    // are checked when they are dropped.
    let _no_imdsv1 = imds.expect(Assertion::NoImdsv1);
    let _four_puts = imds.expect(Assertion::MaxTokenPuts(4));

    // The first two token requests fail.
    let outage = Rule::new("outage", Fault::empty_response()).on("/latest/api/token");
    let _outage = imds.fault(outage.times(2))?;
    assert_eq!(client.role().await?, "web-server");

    // Seven hours later the token has expired.
    clock.advance(TimeDelta::hours(7))?;
    assert_eq!(client.role().await?, "web-server");
    Ok(())
}

/// The client that is tested. It retries, and holds a token.
struct Client {
    authority: String,
    token: Option<String>,
}

impl Client {
    fn new(authority: String) -> Self {
        Self {
            authority,
            token: None,
        }
    }

    /// The name of the instance's role.
    async fn role(&mut self) -> Result<String, Box<dyn Error>> {
        for _ in 0..5 {
            let Some(token) = self.token.clone() else {
                let header = "X-aws-ec2-metadata-token-ttl-seconds: 21600";
                if let Some((200, token)) = self.send("PUT /latest/api/token", header).await? {
                    self.token = Some(token);
                }
                continue;
            };
            let path = "GET /latest/meta-data/iam/security-credentials/";
            let header = format!("X-aws-ec2-metadata-token: {token}");
            match self.send(path, &header).await? {
                Some((200, role)) => return Ok(role),
                Some((401, _)) => self.token = None,
                _ => {}
            }
        }
        Err("IMDS is not available".into())
    }

    /// Sends a request. Returns the status and the body, or nothing if the connection was closed.
    async fn send(
        &self,
        request: &str,
        header: &str,
    ) -> Result<Option<(u16, String)>, Box<dyn Error>> {
        let mut stream = TcpStream::connect(&self.authority).await?;
        let request = format!(
            "{request} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n{header}\r\n\r\n",
            self.authority
        );
        stream.write_all(request.as_bytes()).await?;
        let mut response = String::new();
        stream.read_to_string(&mut response).await?;
        let Some((head, body)) = response.split_once("\r\n\r\n") else {
            return Ok(None);
        };
        let status = head.split(' ').nth(1).ok_or("no status")?;
        Ok(Some((status.parse()?, body.to_owned())))
    }
}
