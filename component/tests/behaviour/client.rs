//! Look-ups: tokens, retries, time limits, IMDSv1 `[B1.4]` to `[B1.7]` `[B2.1]` to `[B2.8]` `[B3.1]`.

use std::time::Duration;

use ec2_role_component::config::{Imdsv1Policy, Options};
use ec2_role_component::error::{Reason, Step};
use ec2_role_component::imds::client::{Tree, Version};
use ec2_role_component::ports::{Response, TransportError};

use super::support::{
    HOUR, LIST, MINUTE, Outcome, SECOND, TOKEN, World, at, document, failure, ok, ready, status,
    token,
};

const FOO: &str = "GET /latest/meta-data/foo";
const NO_RESPONSE: Outcome = Err(TransportError::Timeout("silence"));
const REFUSED: Outcome = Err(TransportError::Unavailable("refused"));

/// An instance that looks up `foo`, with this policy.
fn under(policy: Imdsv1Policy, answers: impl IntoIterator<Item = Outcome>) -> World {
    let mut world = World::playing(answers);
    let options = Options {
        imdsv1: Some(policy),
        ..Options::default()
    };
    world.instance.configure(options).unwrap();
    world
}

fn foo(world: &mut World) -> Result<String, ec2_role_component::error::Error> {
    ready(world.instance.text(Tree::Metadata, "foo"))
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
fn a_rejected_token_does_not_count_as_an_attempt() {
    let mut world = World::playing([
        token("t1", 60),
        status(401),
        token("t2", 60),
        status(500),
        status(500),
        ok("bar"),
    ]);
    assert_eq!(foo(&mut world).unwrap(), "bar");
    assert_eq!(
        world.clock.slept(),
        [Duration::from_millis(250), Duration::from_millis(500)],
        "and no pause came after the 401"
    );
}

#[test]
fn a_failure_names_its_reason_and_its_step() {
    use Reason::{
        Denied, Forbidden, InvalidResponse, NoRole, Throttled, Timeout, Unavailable,
        UnexpectedStatus,
    };
    let outcomes = [
        (Err(TransportError::Denied("x")), [Denied; 3]),
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
            let once = Options {
                attempts: Some(1),
                ..Options::default()
            };
            world.instance.configure(once).unwrap();
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
            let sent = u32::from(failure.reason != Denied);
            assert_eq!(failure.attempts, sent, "{outcome:?}");
            assert!(
                !failure.message.contains("no secret here"),
                "no body in {failure}"
            );
        }
    }
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

#[test]
fn bodies_are_read_to_their_limits() {
    let mut world = World::playing([
        token("t1", 60),
        ok("role"),
        document("a", 1800),
        ok("x"),
        ok("x"),
        ok("x"),
    ]);
    let instance = &mut world.instance;
    ready(instance.retrieve()).unwrap();
    for tree in [Tree::Metadata, Tree::Dynamic, Tree::UserData] {
        ready(instance.metadata(tree, "x")).unwrap();
    }
    let (token, document, user_data) = (4096, 65_536, 1_048_576);
    assert_eq!(
        world.imds.limits(),
        [token, document, document, document, document, user_data]
    );
}

#[test]
fn transient_failures_are_retried_with_growing_back_off() {
    for bad in [status(500), status(502), status(504), REFUSED] {
        let mut world = World::playing([token("t1", 60), bad.clone(), bad.clone(), ok("bar")]);
        world.dice.load(0.5);
        assert_eq!(foo(&mut world).unwrap(), "bar");
        assert_eq!(world.imds.requests().len(), 4);
        assert_eq!(
            world.clock.slept(),
            [Duration::from_millis(375), Duration::from_millis(750)]
        );
    }
    for bad in [status(429), status(503)] {
        let mut world = World::playing([token("t1", 60), bad.clone(), bad.clone(), bad]);
        let failure = failure(foo(&mut world));
        assert_eq!((failure.reason, failure.attempts), (Reason::Throttled, 3));
        assert_eq!(
            world.clock.slept(),
            [Duration::from_millis(500), Duration::from_secs(1)]
        );
    }
}

#[test]
fn permanent_failures_are_not_retried() {
    let hopeless = [
        status(301),
        status(400),
        status(403),
        status(404),
        status(405),
        status(408),
        status(501),
        Err(TransportError::Denied("x")),
        Err(TransportError::Malformed("x")),
        Err(TransportError::TooLong(1)),
    ];
    for bad in hopeless {
        let sent = u32::from(bad != Err(TransportError::Denied("x")));
        let mut world = World::playing([token("t1", 60), bad.clone()]);
        assert_eq!(failure(foo(&mut world)).attempts, sent, "{bad:?}");
        assert!(world.clock.slept().is_empty());
        let mut world = World::playing([bad.clone()]);
        assert_eq!(failure(foo(&mut world)).attempts, sent, "{bad:?}");
    }
}

#[test]
fn a_request_that_the_host_does_not_send_is_not_counted() {
    let refused = || Err(TransportError::Denied("not to this address"));
    for (answers, step, sent) in [
        (vec![refused()], Step::Token, 0),
        (vec![token("t1", 60), refused()], Step::RoleList, 1),
    ] {
        let mut world = World::playing(answers);
        let failure = failure(ready(world.instance.get_credentials()));
        assert_eq!((failure.reason, failure.step), (Reason::Denied, step));
        assert_eq!(failure.message, "not to this address");
        assert_eq!(failure.attempts, 0);
        let requests = world.instance.status().requests;
        assert_eq!((requests.token, requests.role_list), (sent, 0));
    }
}

#[test]
fn attempts_are_counted_for_the_token_and_for_the_path_separately() {
    for attempts in [1, 2, 5] {
        let mut world = World::new(move |request| match request.starts_with("PUT") {
            true => token("t1", 60),
            false => REFUSED,
        });
        let options = Options {
            attempts: Some(attempts),
            operation_timeout: Some(600_000),
            ..Options::default()
        };
        world.instance.configure(options.clone()).unwrap();
        assert_eq!(failure(foo(&mut world)).attempts, attempts);
        assert_eq!(world.imds.requests().len() as u32, 1 + attempts);

        let mut world = World::new(|_| REFUSED);
        world.instance.configure(options).unwrap();
        let failure = failure(foo(&mut world));
        assert_eq!((failure.step, failure.attempts), (Step::Token, attempts));
        assert_eq!(world.imds.requests().len() as u32, attempts);
    }
}

#[test]
fn retry_after_is_honoured_unless_it_leads_past_the_deadline() {
    let throttled = |seconds: &str| {
        status(429).map(|response| Response {
            headers: vec![("retry-after", seconds.into())],
            ..response
        })
    };
    let mut world = World::playing([token("t1", 60), throttled("2"), ok("bar")]);
    assert_eq!(foo(&mut world).unwrap(), "bar");
    assert_eq!(world.clock.slept(), [2 * SECOND]);

    let mut world = World::playing([token("t1", 60), throttled("5")]);
    let failure = failure(foo(&mut world));
    assert_eq!((failure.reason, failure.attempts), (Reason::Throttled, 1));
    assert_eq!(failure.elapsed, Duration::ZERO, "it says so at once");
}

#[test]
fn a_look_up_ends_at_its_deadline_and_reports_the_last_failure() {
    let mut world = World::playing([NO_RESPONSE, NO_RESPONSE, NO_RESPONSE]);
    let silent = failure(foo(&mut world));
    assert_eq!(
        (silent.reason, silent.step, silent.attempts),
        (Reason::Timeout, Step::Token, 3)
    );
    assert!(silent.elapsed <= 5 * SECOND, "{:?}", silent.elapsed);

    // Token and path each take all attempts, and the failure reports the status, not the deadline
    // (unlike Go, Q21).
    let mut world = World::playing([
        NO_RESPONSE,
        NO_RESPONSE,
        token("t1", 60),
        status(500),
        status(500),
    ]);
    let options = Options {
        operation_timeout: Some(4900),
        ..Options::default()
    };
    world.instance.configure(options).unwrap();
    world.dice.load(0.99);
    let failed = failure(foo(&mut world));
    assert_eq!(
        (failed.reason, failed.status, failed.attempts),
        (Reason::Unavailable, Some(500), 2)
    );
    assert!(failed.elapsed <= 5 * SECOND, "{:?}", failed.elapsed);
}

#[test]
fn the_remaining_lifetime_in_a_response_shortens_that_of_the_token() {
    let remaining = |seconds| token("bar", seconds);
    let mut world = World::playing([
        token("t1", 21_600),
        remaining(300),
        ok("bar"),
        token("t2", 60),
        ok("bar"),
    ]);
    foo(&mut world).unwrap();
    assert_eq!(
        world
            .instance
            .status()
            .session
            .unwrap()
            .held()
            .unwrap()
            .expires(),
        at(300).unwrap()
    );
    world.clock.advance(Duration::from_secs(179));
    foo(&mut world).unwrap();
    world.clock.advance(SECOND);
    foo(&mut world).unwrap();
    assert_eq!(
        world.imds.requests(),
        [
            TOKEN,
            &format!("{FOO} t1"),
            &format!("{FOO} t1"),
            TOKEN,
            &format!("{FOO} t2")
        ]
    );
}

#[test]
fn status_reports_when_the_token_was_received_and_expires() {
    let mut world = World::playing([token("t1", 60), ok("bar")]);
    world.clock.advance(10 * SECOND);
    foo(&mut world).unwrap();
    let status = world.instance.status();
    let held = status.session.unwrap().held().unwrap();
    assert_eq!(Some(held.received()), at(10));
    assert_eq!(Some(held.expires()), at(70));
}

#[test]
fn under_never_no_request_is_sent_without_a_token() {
    for bad in [
        status(400),
        status(401),
        status(403),
        status(404),
        status(405),
        status(429),
        status(500),
        NO_RESPONSE,
        REFUSED,
        ok(""),
    ] {
        let answers = bad.clone();
        let mut world = World::new(move |request| {
            assert_eq!(request, TOKEN);
            answers.clone()
        });
        for _ in 0..3 {
            assert_eq!(failure(foo(&mut world)).step, Step::Token, "{bad:?}");
        }
    }
}

#[test]
fn under_on_refusal_only_a_refused_token_leads_to_imdsv1() {
    for code in [403, 404, 405] {
        let mut world = under(
            Imdsv1Policy::OnRefusal,
            [status(code), ok("bar"), ok("bar")],
        );
        foo(&mut world).unwrap();
        foo(&mut world).unwrap();
        assert_eq!(world.imds.requests(), [TOKEN, FOO, FOO]);
        let instance_status = world.instance.status();
        assert_eq!(instance_status.answered, Some(Version::V1));
        let (since, cause) = instance_status.session.unwrap().fallback().unwrap();
        assert_eq!((Some(*since), cause.status), (at(0), Some(code)));
    }
    for bad in [
        status(400),
        status(401),
        status(429),
        status(500),
        NO_RESPONSE,
        REFUSED,
        ok(""),
    ] {
        let answers = bad.clone();
        let mut world = under(Imdsv1Policy::OnRefusal, []);
        world.imds.replace(move |request| {
            assert_eq!(request, TOKEN);
            answers.clone()
        });
        assert_eq!(failure(foo(&mut world)).step, Step::Token, "{bad:?}");
    }
}

#[test]
fn under_on_any_failure_imdsv1_follows_the_last_attempt() {
    // For this request only: there is a server, which may issue a token next time.
    for (bad, attempts) in [
        (status(401), 1),
        (status(408), 1),
        (status(429), 3),
        (status(500), 3),
        (ok(""), 1),
    ] {
        let answers =
            vec![bad.clone(); attempts]
                .into_iter()
                .chain([ok("bar"), token("t1", 60), ok("bar")]);
        let mut world = under(Imdsv1Policy::OnAnyFailure, answers);
        foo(&mut world).unwrap();
        foo(&mut world).unwrap();
        let expected = vec![TOKEN; attempts]
            .into_iter()
            .chain([FOO, TOKEN])
            .map(String::from)
            .chain([format!("{FOO} t1")]);
        assert_eq!(
            world.imds.requests(),
            expected.collect::<Vec<_>>(),
            "{bad:?}"
        );
        assert_eq!(
            world.instance.status().session.unwrap().fallback(),
            None,
            "a token is held again"
        );
    }
    // For later requests too: there is no server.
    for bad in [NO_RESPONSE, REFUSED] {
        let answers = vec![bad.clone(); 3]
            .into_iter()
            .chain([ok("bar"), ok("bar")]);
        let mut world = under(Imdsv1Policy::OnAnyFailure, answers);
        foo(&mut world).unwrap();
        foo(&mut world).unwrap();
        assert_eq!(
            world.imds.requests(),
            [TOKEN, TOKEN, TOKEN, FOO, FOO],
            "{bad:?}"
        );
    }
}

#[test]
fn a_look_up_that_reaches_its_time_limit_does_not_fall_back() {
    let mut world = World::playing([NO_RESPONSE, token("t1", 60), ok("bar")]);
    let options = Options {
        imdsv1: Some(Imdsv1Policy::OnAnyFailure),
        operation_timeout: Some(500),
        ..Options::default()
    };
    world.instance.configure(options).unwrap();
    assert_eq!(failure(foo(&mut world)).reason, Reason::Timeout);
    assert_eq!(world.instance.status().session.unwrap().fallback(), None);
    assert_eq!(foo(&mut world).unwrap(), "bar");
    assert_eq!(world.imds.requests(), [TOKEN, TOKEN, &format!("{FOO} t1")]);
}

#[test]
fn a_401_or_the_lifetime_of_a_token_ends_imdsv1() {
    let mut world = under(
        Imdsv1Policy::OnRefusal,
        [
            status(403),
            ok("bar"), // downgraded
            status(401),
            token("t1", 60),
            ok("bar"), // and back, within the call
        ],
    );
    foo(&mut world).unwrap();
    assert_eq!(foo(&mut world).unwrap(), "bar");
    assert_eq!(
        world.imds.requests(),
        [TOKEN, FOO, FOO, TOKEN, &format!("{FOO} t1")]
    );
    assert_eq!(world.instance.status().answered, Some(Version::V2));

    let mut world = under(
        Imdsv1Policy::OnRefusal,
        [
            status(403),
            ok("bar"),
            ok("bar"),
            token("t1", 60),
            ok("bar"),
        ],
    );
    foo(&mut world).unwrap();
    world.clock.advance(6 * HOUR - MINUTE);
    foo(&mut world).unwrap();
    world.clock.advance(MINUTE);
    foo(&mut world).unwrap();
    assert_eq!(
        world.imds.requests(),
        [TOKEN, FOO, FOO, TOKEN, &format!("{FOO} t1")]
    );
}

#[test]
fn an_error_is_the_same_for_one_second_without_a_request() {
    let mut world = World::playing([
        status(403),
        status(403),
        token("t1", 60),
        ok("role"),
        document("a", 1800),
    ]);
    let first = ready(world.instance.get_credentials()).unwrap_err();
    assert_eq!(world.imds.requests(), [TOKEN]);
    world.clock.advance(Duration::from_millis(999));
    assert_eq!(ready(world.instance.get_credentials()), Err(first));
    assert!(world.imds.requests().is_empty());
    world.clock.advance(Duration::from_millis(1));
    ready(world.instance.get_credentials()).unwrap_err();
    assert_eq!(world.imds.requests(), [TOKEN]);
    // After `invalidate`, the next call sends a request.
    world.instance.invalidate();
    assert_eq!(
        ready(world.instance.get_credentials())
            .unwrap()
            .access_key_id,
        "id-a"
    );
    assert_eq!(
        world.imds.requests(),
        [TOKEN, &format!("{LIST} t1"), &format!("{LIST}role t1")]
    );
}
