//! The provider in a program with the AWS SDK for Rust: `aws-config` gets its credentials from the
//! provider, and a request is signed with them.
//!
//! ```sh
//! cargo run -p ec2-role-host --example aws_sdk --features aws-sdk
//! ```
//!
//! An emulator takes the place of IMDS. The request is not sent.

use std::error::Error;
use std::time::SystemTime;

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use ec2_role_host::{Ec2RoleProvider, RefreshPolicy};
use imds_emulator::Emulator;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // On EC2, omit this line and `endpoint`.
    let imds = Emulator::builder().role("example").start().await?;

    let provider = Ec2RoleProvider::builder()
        .endpoint(imds.url())
        .refresh_policy(RefreshPolicy::Windowed)
        .background_refresh(true)
        .build()
        .await?;
    let region = provider.metadata().region().await?;
    let config = aws_config::defaults(BehaviorVersion::latest())
        .credentials_provider(provider)
        .region(Region::new(region.clone()))
        .load()
        .await;

    // A program now creates clients, for example `aws_sdk_s3::Client::new(&config)`. They use the
    // credentials as follows:
    let credentials = config.credentials_provider().ok_or("no provider")?;
    let identity = credentials.provide_credentials().await?.into();
    let mut request = http::Request::get(format!("https://s3.{region}.amazonaws.com/")).body(())?;
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(&region)
        .name("s3")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()?
        .into();
    let uri = request.uri().to_string();
    let signable = SignableRequest::new("GET", uri, [].into_iter(), SignableBody::Bytes(&[]))?;
    let (instructions, _) = sign(signable, &parameters)?.into_parts();
    instructions.apply_to_request_http1x(&mut request);

    println!("GET {}", request.uri());
    for (name, value) in request.headers() {
        // The session token is a secret.
        match name.as_str() {
            "x-amz-security-token" => println!("{name}: ({} characters)", value.len()),
            _ => println!("{name}: {}", value.to_str()?),
        }
    }
    Ok(())
}
