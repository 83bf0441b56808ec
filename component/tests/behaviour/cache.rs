//! The held credentials: both refresh policies, failures, clocks that jump `[B5.1]` to `[B5.9]`.

use std::iter::repeat_n;
use std::time::Duration;

use ec2_role_component::config::{Options, RefreshPolicy};
use ec2_role_component::credentials::Credentials;
use ec2_role_component::error::Reason;

use super::support::{
    HOUR, LIST, MINUTE, Outcome, SECOND, START, World, at, document, failure, ok, ready, status,
    token,
};

/// An instance with a configured role that receives these documents or errors one by one.
fn cached<I>(options: Options, documents: I) -> World
where
    I: IntoIterator<Item = Outcome, IntoIter: 'static>,
{
    let mut documents = documents.into_iter();
    let mut world = World::new(move |request| match request.starts_with("PUT") {
        true => token("t1", 21_600),
        false => documents.next().expect("a document too few"),
    });
    let options = Options {
        role_name: Some("role".into()),
        ..options
    };
    world.instance.configure(options).unwrap();
    world
}

fn windowed() -> Options {
    Options {
        refresh_policy: Some(RefreshPolicy::Windowed),
        ..Options::default()
    }
}

fn window(minutes: u64, jitter: u32) -> Options {
    Options {
        expiry_window: Some(minutes * 60_000),
        expiry_window_jitter: Some(jitter),
        ..Options::default()
    }
}

fn get(world: &mut World) -> Credentials {
    ready(world.instance.get_credentials()).unwrap()
}

/// The number of document requests since the last call.
fn requested(world: &World) -> usize {
    world
        .imds
        .requests()
        .iter()
        .filter(|request| request.contains(LIST))
        .count()
}

/// IMDS is unavailable, with a failure that is not retried.
fn unavailable() -> Outcome {
    status(501)
}

#[test]
fn credentials_are_held_until_they_expire_and_the_token_longer() {
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
fn without_imds_credentials_are_extended_and_status_reports_it() {
    let mut world = World::playing([
        token("t1", 21_600),
        ok("role"),
        document("a", 1800),
        status(501),
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
        unavailable(),
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

#[test]
fn a_window_makes_credentials_expire_earlier_and_leaves_them_five_minutes() {
    for (left, minutes, jitter, dice, expires) in [
        (60, 5, 0, 0.0, 55 * 60),
        (60, 5, 0, 0.9, 55 * 60),
        (60, 5, 50, 0.0, 55 * 60),
        (60, 5, 50, 0.5, 56 * 60 + 15),
        (60, 5, 100, 0.999_999, 59 * 60 + 59),
        (30, 10, 0, 0.0, 20 * 60),
        (30, 20, 0, 0.0, 10 * 60),
        (30, 40, 0, 0.0, 5 * 60), // Go: ten minutes ago
        (14, 20, 0, 0.0, 14 * 60),
        (3, 20, 0, 0.0, 3 * 60),
        (60, 0, 100, 0.5, 60 * 60),
    ] {
        let mut world = cached(window(minutes, jitter), [document("a", left * 60)]);
        world.dice.load(dice);
        let credentials = get(&mut world);
        assert_eq!(
            credentials.expires,
            at(expires),
            "{left} {minutes} {jitter} {dice}"
        );
        assert_eq!(Some(credentials.refresh_after), at(expires));
        get(&mut world);
        assert_eq!(requested(&world), 1, "and they are held");
    }
}

#[test]
fn extensions_are_unlimited_and_counted() {
    let mut world = cached(
        Options::default(),
        [document("a", 600)]
            .into_iter()
            .chain(repeat_n(unavailable(), 10_000)),
    );
    get(&mut world);
    world.clock.advance(10 * MINUTE);
    for n in 1..=100 {
        let credentials = get(&mut world);
        assert_eq!(credentials.access_key_id, "id-a");
        assert_eq!(credentials.expires, at(600 + 300 * u64::from(n)));
        assert_eq!(world.instance.status().held.unwrap().extensions, n);
        assert_eq!(world.instance.status().record.failing_since, at(600));
        world.clock.advance(5 * MINUTE - SECOND);
        get(&mut world);
        assert_eq!(
            requested(&world),
            if n == 1 { 2 } else { 1 },
            "one exchange an extension"
        );
        world.clock.advance(SECOND);
    }
}

#[test]
fn extensions_end_at_max_extension() {
    let bounded = |policy| Options {
        max_extension: Some(12 * 60_000),
        refresh_policy: Some(policy),
        ..Options::default()
    };
    for policy in [RefreshPolicy::Classic, RefreshPolicy::Windowed] {
        let mut world = cached(
            bounded(policy),
            [document("a", 600)]
                .into_iter()
                .chain(repeat_n(unavailable(), 10_000)),
        );
        get(&mut world);
        let mut last = 0;
        for second in 0..3600 {
            if ready(world.instance.get_credentials()).is_ok() {
                last = second;
            }
            world.clock.advance(SECOND);
        }
        assert_eq!(last, 600 + 12 * 60 - 1, "{policy:?}");
    }
    let mut world = cached(bounded(RefreshPolicy::Classic), [document("a", -12 * 60)]);
    assert_eq!(
        failure(ready(world.instance.get_credentials())).reason,
        Reason::Expired
    );
}

#[test]
fn credentials_received_expired_are_extended_and_reported() {
    let mut world = cached(
        Options::default(),
        [document("a", -60), document("b", 0), document("c", 3600)],
    );
    let first = get(&mut world);
    assert_eq!((&*first.access_key_id, first.expires), ("id-a", at(300)));
    let instance_status = world.instance.status();
    assert_eq!(instance_status.held.unwrap().extensions, 1);
    assert_eq!(
        instance_status.held.unwrap().document_expires.seconds(),
        START - 60
    );
    let (_, cause) = instance_status.record.last_failure.as_ref().unwrap();
    assert_eq!(cause.failure().unwrap().reason, Reason::Expired);
    assert_eq!(instance_status.record.last_success, None);
    for _ in 0..10 {
        get(&mut world);
    }
    assert_eq!(requested(&world), 1, "not two requests a call, as in Go");

    world.clock.advance(5 * MINUTE);
    let second = get(&mut world);
    assert_eq!(
        (&*second.access_key_id, second.expires),
        ("id-b", at(600)),
        "newer, though over"
    );
    assert_eq!(world.instance.status().held.unwrap().extensions, 2);
    world.clock.advance(5 * MINUTE);
    assert_eq!(get(&mut world).access_key_id, "id-c");
    assert_eq!(world.instance.status().held.unwrap().extensions, 0);
}

#[test]
fn of_two_that_expire_together_the_later_received_is_extended() {
    let mut world = cached(Options::default(), [document("a", 600), document("b", 600)]);
    get(&mut world);
    world.clock.advance(10 * MINUTE);
    let extended = get(&mut world);
    assert_eq!(
        (&*extended.access_key_id, extended.expires),
        ("id-b", at(900)),
        "what IMDS gives now is more likely to be good"
    );
}

#[test]
fn without_held_credentials_every_failure_is_an_error() {
    let mut world = cached(Options::default(), vec![unavailable(); 3]);
    for _ in 0..3 {
        ready(world.instance.get_credentials()).unwrap_err();
        world.clock.advance(SECOND);
    }
    assert_eq!(requested(&world), 3);
    assert_eq!(world.instance.status().record.failing_since, at(0));
}

#[test]
fn windowed_refreshes_in_the_advisory_window() {
    for (life, advisory) in [(20, 5), (21, 15), (60, 15)] {
        let mut world = cached(windowed(), [document("a", life * 60), document("b", 7200)]);
        let first = get(&mut world);
        let due = u64::try_from(life).unwrap() * 60 - advisory * 60;
        assert_eq!(
            first.expires,
            at(u64::try_from(life).unwrap() * 60),
            "the end is never changed"
        );
        assert_eq!(Some(first.refresh_after), at(due));
        world.clock.advance(Duration::from_secs(due - 1));
        assert_eq!(get(&mut world), first);
        world.clock.advance(SECOND);
        assert_eq!(get(&mut world).access_key_id, "id-b");
    }
}

#[test]
fn windowed_uses_the_configured_window_if_it_is_shorter_than_the_lifetime() {
    for (minutes, jitter, dice, due) in [
        (10, 0, 0.0, 50 * 60),
        (10, 50, 0.5, 52 * 60 + 30),
        (0, 0, 0.0, 3600),
        (60, 0, 0.0, 1800),
        (90, 0, 0.0, 1800),
    ] {
        let options = Options {
            refresh_policy: Some(RefreshPolicy::Windowed),
            ..window(minutes, jitter)
        };
        let mut world = cached(options, [document("a", 3600)]);
        world.dice.load(dice);
        assert_eq!(
            Some(get(&mut world).refresh_after),
            at(due),
            "{minutes} {jitter}"
        );
    }
}

#[test]
fn windowed_leaves_credentials_unchanged_and_backs_off_after_a_failure() {
    let mut world = cached(
        windowed(),
        [
            document("a", 1200),
            unavailable(),
            unavailable(),
            document("b", 7200),
        ],
    );
    let first = get(&mut world);
    world.clock.advance(15 * MINUTE);
    world.dice.load(0.5);
    let kept = get(&mut world);
    assert_eq!(
        (kept.access_key_id, kept.expires),
        (first.access_key_id, first.expires)
    );
    assert_eq!(
        Some(kept.refresh_after),
        first.expires,
        "promised until their end and no longer"
    );
    assert_eq!(requested(&world), 2);
    world.clock.advance(Duration::from_secs(449));
    let expired = get(&mut world);
    assert_eq!(
        expired.expires, first.expires,
        "over by now, and handed out during the pause"
    );
    assert_eq!(requested(&world), 0);
    world.clock.advance(SECOND);
    get(&mut world);
    assert_eq!(requested(&world), 1);
    assert_eq!(world.instance.status().held.unwrap().extensions, 2);
    world.clock.advance(Duration::from_secs(450));
    assert_eq!(get(&mut world).access_key_id, "id-b");
    assert_eq!(world.instance.status().record.failing_since, None);
}

#[test]
fn windowed_treats_expired_credentials_as_a_failure() {
    let mut world = cached(windowed(), [document("a", 1200), document("b", 600)]);
    get(&mut world);
    world.clock.advance(15 * MINUTE);
    assert_eq!(
        get(&mut world).access_key_id,
        "id-a",
        "the held credentials expire later"
    );
    let (_, cause) = world.instance.status().record.last_failure.clone().unwrap();
    assert_eq!(cause.failure().unwrap().reason, Reason::Expired);
}

#[test]
fn a_rejected_key_is_replaced_but_not_within_the_back_off_of_windowed() {
    let mut world = cached(
        windowed(),
        [document("a", 1200), unavailable(), document("b", 7200)],
    );
    get(&mut world);
    world.clock.advance(15 * MINUTE);
    get(&mut world);
    world.instance.reject("id-a");
    get(&mut world);
    assert_eq!(requested(&world), 2);
    world.clock.advance(5 * MINUTE);
    assert_eq!(get(&mut world).access_key_id, "id-b");

    let mut world = cached(windowed(), [document("a", 1200), document("b", 7200)]);
    get(&mut world);
    world.instance.reject("id-other");
    assert_eq!(get(&mut world).access_key_id, "id-a");
    world.instance.reject("id-a");
    assert_eq!(
        world.instance.status().held.unwrap().credentials.expires,
        at(0)
    );
    assert_eq!(get(&mut world).access_key_id, "id-b");
}

#[test]
fn a_wall_clock_that_is_set_back_does_not_lock_the_cache() {
    for options in [Options::default(), windowed()] {
        for jump in [-3600, -86_400 * 365] {
            let mut world = cached(options.clone(), [document("a", 3600), document("b", 7200)]);
            get(&mut world);
            world.clock.jump(jump);
            assert_eq!(get(&mut world).access_key_id, "id-a");
            world.clock.advance(HOUR);
            assert_eq!(get(&mut world).access_key_id, "id-b", "{jump}");
        }
    }
}

#[test]
fn after_a_clock_set_back_a_failure_is_followed_by_a_back_off() {
    let mut world = cached(
        Options::default(),
        [document("a", 3600), unavailable(), unavailable()],
    );
    get(&mut world);
    world.clock.jump(-3600);
    world.clock.advance(HOUR);
    for _ in 0..10 {
        get(&mut world);
    }
    assert_eq!(requested(&world), 2, "the first, and one that failed");
    world.clock.advance(5 * MINUTE);
    get(&mut world);
    assert_eq!(requested(&world), 1);
}

#[test]
fn a_wall_clock_that_is_set_forward_makes_credentials_expire() {
    for options in [Options::default(), windowed()] {
        let mut world = cached(options, [document("a", 1800), document("b", 7200)]);
        get(&mut world);
        world.clock.jump(3600);
        assert_eq!(
            get(&mut world).access_key_id,
            "id-b",
            "by the new time, the first have expired"
        );
    }
}

#[test]
fn a_machine_that_slept_gets_new_credentials() {
    // The monotonic clock stops meanwhile.
    let mut world = cached(
        Options::default(),
        [document("a", 1800), document("b", 90_000)],
    );
    get(&mut world);
    world.clock.jump(86_400);
    assert_eq!(get(&mut world).access_key_id, "id-b");
}
