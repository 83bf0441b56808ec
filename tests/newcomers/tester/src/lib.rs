//! A client of IMDS.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// Returns the role of the instance.
pub fn role(imds: &str) -> std::io::Result<String> {
    let put = "PUT /latest/api/token HTTP/1.0\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\n\r\n";
    let token = ask(imds, put)?;
    let path = "/latest/meta-data/iam/security-credentials/";
    ask(imds, &format!("GET {path} HTTP/1.0\r\nX-aws-ec2-metadata-token: {token}\r\n\r\n"))
}

fn ask(imds: &str, request: &str) -> std::io::Result<String> {
    let mut connection = TcpStream::connect(imds)?;
    connection.write_all(request.as_bytes())?;
    let mut response = String::new();
    connection.read_to_string(&mut response)?;
    Ok(response.split_once("\r\n\r\n").unwrap_or_default().1.to_owned())
}
