//! The AWS SDK for Rust, as it is, against the emulator.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use aws_config::imds::{self, credentials::ImdsCredentialsProvider, region::ImdsRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_async::rt::sleep::TokioSleep;
use chrono::{DateTime, Utc};
use imds_emulator::Emulator;
use imds_emulator::config::{Content, HttpTokens, PARTITIONS};
use imds_emulator::fault::kinds::ConnectionFault;
use imds_emulator::fault::{Fault, Rule};
use imds_emulator::journal::Filter;

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
        matches!(error, CredentialsError::CredentialsNotLoaded(_)),
        "{error:?}"
    );
}

/// What it does under every fault of the table in `emulator/docs/clients.md`.
#[tokio::test]
async fn it_does_what_the_table_says_when_imds_fails() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../emulator/docs/clients.md");
    let table = std::fs::read_to_string(&path).unwrap();
    let rules: Vec<&str> = table.lines().filter_map(rule_of).collect();
    assert!(rules.len() >= 8);
    let mut runs = tokio::task::JoinSet::new();
    for (at, rule) in rules.into_iter().enumerate() {
        let rule = rule.to_owned();
        runs.spawn(async move { (at, under(&rule).await) });
    }
    let mut seen = runs.join_all().await;
    seen.sort();
    let mut seen = seen.into_iter().map(|(_, seen)| seen);
    let lines: Vec<String> = table
        .lines()
        .map(|line| match rule_of(line) {
            None => line.to_owned(),
            Some(_) => {
                let mut cells: Vec<String> = line.split(" | ").map(str::to_owned).collect();
                *cells.last_mut().unwrap() = format!("{} |", seen.next().unwrap());
                cells.join(" | ")
            }
        })
        .collect();
    let now = lines.join("\n") + "\n";
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    for (was, is) in table.lines().zip(now.lines()) {
        assert_eq!(is, was, "{}", path.display());
    }
}

/// The rule of a row of the table.
fn rule_of(line: &str) -> Option<&str> {
    let (_, rest) = line.strip_prefix("| ")?.split_once("| `")?;
    Some(rest.split_once("` |")?.0)
}

/// What becomes of the wish for credentials under a rule, and how often IMDS was asked.
async fn under(rule: &str) -> String {
    let mut rule: serde_json::Value = serde_json::from_str(rule).unwrap();
    rule["name"] = "the fault".into();
    let rule: Rule = serde_json::from_value(rule).unwrap();
    let is_down = matches!(rule.fault, Fault::Connection(ConnectionFault::Down(_)));
    let emulator = Emulator::builder()
        .role("rust-role")
        .with(|config| config.metadata_options.http_tokens = HttpTokens::Optional)
        .start()
        .await
        .unwrap();
    let _guard = emulator.fault(rule).unwrap();
    while is_down
        && tokio::net::TcpStream::connect(emulator.address())
            .await
            .is_ok()
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let provider = ImdsCredentialsProvider::builder()
        .imds_client(client(&emulator))
        .build();
    let outcome = match provider.provide_credentials().await {
        Ok(credentials) => {
            let end = DateTime::<Utc>::from(credentials.expiry().unwrap());
            match end > emulator.clock().now() {
                true => "credentials",
                false => "expired credentials",
            }
        }
        Err(CredentialsError::CredentialsNotLoaded(_)) => "no credentials",
        Err(_) => "an error",
    };
    let count = |method: &str| {
        let mut filter = Filter::default();
        filter.method = Some(method.into());
        emulator.count(&filter).unwrap()
    };
    // A request that the client gave up is in the journal once the emulator sees it.
    tokio::time::sleep(Duration::from_millis(100)).await;
    format!("{outcome}; {} PUT, {} GET", count("PUT"), count("GET"))
}

/// The SDK's table of partitions is private, but its endpoints show it.
#[tokio::test]
async fn domains_are_those_of_the_sdks_endpoints() {
    use aws_sdk_sts::config::endpoint::{DefaultResolver, Params, ResolveEndpoint as _};

    for partition in PARTITIONS {
        for begin in partition.regions {
            let region = format!("{begin}-north-7");
            let params = Params::builder().region(&region).build().unwrap();
            let endpoint = DefaultResolver::new().resolve_endpoint(&params).await;
            let expected = format!("https://sts.{region}.{}", partition.domain);
            assert_eq!(endpoint.unwrap().url(), expected, "{}", partition.name);
        }
    }
}
