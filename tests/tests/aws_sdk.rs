//! The AWS SDK for Rust, as it is, against the emulator.

#![expect(clippy::unwrap_used, reason = "a test")]

use aws_config::imds::{self, credentials::ImdsCredentialsProvider, region::ImdsRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_smithy_async::rt::sleep::TokioSleep;
use chrono::{DateTime, Utc};
use imds_emulator::Emulator;
use imds_emulator::config::Content;

const USER_DATA: &str = "#!/bin/sh\necho hello\n";

async fn emulator() -> Emulator {
    Emulator::builder()
        .role("rust-role")
        .with(|config| {
            config.instance.placement.availability_zone = "eu-central-1b".into();
            config.instance.user_data = Some(Content::Text(USER_DATA.into()));
        })
        .start()
        .await
        .unwrap()
}

/// Nothing of the machine's own configuration.
fn client(emulator: &Emulator) -> imds::Client {
    let config = ProviderConfig::empty()
        .with_http_client(aws_smithy_http_client::Builder::new().build_http())
        .with_sleep_impl(TokioSleep::new());
    imds::Client::builder()
        .configure(&config)
        .endpoint(emulator.url())
        .unwrap()
        .build()
}

#[tokio::test]
async fn it_gets_the_credentials_of_the_role() {
    let emulator = emulator().await;
    let provider = ImdsCredentialsProvider::builder()
        .imds_client(client(&emulator))
        .build();
    let credentials = provider.provide_credentials().await.unwrap();
    assert_eq!(credentials.access_key_id().len(), 20);
    assert!(credentials.access_key_id().starts_with("ASIA"));
    assert_eq!(credentials.secret_access_key().len(), 40);
    assert!(credentials.session_token().unwrap().len() > 500);
    let end = DateTime::<Utc>::from(credentials.expiry().unwrap());
    let hours = (end - emulator.clock().now()).num_hours();
    assert!((5..=6).contains(&hours), "{end}");
}

#[tokio::test]
async fn it_gets_the_region() {
    let emulator = emulator().await;
    let provider = ImdsRegionProvider::builder()
        .imds_client(client(&emulator))
        .build();
    let region = provider.region().await.unwrap();
    assert_eq!(region.as_ref(), "eu-central-1");
}

#[tokio::test]
async fn it_gets_the_identity_document_and_user_data() {
    let emulator = emulator().await;
    let client = client(&emulator);
    let document = client
        .get("/latest/dynamic/instance-identity/document")
        .await
        .unwrap();
    let document: serde_json::Value = serde_json::from_str(document.as_ref()).unwrap();
    assert_eq!(document["region"], "eu-central-1");
    assert_eq!(document["instanceType"], "t3.micro");
    let user_data = client.get("/latest/user-data").await.unwrap();
    assert_eq!(user_data.as_ref(), USER_DATA);
}

#[tokio::test]
async fn it_reads_the_whole_tree() {
    let emulator = emulator().await;
    let client = client(&emulator);
    let mut folders = vec!["/latest/meta-data/".to_owned()];
    let mut leaves = Vec::new();
    while let Some(folder) = folders.pop() {
        let listing = client.get(folder.as_str()).await.unwrap();
        for name in listing.as_ref().lines() {
            let path = format!("{folder}{name}");
            if name.ends_with('/') {
                folders.push(path);
            } else {
                let value = client.get(path.as_str()).await.unwrap();
                leaves.push((path, value.as_ref().to_owned()));
            }
        }
    }
    assert!(leaves.len() > 40, "{leaves:?}");
    assert!(
        leaves
            .iter()
            .any(|(path, value)| path.ends_with("/placement/region") && value == "eu-central-1"),
        "{leaves:?}"
    );
}

#[tokio::test]
async fn it_says_that_there_is_no_role() {
    let emulator = Emulator::builder().without_role().start().await.unwrap();
    let provider = ImdsCredentialsProvider::builder()
        .imds_client(client(&emulator))
        .build();
    let error = provider.provide_credentials().await.unwrap_err();
    assert!(
        matches!(
            error,
            aws_credential_types::provider::error::CredentialsError::CredentialsNotLoaded(_)
        ),
        "{error:?}"
    );
}
