//! Settings.

use std::time::Duration;

use ec2_role_host::{Ec2RoleProvider, Environment};

use crate::support::{Virtual, count, emulator};

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_provider_asks_nobody() {
    let clock = Virtual::new();
    let imds = emulator(&clock).await;
    let environment = Environment::from_iter([
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.url()),
    ]);
    let provider = Ec2RoleProvider::builder()
        .environment(environment)
        .build()
        .await
        .unwrap();
    let error = provider.credentials().await.unwrap_err();
    assert!(error.is_disabled());
    assert!(
        error
            .remedy()
            .unwrap()
            .contains("AWS_EC2_METADATA_DISABLED")
    );
    assert_eq!(count(&imds, "/**"), 0);
}

#[test]
fn wrong_settings_are_named() {
    let builder = || Ec2RoleProvider::builder().environment(Environment::empty());
    for (builder, message) in [
        (
            builder().endpoint("https://127.0.0.1"),
            "the endpoint is \"https://127.0.0.1\"; accepted: http://HOST",
        ),
        (
            builder().read_timeout(Duration::ZERO),
            "option read-timeout is \"0\"; accepted: 1 to 60000 milliseconds",
        ),
        (
            builder().token_ttl(Duration::from_secs(21_601)),
            "option token-ttl is \"21601\"; accepted: 1 to 21600 seconds",
        ),
        (builder().attempts(11), "option attempts is \"11\""),
        (
            builder().expiry_window_jitter(101),
            "option expiry-window-jitter is \"101\"",
        ),
    ] {
        let error = builder.build_blocking().unwrap_err();
        assert!(error.is_invalid_configuration(), "{error:?}");
        assert!(error.to_string().starts_with(message), "{error}");
    }
}
