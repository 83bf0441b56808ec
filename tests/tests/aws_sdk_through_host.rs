//! The AWS SDK for Rust with credentials of the provider (feature `aws-sdk`).

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sts::Client;
use aws_sdk_sts::config::IdentityCache;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::TimeSource;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use chrono::TimeDelta;
use ec2_role_host::{Clock as _, Ec2RoleProvider, Environment, RefreshPolicy};
use imds_conformance::clock::Shared;
use imds_emulator::{Emulator, Preset};

/// The access key IDs that requests to STS were signed with.
type Signers = Arc<Mutex<Vec<String>>>;

/// Plays `sts:GetCallerIdentity`, and records the access key ID that each request was signed with.
async fn sts(signers: Signers) -> String {
    async fn answer(
        State(signers): State<Signers>,
        headers: HeaderMap,
    ) -> (StatusCode, &'static str) {
        let signed = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("AWS4-HMAC-SHA256 Credential="))
            .and_then(|value| value.split('/').next());
        let Some(signer) = signed else {
            return (StatusCode::FORBIDDEN, "");
        };
        signers.lock().unwrap().push(signer.to_owned());
        (
            StatusCode::OK,
            "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account>\
             </GetCallerIdentityResult></GetCallerIdentityResponse>",
        )
    }

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/", post(answer)).with_state(signers);
    tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
    url
}

#[derive(Clone, Debug)]
struct SdkTime(Shared);

impl TimeSource for SdkTime {
    fn now(&self) -> SystemTime {
        self.0.now()
    }
}

fn sdk(provider: Ec2RoleProvider, sts: String, clock: &Shared) -> Client {
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(sts)
        .credentials_provider(SharedCredentialsProvider::new(provider))
        .identity_cache(IdentityCache::lazy().build())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .time_source(SdkTime(clock.clone()))
        .sleep_impl(aws_smithy_async::rt::sleep::SharedAsyncSleep::new(
            TokioSleep::new(),
        ))
        .build();
    Client::new(&config)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_sees_no_error_while_imds_is_away_and_comes_back() {
    let clock = Shared::standing("2026-01-01T00:00:00Z".parse().unwrap());
    let imds = Emulator::builder()
        .clock(clock.emulator())
        .rotation(TimeDelta::hours(1), TimeDelta::hours(6))
        .start()
        .await
        .unwrap();
    let provider = Ec2RoleProvider::builder()
        .environment(Environment::empty())
        .endpoint(imds.url())
        .attempts(1)
        .read_timeout(Duration::from_millis(50))
        .refresh_policy(RefreshPolicy::Windowed)
        .clock(clock.clone())
        .build()
        .await
        .unwrap();
    let signers = Signers::default();
    let client = sdk(provider, sts(Arc::clone(&signers)).await, &clock);

    // Twelve hours, of which IMDS is away for eight: longer than the credentials live.
    for quarter in 0..48 {
        match quarter {
            6 => imds.preset(Preset::ImdsOutage).unwrap(),
            38 => assert!(imds.remove_preset(Preset::ImdsOutage)),
            _ => {}
        }
        let identity = client.get_caller_identity().send().await;
        let identity = identity.unwrap_or_else(|error| panic!("{quarter}: {error:?}"));
        assert_eq!(identity.account(), Some("123456789012"));
        clock.advance(TimeDelta::minutes(15)).unwrap();
    }

    let signers = signers.lock().unwrap();
    assert_eq!(signers.len(), 48);
    assert!(signers[6..38].iter().all(|signer| *signer == signers[6]));
    assert_ne!(signers[0], signers[6], "it rotates");
    assert_ne!(signers[39], signers[37], "it recovers");
}
