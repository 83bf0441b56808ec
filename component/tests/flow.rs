//! The way from a call to credentials or an error, through the public door, on a manual clock.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test")]

mod support;

use std::time::Duration;

use ec2_role_component::config::Options;
use ec2_role_component::credentials::Credentials;
use ec2_role_component::error::{Error, Failure, Reason, Step};
use ec2_role_component::imds::client::Tree;
use ec2_role_component::ports::TransportError;
use ec2_role_component::provider::Shift;
use ec2_role_component::time::UnixTime;

use self::support::{START, World, document, ok, ready, status, token};

const TOKEN: &str = "PUT /latest/api/token";
const LIST: &str = "GET /latest/meta-data/iam/security-credentials/";
const HOUR: Duration = Duration::from_secs(3600);

fn at(seconds: u64) -> Option<UnixTime> {
    Some(UnixTime::from_seconds(START + seconds))
}

/// The failure that `outcome` is.
fn failure<T: std::fmt::Debug>(outcome: Result<T, Error>) -> Failure {
    match outcome.unwrap_err() {
        Error::Failed(failure) => failure,
        other => panic!("{other}"),
    }
}

#[test]
fn credentials_take_a_token_a_list_and_a_document() {
    let mut world = World::playing([token("t1", 21_600), ok("role"), document("a", 1800)]);
    let credentials = ready(world.instance.get_credentials()).unwrap();
    assert_eq!(credentials.access_key_id, "id-a");
    assert_eq!(credentials.secret_access_key.expose(), "secret-a");
    assert_eq!(
        credentials.session_token.as_ref().unwrap().expose(),
        "token-a"
    );
    assert_eq!(credentials.account_id, None);
    assert_eq!(credentials.source, "EC2RoleProvider");
    assert_eq!(credentials.expires, at(1800));
    assert_eq!(Some(credentials.refresh_after), at(1800));
    assert_eq!(
        world.imds.requests(),
        [TOKEN, &format!("{LIST} t1"), &format!("{LIST}role t1")]
    );
}

#[test]
fn credentials_are_kept_until_they_end_and_the_token_longer() {
    let mut world = World::playing([
        token("t1", 21_600),
        ok("role"),
        document("a", 1800),
        ok("role"),
        document("b", 5400),
    ]);
    let first = ready(world.instance.get_credentials()).unwrap();
    world.imds.requests();
    world.clock.advance(Duration::from_secs(1799));
    assert_eq!(ready(world.instance.get_credentials()).unwrap(), first);
    assert!(world.imds.requests().is_empty());
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(
        ready(world.instance.get_credentials())
            .unwrap()
            .access_key_id,
        "id-b"
    );
    assert_eq!(
        world.imds.requests(),
        [format!("{LIST} t1"), format!("{LIST}role t1")]
    );
}

#[test]
fn credentials_end_at_most_one_hour_from_now() {
    for (document_expires, expires) in [(3599, 3599), (3600, 3600), (3601, 3600), (22_800, 3600)] {
        let mut world =
            World::playing([token("t1", 60), ok("role"), document("a", document_expires)]);
        let credentials = ready(world.instance.retrieve()).unwrap();
        assert_eq!(credentials.expires, at(expires), "{document_expires}");
    }
}

#[test]
fn a_role_that_is_given_is_not_looked_up() {
    let mut world = World::playing([token("t1", 60), document("a", 1800)]);
    let options = Options {
        role_name: Some("given".into()),
        ..Options::default()
    };
    world.instance.configure(options).unwrap();
    ready(world.instance.get_credentials()).unwrap();
    assert_eq!(world.imds.requests(), [TOKEN, &format!("{LIST}given t1")]);
}

#[test]
fn a_rejected_token_is_replaced_once_within_the_call() {
    let mut world = World::playing([
        token("t1", 60),
        status(401),
        token("t2", 60),
        ok("role"),
        document("a", 1800), // the first call
        status(401),
        token("t3", 60),
        status(401), // the second
    ]);
    ready(world.instance.retrieve()).unwrap();
    assert_eq!(
        world.imds.requests(),
        [
            TOKEN,
            &format!("{LIST} t1"),
            TOKEN,
            &format!("{LIST} t2"),
            &format!("{LIST}role t2")
        ]
    );
    let failure = failure(ready(world.instance.retrieve()));
    assert_eq!(
        (failure.reason, failure.status, failure.attempts),
        (Reason::UnexpectedStatus, Some(401), 2)
    );
    assert_eq!(
        world.imds.requests(),
        [format!("{LIST} t2"), TOKEN.into(), format!("{LIST} t3")]
    );
}

#[test]
fn a_failure_says_what_failed_where() {
    use Reason::{
        Denied, Forbidden, InvalidResponse, NoRole, Throttled, Timeout, Unavailable,
        UnexpectedStatus,
    };
    let outcomes = [
        (Err(TransportError::Denied), [Denied; 3]),
        (Err(TransportError::Unavailable("x")), [Unavailable; 3]),
        (Err(TransportError::Timeout("x")), [Timeout; 3]),
        (Err(TransportError::Malformed("x")), [InvalidResponse; 3]),
        (Err(TransportError::TooLong(1)), [InvalidResponse; 3]),
        (status(400), [UnexpectedStatus; 3]),
        (status(403), [Forbidden; 3]),
        (status(404), [UnexpectedStatus, NoRole, NoRole]),
        (status(405), [UnexpectedStatus; 3]),
        (status(429), [Throttled; 3]),
        (status(500), [Unavailable; 3]),
        (status(503), [Throttled; 3]),
        (status(302), [UnexpectedStatus; 3]),
        (status(204), [UnexpectedStatus; 3]),
    ];
    let before = [token("t1", 60), ok("role")];
    for (outcome, reasons) in outcomes {
        for (n, step) in [Step::Token, Step::RoleList, Step::RoleCredentials]
            .into_iter()
            .enumerate()
        {
            let answers = before.iter().take(n).cloned().chain([outcome.clone()]);
            let mut world = World::playing(answers);
            let failure = failure(ready(world.instance.get_credentials()));
            assert_eq!(
                (failure.step, failure.reason),
                (step, reasons[n]),
                "{outcome:?}"
            );
            assert_eq!(
                failure.status,
                outcome.as_ref().ok().map(|response| response.status),
                "{outcome:?}"
            );
            assert_eq!(failure.attempts, 1);
            assert!(
                !failure.message.contains("no secret here"),
                "no body in {failure}"
            );
        }
    }
}

#[test]
fn the_role_is_the_first_line_that_is_not_blank() {
    for list in ["role", "role\n", "role\r\nother\r\n", "\n  role \nother"] {
        let mut world = World::playing([token("t1", 60), ok(list), document("a", 1800)]);
        ready(world.instance.get_credentials()).unwrap();
        assert_eq!(
            world.imds.requests()[2],
            format!("{LIST}role t1"),
            "{list:?}"
        );
    }
    for (list, reason) in [
        ("", Reason::NoRole),
        (" \n\r\n", Reason::NoRole),
        ("../../x", Reason::InvalidResponse),
        ("..", Reason::InvalidResponse),
        ("a/b", Reason::InvalidResponse),
        ("a b", Reason::InvalidResponse),
        ("<html>", Reason::InvalidResponse),
        ("r\u{f6}le", Reason::InvalidResponse),
        (&"r".repeat(65), Reason::InvalidResponse),
    ] {
        let mut world = World::playing([token("t1", 60), ok(list)]);
        assert_eq!(
            failure(ready(world.instance.get_credentials())).reason,
            reason,
            "{list:?}"
        );
    }
}

#[test]
fn a_document_with_an_error_code_is_a_refusal_with_that_code() {
    let body = r#"{"Code":"AssumeRoleUnauthorizedAccess","Message":"EC2 cannot assume the role."}"#;
    let mut world = World::playing([token("t1", 60), ok("role"), ok(body)]);
    let failure = failure(ready(world.instance.get_credentials()));
    assert_eq!(failure.reason, Reason::Refused);
    assert_eq!(
        failure.code.as_deref(),
        Some("AssumeRoleUnauthorizedAccess")
    );
    assert!(
        failure.message.contains("EC2 cannot assume the role."),
        "{failure}"
    );
}

#[test]
fn a_document_that_is_not_whole_is_named() {
    let whole = r#"{"Code":"success","AccessKeyId":"i","SecretAccessKey":"s","Token":"t","Expiration":"2026-01-01T00:30:00+00:00"}"#;
    let mut world = World::playing([token("t1", 60), ok("role"), ok(whole)]);
    assert_eq!(
        ready(world.instance.get_credentials()).unwrap().expires,
        at(1800)
    );

    for field in [
        "Code",
        "AccessKeyId",
        "SecretAccessKey",
        "Token",
        "Expiration",
    ] {
        let document: serde_json::Value = serde_json::from_str(whole).unwrap();
        for value in [
            serde_json::Value::Null,
            "".into(),
            1.into(),
            serde_json::json!({"x": "y"}),
        ] {
            let mut document = document.clone();
            document[field] = value;
            let mut world =
                World::playing([token("t1", 60), ok("role"), ok(&document.to_string())]);
            let failure = failure(ready(world.instance.get_credentials()));
            assert_eq!(failure.reason, Reason::InvalidResponse);
            assert!(failure.message.contains(field), "{failure}");
        }
    }
    for body in [
        "",
        "[]",
        "<html>",
        &whole.replace("2026-01-01T00:30:00+00:00", "soon"),
    ] {
        let mut world = World::playing([token("t1", 60), ok("role"), ok(body)]);
        assert_eq!(
            failure(ready(world.instance.get_credentials())).reason,
            Reason::InvalidResponse,
            "{body}"
        );
    }
}

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
fn configure_forgets_token_and_credentials_and_a_wrong_value_changes_nothing() {
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
fn settings_are_accepted_up_to_their_bounds_and_not_beyond() {
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
            &[1],
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
            &[0],
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
fn with_imds_away_credentials_are_extended_and_status_says_so() {
    let mut world = World::playing([
        token("t1", 21_600),
        ok("role"),
        document("a", 1800),
        status(500),
        ok("role"),
        document("b", 7200),
    ]);
    ready(world.instance.get_credentials()).unwrap();
    world.clock.advance(Duration::from_secs(1800));
    world.dice.load(0.5);
    let extended = ready(world.instance.get_credentials()).unwrap();
    assert_eq!(extended.access_key_id, "id-a");
    assert_eq!(extended.expires, at(1800 + 600), "ten minutes from now");
    let status = world.instance.status();
    assert_eq!(status.held.unwrap().extensions, 1);
    assert_eq!(status.record.failing_since, at(1800));
    let (when, error) = status.record.last_failure.as_ref().unwrap();
    assert_eq!(
        (Some(*when), error.failure().unwrap().reason),
        (at(1800), Reason::Unavailable)
    );

    world.clock.advance(Duration::from_secs(600));
    assert_eq!(
        ready(world.instance.get_credentials())
            .unwrap()
            .access_key_id,
        "id-b"
    );
    let status = world.instance.status();
    assert_eq!(status.held.unwrap().extensions, 0);
    assert_eq!(status.record.failing_since, None);
    assert_eq!(status.record.refreshes, 3);
    assert_eq!(
        (
            status.requests.token,
            status.requests.role_list,
            status.requests.role_credentials
        ),
        (1, 3, 2)
    );
}

#[test]
fn invalidated_credentials_are_gone_and_rejected_ones_are_replaced() {
    let mut world = World::playing([
        token("t1", 21_600),
        ok("role"),
        document("a", 1800),
        ok("role"),
        document("b", 1800),
        ok("role"),
        document("c", 1800),
        status(500),
    ]);
    let id = |world: &mut World| {
        ready(world.instance.get_credentials())
            .unwrap()
            .access_key_id
    };
    assert_eq!(id(&mut world), "id-a");
    world.instance.invalidate();
    assert_eq!(id(&mut world), "id-b");
    world.instance.reject("id-a");
    assert_eq!(id(&mut world), "id-b", "that one is not held any more");
    world.instance.reject("id-b");
    assert_eq!(id(&mut world), "id-c");
    world.instance.invalidate();
    assert_eq!(
        failure(ready(world.instance.get_credentials())).reason,
        Reason::Unavailable
    );
}

fn credentials(expires: Option<UnixTime>) -> Credentials {
    Credentials {
        access_key_id: "id".into(),
        secret_access_key: ec2_role_component::secret::Secret::new("secret".into()),
        session_token: None,
        account_id: None,
        source: "x".into(),
        expires,
        refresh_after: UnixTime::MAX,
    }
}

#[test]
fn adjusting_moves_the_end_of_what_lasts_fifteen_minutes_or_longer() {
    let world = World::playing([]);
    let sooner = Shift::from_milliseconds(-300_000);
    for (expires, adjusted) in [
        (at(3600), at(3300)),
        (at(900), at(600)),
        (at(899), at(899)),
        (at(0), at(0)),
        (None, None),
    ] {
        assert_eq!(
            world
                .instance
                .adjust_expires_by(credentials(expires), sooner)
                .expires,
            adjusted
        );
    }
    let later = Shift::from_milliseconds(1000);
    assert_eq!(
        world
            .instance
            .adjust_expires_by(credentials(at(3600)), later)
            .expires,
        at(3601)
    );
    let ever = Shift::from_milliseconds(i64::MIN);
    assert_eq!(
        world
            .instance
            .adjust_expires_by(credentials(at(3600)), ever)
            .expires,
        Some(UnixTime::from_seconds(0))
    );
}

#[test]
fn a_failed_refresh_extends_what_ends_within_five_minutes() {
    let mut world = World::playing([]);
    world.clock.advance(HOUR);
    let cause = Error::Other("cause".into());
    for (expires, dice, extended) in [
        (at(3901), 0.0, at(3901)),
        (at(3900), 0.0, at(3900)),
        (at(3900), 0.5, at(4200)),
        (at(3600), 0.0, at(3900)),
        (at(0), 0.999_999, at(4499)),
    ] {
        world.dice.load(dice);
        let outcome = world
            .instance
            .handle_fail_to_refresh(Some(credentials(expires)), cause.clone());
        assert_eq!(outcome.unwrap().expires, extended, "{expires:?} {dice}");
    }
    assert_eq!(
        world
            .instance
            .handle_fail_to_refresh(Some(credentials(None)), cause.clone()),
        Err(cause.clone())
    );
    assert_eq!(
        world.instance.handle_fail_to_refresh(None, cause.clone()),
        Err(cause)
    );
}

#[test]
fn metadata_is_looked_up_with_the_same_token() {
    let mut world = World::playing([
        token("t1", 60),
        ok("t3.micro"),
        ok("{}"),
        ok("\u{1f}\u{8b}"),
        status(404),
    ]);
    let instance = &mut world.instance;
    assert_eq!(
        ready(instance.text(Tree::Metadata, "instance-type")).unwrap(),
        "t3.micro"
    );
    assert_eq!(
        ready(instance.text(Tree::Dynamic, "instance-identity/document")).unwrap(),
        "{}"
    );
    assert_eq!(
        ready(instance.metadata(Tree::UserData, "")).unwrap(),
        "\u{1f}\u{8b}".as_bytes()
    );
    assert_eq!(
        failure(ready(instance.text(Tree::Metadata, "spot/instance-action"))).reason,
        Reason::NotFound
    );
    assert_eq!(
        world.imds.requests(),
        [
            TOKEN,
            "GET /latest/meta-data/instance-type t1",
            "GET /latest/dynamic/instance-identity/document t1",
            "GET /latest/user-data t1",
            "GET /latest/meta-data/spot/instance-action t1",
        ]
    );
}
