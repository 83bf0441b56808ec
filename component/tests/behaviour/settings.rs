//! `configure`: what is accepted, what is not, and what it resets.

use ec2_role_component::config::{Options, RefreshPolicy};
use ec2_role_component::error::Error;
use ec2_role_component::imds::client::Tree;

use super::support::{World, document, ok, ready, token};

#[test]
fn nothing_is_sent_when_disabled() {
    let mut world = World::playing([]);
    world
        .instance
        .configure(Options {
            disabled: Some(true),
            ..Options::default()
        })
        .unwrap();
    assert_eq!(
        ready(world.instance.get_credentials()),
        Err(Error::Disabled)
    );
    assert_eq!(
        ready(world.instance.text(Tree::Metadata, "x")),
        Err(Error::Disabled)
    );
}

#[test]
fn configure_forgets_token_and_credentials_and_an_invalid_value_changes_nothing() {
    let mut world = World::playing([
        token("t1", 60),
        ok("role"),
        document("a", 1800),
        token("t2", 60),
        ok("role"),
        document("b", 1800),
    ]);
    ready(world.instance.get_credentials()).unwrap();
    let wrong = Options {
        token_ttl: Some(21_601),
        ..Options::default()
    };
    let Err(Error::InvalidConfiguration(invalid)) = world.instance.configure(wrong) else {
        panic!()
    };
    assert_eq!(
        (&*invalid.name, &*invalid.value, &*invalid.accepted),
        ("token-ttl", "21601", "1 to 21600 seconds")
    );
    assert_eq!(
        ready(world.instance.get_credentials())
            .unwrap()
            .access_key_id,
        "id-a"
    );
    world.instance.configure(Options::default()).unwrap();
    assert_eq!(
        ready(world.instance.get_credentials())
            .unwrap()
            .access_key_id,
        "id-b"
    );
}

#[test]
fn settings_are_accepted_within_their_ranges_only() {
    type Set = fn(&mut Options, u64);
    let options: [(&str, Set, &[u64], &[u64]); 7] = [
        (
            "connect-timeout",
            |o, v| o.connect_timeout = Some(v),
            &[1, 60_000],
            &[0, 60_001, u64::MAX],
        ),
        (
            "read-timeout",
            |o, v| o.read_timeout = Some(v),
            &[1, 60_000],
            &[0, 60_001, u64::MAX],
        ),
        (
            "operation-timeout",
            |o, v| o.operation_timeout = Some(v),
            &[1, 600_000],
            &[0, 600_001],
        ),
        (
            "attempts",
            |o, v| o.attempts = u32::try_from(v).ok(),
            &[1, 10],
            &[0, 11],
        ),
        (
            "token-ttl",
            |o, v| o.token_ttl = u32::try_from(v).ok(),
            &[1, 21_600],
            &[0, 21_601],
        ),
        (
            "expiry-window-jitter",
            |o, v| o.expiry_window_jitter = u32::try_from(v).ok(),
            &[0, 100],
            &[101],
        ),
        (
            "expiry-window",
            |o, v| o.expiry_window = Some(v),
            &[0, 86_400_000],
            &[86_400_001],
        ),
    ];
    for (name, set, right, wrong) in options {
        for value in right {
            let mut options = Options::default();
            set(&mut options, *value);
            assert_eq!(
                World::playing([]).instance.configure(options),
                Ok(()),
                "{name} {value}"
            );
        }
        for value in wrong {
            let mut options = Options::default();
            set(&mut options, *value);
            let Err(Error::InvalidConfiguration(invalid)) =
                World::playing([]).instance.configure(options)
            else {
                panic!("{name} {value}")
            };
            assert_eq!((&*invalid.name, invalid.value), (name, value.to_string()));
        }
    }
}

#[test]
fn the_endpoint_is_checked_before_anything_is_sent() {
    for url in [
        "",
        "127.0.0.1",
        "https://127.0.0.1",
        "http://127.0.0.1:99999",
        "http://user@127.0.0.1",
    ] {
        let options = Options {
            endpoint: Some(url.into()),
            ..Options::default()
        };
        let Err(Error::InvalidConfiguration(invalid)) =
            World::playing([]).instance.configure(options)
        else {
            panic!("{url}")
        };
        assert_eq!((&*invalid.name, &*invalid.value), ("endpoint", url));
        assert!(
            invalid.accepted.contains("http://HOST"),
            "{}",
            invalid.accepted
        );
    }
}

#[test]
fn the_credentials_of_one_configuration_are_not_those_of_another() {
    let mut world = World::playing([
        token("t1", 60),
        ok("role"),
        document("a", 1800),
        token("t2", 60),
        ok("role"),
        document("b", 1800),
    ]);
    ready(world.instance.get_credentials()).unwrap();
    let options = Options {
        refresh_policy: Some(RefreshPolicy::Windowed),
        ..Options::default()
    };
    world.instance.configure(options).unwrap();
    assert!(world.instance.status().held.is_none());
    assert!(world.instance.status().session.unwrap().held().is_none());
    assert_eq!(
        ready(world.instance.get_credentials())
            .unwrap()
            .access_key_id,
        "id-b"
    );
}
