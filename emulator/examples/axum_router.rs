//! The emulator in an axum application: below a path beside other routes, served with the addresses of
//! clients, and called without a socket.
//!
//! ```sh
//! cargo run -p imds-emulator --example axum_router
//! ```

use std::error::Error;
use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use axum::routing::get;
use imds_emulator::Emulator;
use imds_emulator::fault::{Fault, Rule};
use imds_emulator::journal::Assertion;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

const ROLES: &str = "/imds/latest/meta-data/iam/security-credentials/";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (router, imds) = Emulator::builder().role("web-server").router()?;
    // `merge(router)` would give IMDS all paths that the application does not route.
    let app = Router::new()
        .route("/health", get(|| async { "healthy" }))
        .nest_service("/imds", router);
    let _no_imdsv1 = imds.expect(Assertion::NoImdsv1);

    // Without a socket.
    let put = Request::put("/imds/latest/api/token")
        .header("X-aws-ec2-metadata-token-ttl-seconds", "21600")
        .body(Body::empty())?;
    let response = app.clone().oneshot(put).await?;
    let token = to_bytes(response.into_body(), 1024).await?;
    let roles = Request::get(ROLES)
        .header("X-aws-ec2-metadata-token", &*token)
        .body(Body::empty())?;
    let response = app.clone().oneshot(roles).await?;
    assert_eq!(to_bytes(response.into_body(), 1024).await?, "web-server");

    // With a socket. The application passes on the addresses of clients, so that a rule can match them.
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    let mut throttled = Rule::new("throttled", Fault::status(429));
    throttled.matches.client = Some("127.0.0.0/8".parse()?);
    imds.put_fault(throttled)?;
    assert_eq!(put_token(address).await?, StatusCode::TOO_MANY_REQUESTS);

    // A router does not own the connection, so it cannot reset it.
    if let Err(error) = imds.put_fault(Rule::new("outage", Fault::empty_response())) {
        println!("{error}");
    }
    Ok(())
}

/// Requests a token over a socket. Returns the status.
async fn put_token(address: SocketAddr) -> Result<StatusCode, Box<dyn Error>> {
    let mut stream = TcpStream::connect(address).await?;
    let put = "PUT /imds/latest/api/token HTTP/1.1\r\nHost: imds\r\nConnection: close\r\n\r\n";
    stream.write_all(put.as_bytes()).await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    let status = response.split(' ').nth(1).ok_or("no status")?;
    Ok(status.parse()?)
}
