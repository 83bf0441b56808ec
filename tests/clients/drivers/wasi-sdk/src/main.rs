//! The default chain of the AWS SDK for Rust in WebAssembly (WASI 0.2), over the line protocol.

use std::io::BufRead as _;

use aws_config::BehaviorVersion;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_smithy_wasm::wasi::{WasiHttpClientBuilder, WasiSleep};

#[wstd::main]
async fn main() {
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(WasiHttpClientBuilder::new().build())
        .sleep_impl(WasiSleep)
        .region("us-east-1");
    let config = loader.load().await;
    let provider = config.credentials_provider();
    println!("ready");
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        match (line.split(' ').next(), &provider) {
            (Some("get"), Some(provider)) => println!("{}", get(provider).await),
            _ => println!("error unsupported {line}"),
        }
    }
}

async fn get(provider: &SharedCredentialsProvider) -> String {
    match provider.provide_credentials().await {
        Ok(found) => format!("credentials {}", found.access_key_id()),
        Err(error) => format!("error {error:?}").replace('\n', " "),
    }
}
