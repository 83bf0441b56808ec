//! Timelines: what happens when, after which requests, and by hand.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test")]
#![allow(
    dead_code,
    reason = "the bench is shared with the tests of the protocol"
)]

#[path = "protocol/bench.rs"]
mod bench;

use bench::{Bench, LIST, NOT_FOUND, OK, UNAUTHORIZED};
use imds_emulator::config::{Config, Span};
use imds_emulator::fault::{Fault, Rule};
use imds_emulator::timeline::{On, StepState, TimelineStep};
use imds_emulator::{Command, Outcome, Preset, StepError};

const ROLE: &str = "/latest/meta-data/iam/security-credentials/emulated-role";

impl Bench {
    fn state(&self, at: usize) -> StepState {
        self.imds.timeline()[at].state.clone()
    }
}

#[tokio::test]
async fn steps_are_taken_at_their_times_even_if_nobody_asked_in_between() {
    let bench = Bench::configured(
        r#"
        instance.life-cycle = "spot"
        [[timeline]]
        name = "notice"
        at = "10m"
        do = [{ change = { events = { spot-interruption = { action = "terminate" } } } }]
        [[timeline]]
        name = "recommendation"
        at = "5m"
        do = [{ change = { events = { rebalance-recommendation = {} } } }]
        "#,
    )
    .await;
    let (action, rebalance) = (
        "meta-data/spot/instance-action",
        "meta-data/events/recommendations/rebalance",
    );
    assert!(!bench.has(action).await && !bench.has(rebalance).await);
    bench.pass(299);
    assert!(!bench.has(rebalance).await);
    assert_eq!(bench.state(1), StepState::Pending);
    // Long after both.
    bench.pass(3600);
    assert_eq!(
        bench.value(rebalance).await,
        r#"{"noticeTime": "2026-01-02T03:09:05Z"}"#
    );
    assert_eq!(
        bench.value(action).await,
        r#"{"action": "terminate", "time": "2026-01-02T03:16:05Z"}"#
    );
    let taken = "2026-01-02T03:14:05Z".parse().unwrap();
    assert_eq!(bench.state(0), StepState::Done(taken));
}

#[tokio::test]
async fn steps_are_taken_after_requests() {
    let bench = Bench::configured(
        r#"
        [[timeline]]
        name = "after the first token"
        on = { token = 1 }
        do = [{ fault = { name = "no tokens", fault = { type = "token_unavailable" } } }]
        [[timeline]]
        name = "after the third read"
        on = { credentials = 3 }
        do = ["rotate_credentials", { heal = "no tokens" }]
        [[timeline]]
        name = "after two 404"
        on = { request = { of = { status = 404, path = "/latest/meta-data/**" }, nth = 2 } }
        do = [{ preset = "role-detached" }]
        "#,
    )
    .await;
    let token = bench.token("21600").await.body;
    assert_eq!(bench.token("60").await.status, NOT_FOUND);
    let first = bench.get(ROLE, &token).await.body;
    bench.get(LIST, &token).await;
    assert_eq!(bench.get(ROLE, &token).await.body, first);
    assert_eq!(bench.imds.timeline()[1].seen, 2);
    assert_eq!(bench.get(ROLE, &token).await.body, first);
    assert_ne!(bench.get(ROLE, &token).await.body, first);
    assert_eq!(bench.token("60").await.status, OK);
    for _ in 0..2 {
        assert_eq!(bench.get(LIST, &token).await.status, OK);
        bench.get("/latest/meta-data/none", &token).await;
    }
    assert_eq!(bench.get(LIST, &token).await.status, NOT_FOUND);
}

#[tokio::test]
async fn nothing_but_a_token_that_was_given_counts_as_one() {
    let bench = Bench::configured(
        r#"
        [[faults]]
        name = "odd"
        match = { path = "/latest/meta-data/odd" }
        fault = { type = "status", code = 200 }
        [[timeline]]
        name = "after the second token"
        on = { token = 2 }
        do = []
        "#,
    )
    .await;
    let seen = || bench.imds.timeline()[0].seen;
    bench.token("21601").await;
    assert_eq!(seen(), 0, "refused");
    let token = bench.token("60").await.body;
    assert_eq!(seen(), 1);
    assert_eq!(bench.get(LIST, &token).await.status, OK);
    let put = bench.ask("PUT /latest/meta-data/odd HTTP/1.1").await;
    assert_eq!(put.status, OK);
    assert_eq!(seen(), 1, "no tokens");
    // Another notation of the path.
    let put = "PUT //latest/api/token/ HTTP/1.1\nX-aws-ec2-metadata-token-ttl-seconds: 60";
    assert_eq!(bench.ask(put).await.status, OK);
    assert_eq!(bench.state(0), StepState::Done(bench.clock.now()));
}

#[tokio::test]
async fn every_action_does_what_it_says() {
    let bench = Bench::configured(
        r#"
        [[timeline]]
        name = "options"
        do = [{ change = { metadata-options = { HttpTokens = "optional" }, instance = { tags = { new = "tag" } } } }]
        [[timeline]]
        name = "fault"
        do = [{ fault = { name = "gone", fault = { type = "endpoint_disabled" } } }]
        [[timeline]]
        name = "heal"
        do = [{ heal = "gone" }, { heal = "none" }]
        [[timeline]]
        name = "preset"
        do = [{ preset = "imdsv2-only" }]
        [[timeline]]
        name = "remove"
        do = [{ remove_preset = "imdsv2-only" }]
        [[timeline]]
        name = "all"
        do = ["heal_all", "revoke_tokens", { scenario = { name = "mine", state = "over" } }]
        "#,
    )
    .await;
    let take = |name: &str| bench.imds.take_step(name).unwrap();
    let status = async || bench.ask(&format!("GET {LIST} HTTP/1.1")).await.status;
    assert_eq!(status().await, UNAUTHORIZED);
    take("options");
    assert_eq!(status().await, OK);
    assert_eq!(bench.value("meta-data/tags/instance/new").await, "tag");
    take("fault");
    assert_eq!(status().await, "HTTP/1.1 403 Forbidden");
    take("heal");
    assert_eq!(status().await, OK);
    take("preset");
    assert_eq!(status().await, UNAUTHORIZED);
    take("remove");
    assert_eq!(status().await, OK);
    let token = bench.token("60").await.body;
    take("fault");
    take("all");
    assert_eq!(status().await, OK);
    assert_eq!(bench.get(LIST, &token).await.status, UNAUTHORIZED);
    assert_eq!(bench.imds.scenario("mine"), "over");
}

#[tokio::test]
async fn what_goes_wrong_is_told() {
    let bench = Bench::new().await;
    let fault = serde_json::from_str::<Command>(
        r#"{"fault": {"name": "twice", "fault": {"type": "blackhole"}}}"#,
    )
    .unwrap();
    let steps = vec![
        TimelineStep::new("one", vec![fault.clone()]),
        TimelineStep::new("two", vec![fault]).at(Span::minutes(1)),
    ];
    bench.imds.set_timeline(steps).unwrap();
    assert_eq!(
        bench.imds.take_step("none"),
        Err(StepError::Unknown("none".into()))
    );
    bench.imds.take_step("one").unwrap();
    bench.pass(60);
    let StepState::Failed(why) = bench.state(1) else {
        panic!("{:?}", bench.state(1));
    };
    assert!(why.contains("a name that no other rule has"), "{why}");
}

#[tokio::test]
async fn a_time_counts_from_when_the_timeline_was_set() {
    let bench = Bench::new().await;
    bench.pass(1000);
    let step = TimelineStep::new("heal", vec![Command::HealAll]).at(Span::seconds(10));
    bench.imds.set_timeline(vec![step]).unwrap();
    bench.pass(9);
    assert_eq!(bench.state(0), StepState::Pending);
    bench.pass(1);
    assert_eq!(bench.state(0), StepState::Done(bench.clock.now()));
}

#[tokio::test]
async fn what_is_due_happens_before_a_command() {
    let bench = Bench::new().await;
    let step = TimelineStep::new("heal", vec![Command::HealAll]).at(Span::minutes(1));
    bench.imds.set_timeline(vec![step]).unwrap();
    bench.pass(3600);
    bench
        .imds
        .put_fault(Rule::new("late", Fault::blackhole()))
        .unwrap();
    assert_eq!(bench.imds.faults().len(), 1);
}

#[tokio::test]
async fn commands_say_whether_there_was_something_to_do() {
    let bench = Bench::new().await;
    let apply = |command| bench.imds.apply(command).unwrap();
    for (command, outcome) in [
        (Command::Heal("none".into()), Outcome::Absent),
        (Command::TakeStep("none".into()), Outcome::Absent),
        (Command::RemovePreset(Preset::Throttled), Outcome::Absent),
        (
            Command::RemovePreset(Preset::SpotInterruption),
            Outcome::Absent,
        ),
        (Command::Preset(Preset::Throttled), Outcome::Done),
        (Command::Preset(Preset::SpotInterruption), Outcome::Done),
        (Command::RemovePreset(Preset::Throttled), Outcome::Done),
        (
            Command::RemovePreset(Preset::SpotInterruption),
            Outcome::Done,
        ),
        (Command::HealAll, Outcome::Done),
    ] {
        let text = format!("{command:?}");
        assert_eq!(apply(command), outcome, "{text}");
    }
    assert_eq!(bench.imds.config().events.spot_interruption, None);
}

#[tokio::test]
async fn nobody_sees_half_a_preset() {
    let bench = Bench::new().await;
    let control = bench.imds.control().clone();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let watcher = std::thread::spawn(move || {
        let mut seen = std::collections::BTreeSet::new();
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            seen.insert(control.faults().len());
        }
        seen
    });
    for _ in 0..500 {
        bench.imds.preset(Preset::Imdsv1Only).unwrap();
        assert!(bench.imds.remove_preset(Preset::Imdsv1Only));
    }
    drop(stop);
    assert_eq!(watcher.join().unwrap(), [0, 2].into());
}

#[tokio::test]
async fn a_timeline_has_only_commands_that_a_file_can_have() {
    let bench = Bench::new().await;
    for command in [
        Command::Reset,
        Command::ClearJournal,
        Command::TakeStep("x".into()),
        Command::SetTimeline(Vec::new()),
    ] {
        let step = TimelineStep::new("x", vec![Command::RevokeTokens, command]);
        let error = bench.imds.set_timeline(vec![step]).unwrap_err();
        assert_eq!(error.key(), "timeline[0].do[1]", "{error}");
    }
    assert!(bench.imds.timeline().is_empty());
}

#[test]
fn a_step_waits_for_one_request_unless_it_says_how_many() {
    let step = "[[timeline]]\nname = \"x\"\non = { request = {} }\ndo = []";
    let config = Config::from_toml(step).unwrap();
    let Some(On::Request(request)) = &config.timeline[0].on else {
        panic!("it waits for requests")
    };
    assert_eq!(request.nth, 1);
}

#[test]
fn steps_that_cannot_be_taken_are_refused_at_the_start() {
    for (step, key) in [
        (r#"name = """#, "timeline[0].name"),
        (
            "name = \"x\"\nat = \"1m\"\non = { token = 1 }",
            "timeline[0]: ",
        ),
        (
            "name = \"x\"\ndo = [{ change = { server = {} } }]",
            "timeline[0].do[0].change.server",
        ),
        (
            "name = \"x\"\ndo = [{ change = { instance = { account-id = \"12\" } } }]",
            "timeline[0].do[0].change.instance.account-id: \"12\"",
        ),
        (
            "name = \"x\"\ndo = [{ change = { instance = { account = \"12\" } } }]",
            "timeline[0].do[0].change.instance.account",
        ),
        (
            "name = \"x\"\ndo = [{ fault = { name = \"\", fault = { type = \"blackhole\" } } }]",
            "timeline[0].do[0].fault.name",
        ),
        (
            "name = \"x\"\non = { request = { of = { path = \"[\" } } }",
            "timeline[0].on.request.of.path",
        ),
    ] {
        let actions = if step.contains("do =") { "" } else { "do = []" };
        let error = Config::from_toml(&format!("[[timeline]]\n{step}\n{actions}")).unwrap_err();
        assert!(error.to_string().contains(key), "{key}: {error}");
    }
}
