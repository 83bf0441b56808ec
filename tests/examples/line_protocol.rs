//! An example client for `imds-conformance` in Rust, to copy. It implements the line protocol
//! on its standard streams.
//!
//! ```sh
//! cargo build --release -p imds-conformance --example line_protocol
//! imds-conformance run --no-faketime --client mine=target/release/examples/line_protocol
//! ```
//!
//! This library uses the monotonic clock where possible, and libfaketime moves only the wall clock for it.
//! Without `--release`, it starts slowly.

use std::io::{BufRead as _, Error, stdin};

use ec2_role_host::Ec2RoleProvider;
use futures_util::future::join_all;

/// `credentials ACCESS-KEY-ID [EXPIRATION]`, or `error [KIND] MESSAGE`.
async fn get(provider: &Ec2RoleProvider) -> String {
    match provider.credentials().await {
        Ok(credentials) => {
            let expires = credentials.expires().map(|end| end.to_rfc3339());
            let key = credentials.access_key_id();
            format!("credentials {key} {}", expires.unwrap_or_default())
        }
        Err(error) => failed(&error),
    }
}

/// The kinds of this library are those of the protocol. A client without kinds omits them.
fn failed(error: &ec2_role_host::Error) -> String {
    let kind = serde_json::to_value(error.kind()).unwrap_or_default();
    format!("error {} {error}", kind.as_str().unwrap_or_default())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let provider = Ec2RoleProvider::builder().build().await;
    // No request has been sent yet. The optional commands that this client supports:
    println!("ready concurrent reject metadata");
    for line in stdin().lock().lines() {
        let line = line?;
        let (question, argument) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = match (&provider, question) {
            // For example, an invalid setting. `get 10` has ten answers, one per line.
            (Err(error), "get") => vec![failed(error); argument.parse().unwrap_or(1)].join("\n"),
            (Err(error), _) => failed(error),
            (Ok(provider), "get") => {
                let callers = (0..argument.parse().unwrap_or(1)).map(|_| get(provider));
                join_all(callers).await.join("\n")
            }
            (Ok(provider), "reject") => match provider.reject(argument).await {
                Ok(()) => "ok".to_owned(),
                Err(error) => failed(&error),
            },
            (Ok(provider), "metadata") => match provider.metadata().get(argument).await {
                // A value must be on one line.
                Ok(value) => format!("value {}", value.replace('\\', r"\\").replace('\n', r"\n")),
                Err(error) => failed(&error),
            },
            _ => format!("error unsupported {question}"),
        };
        println!("{answer}");
    }
    Ok(())
}
