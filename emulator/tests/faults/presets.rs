//! Presets, by what a client sees.

use std::time::{Duration, Instant};

use imds_emulator::Preset;
use imds_emulator::config::HttpTokens;

use crate::bench::{Bench, LIST, OK, UNAUTHORIZED};

const ROLE: &str = "/latest/meta-data/iam/security-credentials/the-role";

async fn under(preset: Preset) -> Bench {
    // Which fifth of the responses is a 503 follows from the seed.
    let bench = Bench::with(|config| config.server.seed = Some("presets".into())).await;
    bench.imds.preset(preset).unwrap();
    bench
}

async fn is_silent(response: impl Future) -> bool {
    tokio::time::timeout(Duration::from_millis(250), response)
        .await
        .is_err()
}

#[tokio::test]
async fn imds_outage() {
    let bench = under(Preset::ImdsOutage).await;
    assert!(is_silent(bench.token("60")).await);
    assert!(bench.imds.heal("imds-outage"));
    assert_eq!(bench.token("60").await.status, OK);
}

#[tokio::test]
async fn imds_brownout() {
    let bench = under(Preset::ImdsBrownout).await;
    let began = Instant::now();
    let address = bench.imds.address();
    let all: tokio::task::JoinSet<String> = (0..20)
        .map(|_| crate::bench::send(address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
        .collect();
    let responses = all.join_all().await;
    let failed = responses
        .iter()
        .filter(|response| response.starts_with("HTTP/1.1 503 "))
        .count();
    assert!((1..20).contains(&failed), "{failed}");
    assert!(began.elapsed() > Duration::from_millis(200));
    assert!(bench.imds.heal("imds-brownout") && bench.imds.heal("imds-brownout 2"));
}

#[tokio::test]
async fn imdsv2_only_and_imdsv1_only() {
    let bench = under(Preset::Imdsv2Only).await;
    bench
        .imds
        .change(|config| config.metadata_options.http_tokens = HttpTokens::Optional)
        .unwrap();
    let without = format!("GET {LIST} HTTP/1.1");
    assert_eq!(bench.ask(&without).await.status, UNAUTHORIZED);
    assert_eq!(bench.read(LIST).await.status, OK);

    let bench = under(Preset::Imdsv1Only).await;
    assert_eq!(bench.token("60").await.status, "HTTP/1.1 404 Not Found");
    assert_eq!(bench.ask(&without).await.status, OK);
}

#[tokio::test]
async fn container_hop_limit_and_throttled() {
    let bench = under(Preset::ContainerHopLimit).await;
    assert!(is_silent(bench.token("60")).await);
    assert_eq!(bench.ask("GET / HTTP/1.1").await.status, UNAUTHORIZED);

    let bench = under(Preset::Throttled).await;
    for _ in 0..10 {
        assert_eq!(bench.ask("GET / HTTP/1.1").await.status, UNAUTHORIZED);
    }
    assert!(is_silent(bench.ask("GET / HTTP/1.1")).await);
}

#[tokio::test]
async fn token_forbidden() {
    let bench = Bench::new().await;
    let held = bench.token("60").await.body;
    bench.imds.preset(Preset::TokenForbidden).unwrap();
    assert_eq!(bench.token("60").await.status, "HTTP/1.1 403 Forbidden");
    assert_eq!(bench.ask("GET / HTTP/1.1").await.status, UNAUTHORIZED);
    assert_eq!(bench.get("/", &held).await.status, OK);
    bench
        .imds
        .change(|config| config.metadata_options.http_tokens = HttpTokens::Optional)
        .unwrap();
    assert_eq!(bench.ask("GET / HTTP/1.1").await.status, OK);
    assert!(bench.imds.heal("token-forbidden"));
    assert_eq!(bench.token("60").await.status, OK);
}

#[tokio::test]
async fn credentials_and_role() {
    let bench = under(Preset::ExpiredCredentials).await;
    let document = bench.read(ROLE).await.json();
    assert_eq!(document["Expiration"], "2026-01-02T02:59:05Z");
    assert_eq!(document["Code"], "Success");

    let bench = under(Preset::RotatingFast).await;
    let document = bench.read(ROLE).await.json();
    assert_eq!(document["Expiration"], "2026-01-02T03:05:05Z");

    let bench = under(Preset::RoleDetached).await;
    assert!(!bench.has("meta-data/iam/").await);
}

#[tokio::test]
async fn spot_interruption() {
    let bench = under(Preset::SpotInterruption).await;
    assert_eq!(
        bench.value("meta-data/spot/instance-action").await,
        r#"{"action": "terminate", "time": "2026-01-02T03:06:05Z"}"#
    );
    assert_eq!(bench.value("meta-data/instance-life-cycle").await, "spot");
}

#[tokio::test]
async fn a_preset_cannot_be_there_twice() {
    let bench = under(Preset::ImdsOutage).await;
    assert!(bench.imds.preset(Preset::ImdsOutage).is_err());
}
