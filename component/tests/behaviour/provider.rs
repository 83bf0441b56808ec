//! The name of the role, its document, and the steps of `ec2-role` `[B4.1]` to `[B4.8]`.

use ec2_role_component::config::Options;
use ec2_role_component::credentials::Credentials;
use ec2_role_component::error::{Error, Reason};
use ec2_role_component::provider::Shift;
use ec2_role_component::time::UnixTime;

use super::support::{
    HOUR, LIST, START, TOKEN, World, at, document, failure, ok, ready, status, token,
};

const EXTENDED: &str = "GET /latest/meta-data/iam/security-credentials-extended/";

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
fn credentials_expire_at_most_one_hour_from_now() {
    for (document_expires, expires) in [(3599, 3599), (3600, 3600), (3601, 3600), (22_800, 3600)] {
        let mut world =
            World::playing([token("t1", 60), ok("role"), document("a", document_expires)]);
        let credentials = ready(world.instance.retrieve()).unwrap();
        assert_eq!(credentials.expires, at(expires), "{document_expires}");
    }
}

#[test]
fn a_configured_role_is_not_looked_up() {
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
        ("a//b", Reason::InvalidResponse),
        ("/a", Reason::InvalidResponse),
        ("a/", Reason::InvalidResponse),
        ("a/../b", Reason::InvalidResponse),
        ("a:b", Reason::InvalidResponse),
        ("arn:aws:iam::123456789012:role/", Reason::InvalidResponse),
        (
            "arn:aws:iam::123456789012:role/../x",
            Reason::InvalidResponse,
        ),
        ("arn:aws:iam::123456789012:user/x", Reason::InvalidResponse),
        ("arn:aws:iam::123:role/x", Reason::InvalidResponse),
        ("arn:aws:sts::123456789012:role/x", Reason::InvalidResponse),
        ("arn:/:iam::123456789012:role/x", Reason::InvalidResponse),
        ("a b", Reason::InvalidResponse),
        ("<html>", Reason::InvalidResponse),
        // A secret access key.
        (
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            Reason::InvalidResponse,
        ),
        (
            "wJalrXUtnFEMIK7MDENG0bPxRfiCYEXAMPLEKEYx\n",
            Reason::InvalidResponse,
        ),
        (
            "SecretAccessKey=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            Reason::InvalidResponse,
        ),
        (
            "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMIK7MDENG0bPxRfiCYEXAMPLEKEYx",
            Reason::InvalidResponse,
        ),
        // A session token.
        (
            "AQAEAAAAAaIf7wp_AAACWAAAAAEtsC_e_jxdsItCoJLYMTUNbd_6Og==",
            Reason::InvalidResponse,
        ),
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
fn a_role_may_have_its_path_or_be_an_arn() {
    for name in [
        // As long as a secret access key.
        "ProdUsEast1ClusterNodeRole20230405123456",
        "team-platform/eks/production/NodeRole123",
        "EKS-NodeGroup-Role-1A2B3C4D5E6F7G8H9I0JK",
        "team-a/app",
        "arn:aws:iam::123456789012:role/app",
        "arn:aws-us-gov:iam::123456789012:role/bosh-passed/k8s-logger",
    ] {
        let mut world = World::playing([token("t1", 60), ok(name), document("a", 1800)]);
        ready(world.instance.get_credentials()).unwrap();
        assert_eq!(world.imds.requests()[2], format!("{LIST}{name} t1"));
        assert_eq!(world.instance.status().role_name.unwrap().as_str(), name);

        let mut world = World::playing([token("t1", 60), document("a", 1800)]);
        let options = Options {
            role_name: Some(name.into()),
            ..Options::default()
        };
        world.instance.configure(options).unwrap();
        ready(world.instance.get_credentials()).unwrap();
        assert_eq!(world.imds.requests()[1], format!("{LIST}{name} t1"));
    }
}

#[test]
fn the_message_of_a_refusal_is_one_line() {
    let message = format!(r"no\u001b[2J\u009b2J\r\n{}", "x".repeat(300));
    let body = format!(r#"{{"Code":"Failed","Message":"{message}"}}"#);
    let mut world = World::playing([token("t1", 60), ok("role"), ok(&body)]);
    let failure = failure(ready(world.instance.get_credentials()));
    assert!(failure.message.contains("no [2J 2J  xxx"), "{failure}");
    assert!(!failure.message.contains(char::is_control), "{failure}");
    assert!(failure.message.len() < 300, "{failure}");
}

/// The expiration that the component reads from a document, in seconds after 2026-01-01T00:00:00Z.
fn expiration(text: &str) -> Result<u64, Error> {
    let document = serde_json::json!({
        "Code": "Success",
        "AccessKeyId": "i",
        "SecretAccessKey": "s",
        "Token": "t",
        "Expiration": text,
    });
    let mut world = World::playing([token("t1", 60), ok("role"), ok(&document.to_string())]);
    let credentials = ready(world.instance.retrieve())?;
    Ok(credentials.expires.unwrap().seconds() - START)
}

#[test]
fn an_expiration_is_a_time_as_in_rfc_3339() {
    for (text, seconds) in [
        ("2026-01-01T00:30:00Z", 1800),
        ("2026-01-01t00:30:00z", 1800),
        ("2026-01-01T00:30:00+00:00", 1800),
        ("2026-01-01T05:30:00+05:00", 1800),
        ("2025-12-31T19:00:00-05:30", 1800),
        ("2026-01-01T00:30:00.5Z", 1800),
        ("2026-01-01T00:30:00.999999999999Z", 1800),
    ] {
        assert_eq!(expiration(text), Ok(seconds), "{text}");
    }
    for text in [
        "2026-01-01",
        "2026-01-01T00:30:00",
        "2026-01-01T00:30Z",
        "2026-01-01T00:30:00.Z",
        "2026-01-01T24:00:00Z",
        "2026-02-29T00:30:00Z",
        "2026-01-01T00:30:60Z",
        "12026-01-01T00:30:00Z",
        "2026-01-01T00:30:00Z ",
        " 2026-01-01T00:30:00Z",
        "Thu, 01 Jan 2026 00:30:00 GMT",
        "1767227400",
    ] {
        let failure = failure(expiration(text));
        assert_eq!(failure.reason, Reason::InvalidResponse, "{text}");
        assert!(failure.message.contains("RFC 3339"), "{failure}");
    }
}

#[test]
fn what_no_header_can_carry_is_refused() {
    for field in ["AccessKeyId", "Token"] {
        for value in ["a b", "a\n", "\u{1b}[2J", "\u{e9}"] {
            let mut document = serde_json::json!({
                "Code": "Success",
                "AccessKeyId": "i",
                "SecretAccessKey": "s",
                "Token": "t",
                "Expiration": "2026-01-01T00:30:00+00:00",
            });
            document[field] = value.into();
            let body = document.to_string();
            let mut world = World::playing([token("t1", 60), ok("role"), ok(&body)]);
            let failure = failure(ready(world.instance.get_credentials()));
            assert_eq!(failure.reason, Reason::InvalidResponse);
            assert!(failure.message.starts_with(field), "{failure}");
            assert!(!failure.message.contains(value), "{failure}");
        }
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
fn an_incomplete_document_is_reported() {
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
fn a_required_field_of_the_wrong_type_is_distinguished_from_a_missing_one() {
    let whole = serde_json::json!({
        "Code": "Success", "AccessKeyId": "i", "SecretAccessKey": "s", "Token": "t",
        "Expiration": "2026-01-01T00:30:00Z", "AccountId": "123456789012",
    });
    let answering = |field: &str, value: serde_json::Value| {
        let mut document = whole.clone();
        document[field] = value;
        World::playing([token("t1", 60), ok("role"), ok(&document.to_string())])
    };
    for (value, words) in [
        (
            1.into(),
            "Token in the credentials document is not a string",
        ),
        (
            serde_json::json!(["t"]),
            "Token in the credentials document is not a string",
        ),
        (
            serde_json::Value::Null,
            "Token is missing from the credentials document",
        ),
    ] {
        let mut world = answering("Token", value);
        let failure = failure(ready(world.instance.get_credentials()));
        assert_eq!(failure.message, words);
    }
    for field in ["AccountId", "Message"] {
        let mut world = answering(field, 1.into());
        let credentials = ready(world.instance.get_credentials()).unwrap();
        assert_eq!(credentials.account_id.is_none(), field == "AccountId");
    }
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
fn adjusting_moves_expirations_at_least_fifteen_minutes_away() {
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
fn a_failed_refresh_extends_what_expires_within_five_minutes() {
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

fn extended(answers: impl IntoIterator<Item = super::support::Outcome>) -> World {
    let mut world = World::playing(answers);
    let options = Options {
        extended_path: Some(true),
        ..Options::default()
    };
    world.instance.configure(options).unwrap();
    world
}

#[test]
fn the_extended_path_is_tried_first_and_the_role_remembered() {
    let account = r#"{"Code":"Success","AccessKeyId":"i","SecretAccessKey":"s","Token":"t","Expiration":"2026-01-01T00:30:00Z","AccountId":"123456789012"}"#;
    let mut world = extended([token("t1", 21_600), ok("role"), ok(account), ok(account)]);
    let credentials = ready(world.instance.retrieve()).unwrap();
    assert_eq!(credentials.account_id.as_deref(), Some("123456789012"));
    ready(world.instance.retrieve()).unwrap();
    let document = format!("{EXTENDED}role t1");
    assert_eq!(
        world.imds.requests(),
        [TOKEN, &format!("{EXTENDED} t1"), &document, &document]
    );
}

#[test]
fn a_404_on_the_extended_list_leads_to_the_plain_path_permanently() {
    let mut world = extended([
        token("t1", 21_600),
        status(404),
        ok("role"),
        document("a", 1800),
        document("b", 1800),
    ]);
    assert_eq!(
        ready(world.instance.retrieve()).unwrap().access_key_id,
        "id-a"
    );
    assert_eq!(
        ready(world.instance.retrieve()).unwrap().access_key_id,
        "id-b"
    );
    let document = format!("{LIST}role t1");
    assert_eq!(
        world.imds.requests(),
        [
            TOKEN,
            &format!("{EXTENDED} t1"),
            &format!("{LIST} t1"),
            &document,
            &document
        ]
    );
}

#[test]
fn only_a_404_leads_to_the_plain_path() {
    for code in [400, 403, 500] {
        let mut world = extended(
            [token("t1", 21_600)]
                .into_iter()
                .chain(vec![status(code); 6]),
        );
        ready(world.instance.retrieve()).unwrap_err();
        ready(world.instance.retrieve()).unwrap_err();
        let requests = world.imds.requests();
        assert!(
            requests[1..]
                .iter()
                .all(|request| request.starts_with(EXTENDED)),
            "{requests:?}"
        );
    }
}

#[test]
fn with_a_configured_role_a_404_on_its_document_leads_to_the_plain_path() {
    let mut world = World::playing([
        token("t1", 21_600),
        status(404),
        document("a", 1800),
        status(404),
    ]);
    let options = Options {
        extended_path: Some(true),
        role_name: Some("given".into()),
        ..Options::default()
    };
    world.instance.configure(options).unwrap();
    ready(world.instance.retrieve()).unwrap();
    assert_eq!(
        world.imds.requests(),
        [
            TOKEN,
            &format!("{EXTENDED}given t1"),
            &format!("{LIST}given t1")
        ]
    );
    assert_eq!(
        failure(ready(world.instance.retrieve())).reason,
        Reason::NoRole
    );
    assert_eq!(
        world.imds.requests(),
        [format!("{LIST}given t1")],
        "there is no way back, and no third way"
    );
}

#[test]
fn a_404_on_the_document_of_a_remembered_role_leads_to_the_list() {
    let mut world = extended([
        token("t1", 21_600),
        ok("old"),
        document("a", 1800), // the first call
        status(404),
        ok("new"),
        document("b", 1800), // the second
    ]);
    ready(world.instance.retrieve()).unwrap();
    world.imds.requests();
    assert_eq!(
        ready(world.instance.retrieve()).unwrap().access_key_id,
        "id-b"
    );
    assert_eq!(
        world.imds.requests(),
        [
            format!("{EXTENDED}old t1"),
            format!("{EXTENDED} t1"),
            format!("{EXTENDED}new t1")
        ]
    );
    assert_eq!(world.instance.status().role_name.unwrap().as_str(), "new");
}

#[test]
fn the_list_is_read_three_times_at_most() {
    let round = [ok("role"), status(404)];
    let mut world = extended(
        [token("t1", 21_600)]
            .into_iter()
            .chain([round.clone(), round.clone(), round].concat()),
    );
    let failure = failure(ready(world.instance.retrieve()));
    assert_eq!(failure.reason, Reason::NoRole);
    assert!(failure.message.contains("the role role"), "{failure}");
    assert_eq!(world.imds.requests().len(), 7);
}

#[test]
fn on_the_plain_path_the_list_is_read_every_time() {
    let mut world = World::playing([
        token("t1", 21_600),
        ok("old"),
        document("a", 1800),
        ok("new"),
        document("b", 1800),
    ]);
    ready(world.instance.retrieve()).unwrap();
    ready(world.instance.retrieve()).unwrap();
    assert_eq!(
        world.imds.requests()[3..],
        [format!("{LIST} t1"), format!("{LIST}new t1")]
    );
}
