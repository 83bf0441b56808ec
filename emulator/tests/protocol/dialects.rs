//! `[I2]` to `[I8]` `[I10]` `[I11]` `[I13]` `[I14]` `[I16]` `[I19]` `[I20]` `[I23]` `[I30]` `[I31]` `[I33]` `[I34]`: whole responses in both dialects,
//! byte for byte, as they come from a socket.
//!
//! They are in `golden/`. Where one is meant to change, `BLESS=1` writes them again.

use std::path::Path;

use imds_emulator::Dialect;
use imds_emulator::config::{Config, Content, HttpTokens, Switch};

use crate::bench::{Bench, request, send};

/// Everything that is random follows from the seed.
async fn bench(dialect: Dialect, change: impl FnOnce(&mut Config)) -> Bench {
    let bench = Bench::with(|config| {
        config.server.seed = Some("golden".into());
        config.server.dialect = dialect;
        config.instance.user_data = Some(Content::Text("#!/bin/sh\necho hello\n".into()));
        change(config);
    })
    .await;
    // So that the remaining time of a token, its age and that of the instance differ.
    bench.pass(17);
    bench
}

async fn compare(bench: &Bench, name: &str, head: &str) {
    let dialect = match bench.imds.config().server.dialect {
        Dialect::Nitro => "nitro",
        Dialect::Xen => "xen",
        other => unreachable!("{other:?} has no folder of golden files"),
    };
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/protocol/golden")
        .join(dialect)
        .join(format!("{name}.http"));
    let response = send(bench.imds.address(), request(head).as_bytes()).await;
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &response).unwrap();
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(response, golden, "{head} against {}", file.display());
}

async fn all(dialect: Dialect) {
    let imds = bench(dialect, |_| {}).await;
    const TTL: &str = "X-aws-ec2-metadata-token-ttl-seconds";
    compare(
        &imds,
        "token",
        &format!("PUT /latest/api/token HTTP/1.1\n{TTL}: 21600"),
    )
    .await;
    compare(&imds, "400-no-ttl", "PUT /latest/api/token HTTP/1.1").await;
    compare(
        &imds,
        "403-forwarded",
        &format!("PUT /latest/api/token HTTP/1.1\nX-Forwarded-For: 10.0.0.1\n{TTL}: 60"),
    )
    .await;
    compare(
        &imds,
        "token-final-slash",
        &format!("PUT /latest/api/token/ HTTP/1.1\n{TTL}: 60"),
    )
    .await;
    compare(
        &imds,
        "expect",
        &format!("PUT /latest/api/token HTTP/1.1\nExpect: 100-continue\n{TTL}: 60"),
    )
    .await;
    compare(&imds, "options", "OPTIONS /latest/api/token HTTP/1.1").await;
    compare(&imds, "405-token-path", "GET /latest/api/token HTTP/1.1").await;
    compare(&imds, "401", "GET /latest/meta-data/ami-id HTTP/1.1").await;
    let token = imds.token("60").await.body;
    imds.pass(17);
    let role = "meta-data/iam/security-credentials";
    for (name, path) in [
        ("versions", "/"),
        ("leaf", "/latest/meta-data/ami-id"),
        ("leaf-with-a-slash", "/latest/meta-data/ami-id/"),
        ("listing", "/latest/meta-data/"),
        ("directory", "/latest/meta-data/iam"),
        ("user-data", "/latest/user-data"),
        ("404", "/latest/meta-data/spot/instance-action"),
        ("role", &format!("/latest/{role}/")),
        ("credentials", &format!("/latest/{role}/the-role")),
        (
            "identity-document",
            "/latest/dynamic/instance-identity/document",
        ),
    ] {
        let head = format!("GET {path} HTTP/1.1\nX-aws-ec2-metadata-token: {token}");
        compare(&imds, name, &head).await;
    }
    for (name, line) in [
        ("head", "HEAD /latest/meta-data/ami-id"),
        ("403-data", "POST /latest/meta-data/ami-id"),
        ("options-data", "OPTIONS /latest/meta-data/ami-id"),
        ("403-dated-token-path", "PUT /2021-03-23/api/token"),
    ] {
        let head = format!("{line} HTTP/1.1\nX-aws-ec2-metadata-token: {token}\n{TTL}: 60");
        compare(&imds, name, &head).await;
    }

    let optional = bench(dialect, |config| {
        config.metadata_options.http_tokens = HttpTokens::Optional;
    });
    compare(
        &optional.await,
        "leaf-without-a-token",
        "GET /latest/meta-data/ami-id HTTP/1.1",
    )
    .await;
    let disabled = bench(dialect, |config| {
        config.metadata_options.http_endpoint = Switch::Disabled;
    });
    let disabled = disabled.await;
    compare(
        &disabled,
        "403-disabled",
        "GET /latest/meta-data/ami-id HTTP/1.1",
    )
    .await;
    compare(
        &disabled,
        "403-disabled-token",
        &format!("PUT /latest/api/token HTTP/1.1\n{TTL}: 60"),
    )
    .await;
    let kept = bench(dialect, |config| {
        config.server.keep_alive = true;
        config.metadata_options.http_tokens = HttpTokens::Optional;
    });
    compare(
        &kept.await,
        "leaf-kept-alive",
        "GET /latest/meta-data/ami-id HTTP/1.1\nConnection: close",
    )
    .await;
}

#[tokio::test]
async fn nitro() {
    all(Dialect::Nitro).await;
}

#[tokio::test]
async fn xen() {
    all(Dialect::Xen).await;
}
