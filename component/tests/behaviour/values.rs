//! Secrets, times and endpoints.

use std::time::Duration;

use ec2_role_component::imds::endpoint::Endpoint;
use ec2_role_component::secret::Secret;
use ec2_role_component::time::{Monotonic, UnixTime};

use super::support::SECOND;

#[test]
fn only_expose_shows_a_secret() {
    let secret = Secret::new("hush".into());
    assert_eq!(secret.expose(), "hush");
    assert_eq!(format!("{secret:?}"), "Secret(..)");
    assert_eq!(secret.into_exposed(), "hush");
}

#[test]
fn the_duration_since_a_later_time_is_zero() {
    let (early, late) = (UnixTime::from_seconds(1), UnixTime::from_seconds(3));
    assert_eq!(late.since(early), 2 * SECOND);
    assert_eq!(early.since(late), Duration::ZERO);
    let (early, late) = (Monotonic::new(SECOND), Monotonic::new(3 * SECOND));
    assert_eq!(late.since(early), 2 * SECOND);
    assert_eq!(early.since(late), Duration::ZERO);
    assert_eq!(late.since_start(), 3 * SECOND);
}

#[test]
fn an_endpoint_has_an_authority() {
    for (url, authority) in [
        ("http://LOCALHOST/base", "localhost"),
        ("http://127.0.0.1:1338", "127.0.0.1:1338"),
        ("http://[::1]:80/", "[::1]:80"),
    ] {
        let endpoint: Endpoint = url.parse().unwrap();
        assert_eq!(endpoint.authority(), authority);
    }
    assert_eq!(Endpoint::ipv4().authority(), "169.254.169.254");
    assert_eq!(Endpoint::ipv6().authority(), "[fd00:ec2::254]");
}
