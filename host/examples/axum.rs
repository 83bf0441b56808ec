//! The provider in a web service: one provider for all requests, in the service's state.
//!
//! ```sh
//! cargo run -p ec2-role-host --example axum
//! curl http://127.0.0.1:8080/whoami
//! curl http://127.0.0.1:8080/health
//! ```
//!
//! An emulator plays IMDS. The service runs until it is interrupted.

use std::error::Error;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use ec2_role_host::{Ec2RoleProvider, RefreshPolicy};
use imds_emulator::Emulator;
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // On EC2, omit this line and `endpoint`.
    let imds = Emulator::builder().role("web-service").start().await?;

    let provider = Ec2RoleProvider::builder()
        .endpoint(imds.url())
        .refresh_policy(RefreshPolicy::Windowed)
        .background_refresh(true)
        .build()
        .await?;
    // Fail at the start rather than at the first request.
    provider.credentials().await?;

    let service = Router::new()
        .route("/whoami", get(whoami))
        .route("/health", get(health))
        .with_state(provider);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    println!("http://{}/whoami", listener.local_addr()?);
    axum::serve(listener, service).await?;
    Ok(())
}

/// Asks the provider for each request. It refreshes in the background, so this takes no time.
async fn whoami(State(provider): State<Ec2RoleProvider>) -> Result<Json<Value>, Failure> {
    let credentials = provider.credentials().await?;
    let region = provider.metadata().region().await?;
    Ok(Json(json!({
        "access-key-id": credentials.access_key_id(),
        "region": region,
    })))
}

/// Reports failed refreshes before the credentials expire.
async fn health(State(provider): State<Ec2RoleProvider>) -> (StatusCode, Json<Value>) {
    let status = provider.status();
    let code = match status.failing_since {
        None => StatusCode::OK,
        Some(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, Json(json!({ "failing-since": status.failing_since })))
}

/// An error of the provider as a response. Its text contains no secret.
struct Failure(ec2_role_host::Error);

impl From<ec2_role_host::Error> for Failure {
    fn from(error: ec2_role_host::Error) -> Self {
        Self(error)
    }
}

impl axum::response::IntoResponse for Failure {
    fn into_response(self) -> axum::response::Response {
        (StatusCode::BAD_GATEWAY, self.0.to_string()).into_response()
    }
}
