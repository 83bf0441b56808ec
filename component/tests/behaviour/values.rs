//! Secrets, moments, and endpoints.

use std::time::Duration;

use ec2_role_component::imds::endpoint::Endpoint;
use ec2_role_component::secret::Secret;
use ec2_role_component::time::{Monotonic, UnixTime};

use super::support::SECOND;

#[test]
fn a_secret_is_shown_to_whoever_asks_for_it_by_name_and_to_nobody_else() {
    let secret = Secret::new("hush".into());
    assert_eq!(secret.expose(), "hush");
    assert_eq!(format!("{secret:?}"), "Secret(..)");
    assert_eq!(secret.into_exposed(), "hush");
}

#[test]
fn the_time_from_a_later_moment_is_nothing() {
    let (early, late) = (UnixTime::from_seconds(1), UnixTime::from_seconds(3));
    assert_eq!(late.since(early), 2 * SECOND);
    assert_eq!(early.since(late), Duration::ZERO);
    let (early, late) = (Monotonic::new(SECOND), Monotonic::new(3 * SECOND));
    assert_eq!(late.since(early), 2 * SECOND);
    assert_eq!(early.since(late), Duration::ZERO);
    assert_eq!(late.since_start(), 3 * SECOND);
}

#[test]
fn an_endpoint_names_whom_to_connect_to() {
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
