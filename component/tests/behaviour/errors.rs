//! The texts of errors `[B3.3]`.

use ec2_role_component::config::Options;
use ec2_role_component::error::Error;
use ec2_role_component::imds::client::Tree;
use ec2_role_component::imds::endpoint::InvalidEndpoint;
use ec2_role_component::provider::InvalidRoleName;

use super::support::{World, ok, ready, status, token};

#[test]
fn a_failure_names_the_step_and_what_happened() {
    let before = [token("t1", 60), ok("role")];
    for (good, words) in [
        (0, "session token: IMDS answered 403"),
        (1, "role list: IMDS answered 403"),
        (2, "role credentials: IMDS answered 403"),
    ] {
        let answers = before.iter().take(good).cloned().chain([status(403)]);
        let mut world = World::playing(answers);
        let error = ready(world.instance.get_credentials()).unwrap_err();
        assert_eq!(error.to_string(), words);
    }
    let mut world = World::playing([token("t1", 60), status(403)]);
    let error = ready(world.instance.text(Tree::Metadata, "x")).unwrap_err();
    assert_eq!(error.to_string(), "metadata: IMDS answered 403");
}

#[test]
fn an_invalid_option_is_reported_with_its_value_and_the_accepted_values() {
    for (options, words) in [
        (
            Options {
                role_name: Some("a b".into()),
                ..Options::default()
            },
            r#"option role-name is "a b"; accepted: 1 to 64 letters, digits and +=,.@_-, also with the role's path in front, or the role's ARN"#,
        ),
        (
            Options {
                attempts: Some(11),
                ..Options::default()
            },
            r#"option attempts is "11"; accepted: 1 to 10"#,
        ),
    ] {
        let error = World::playing([]).instance.configure(options).unwrap_err();
        assert_eq!(error.to_string(), words);
    }
}

#[test]
fn other_errors_are_sentences() {
    for (error, words) in [
        (
            Error::Disabled,
            "the use of IMDS is disabled by configuration",
        ),
        (Error::Unsupported("not here".into()), "not here"),
        (Error::Other("odd".into()), "odd"),
    ] {
        assert_eq!(error.to_string(), words);
    }
    assert_eq!(
        InvalidRoleName.to_string(),
        "invalid role name; accepted: 1 to 64 letters, digits and +=,.@_-, also with the role's path in front, or the role's ARN"
    );
    let endpoint = InvalidEndpoint.to_string();
    assert!(
        endpoint.starts_with("invalid endpoint; accepted: http://HOST,"),
        "{endpoint}"
    );
}
