//! A server in the place of IMDS, for answers that no emulator gives.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// A secret access key, which is marked.
pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYMARKEDKEYz";

/// A session token of IMDS, and one of the credentials.
pub(crate) const TOKEN: &str = "AQAEAMARKEDKEYTOKENab01_dEF23ghIJ45klMN67-pQR89stUV_xYZ==";

/// The response to a path.
pub(crate) type Answers = Arc<dyn Fn(&str) -> Vec<u8> + Send + Sync>;

pub(crate) fn response(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

pub(crate) fn ok(body: &str) -> Vec<u8> {
    response("200 OK", "", body)
}

pub(crate) fn document() -> Value {
    json!({
        "Code": "Success",
        "LastUpdated": "2026-01-01T00:00:00Z",
        "Type": "AWS-HMAC",
        "AccessKeyId": "ASIAIOSFODNN7EXAMPLE",
        "SecretAccessKey": SECRET,
        "Token": TOKEN,
        "Expiration": "2099-01-01T00:00:00Z",
    })
}

pub(crate) fn identity() -> Value {
    json!({
        "instanceId": "i-0123456789abcdef0",
        "instanceType": "t3.micro",
        "availabilityZone": "eu-central-1a",
        "region": "eu-central-1",
        "accountId": "123456789012",
    })
}

pub(crate) const API_TOKEN: &str = "/latest/api/token";
pub(crate) const LIST: &str = "/latest/meta-data/iam/security-credentials/";
pub(crate) const DOCUMENT: &str = "/latest/meta-data/iam/security-credentials/role";
pub(crate) const IDENTITY: &str = "/latest/dynamic/instance-identity/document";

/// What a server without faults answers.
pub(crate) fn usual(path: &str) -> Vec<u8> {
    match path {
        API_TOKEN => ok(TOKEN),
        LIST => ok("role"),
        DOCUMENT => ok(&document().to_string()),
        IDENTITY => ok(&identity().to_string()),
        "/latest/meta-data" => ok("iam/"),
        "/latest/meta-data/placement/region" => ok("eu-central-1"),
        _ => response("404 Not Found", "", "no such path"),
    }
}

/// Answers at one path with `answer`.
pub(crate) fn at(path: &'static str, answer: Vec<u8>) -> Answers {
    Arc::new(move |asked| match asked == path {
        true => answer.clone(),
        false => usual(asked),
    })
}

/// A server for as long as the test program runs.
pub(crate) fn serve(answers: Answers) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // The server ignores a client that disconnects in between.
            let _ = answer(stream, &answers);
        }
    });
    url
}

fn answer(mut stream: TcpStream, answers: &Answers) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            length => head.extend(&buffer[..length]),
        }
    }
    let head = String::from_utf8_lossy(&head);
    stream.write_all(&answers(head.split(' ').nth(1).unwrap_or_default()))
}
