//! `[I54]` to `[I58]`: events, which are fixed in time once they are announced.

use imds_emulator::config::{
    Maintenance, MaintenanceCode, MaintenanceState, SpotAction, SpotInterruption,
    TargetLifecycleState,
};

use crate::bench::Bench;

const ACTION: &str = "meta-data/spot/instance-action";
const TERMINATION: &str = "meta-data/spot/termination-time";
const REBALANCE: &str = "meta-data/events/recommendations/rebalance";
const SCHEDULED: &str = "meta-data/events/maintenance/scheduled";
const HISTORY: &str = "meta-data/events/maintenance/history";

#[tokio::test]
async fn rule_54_a_notice_appears_and_its_time_stays() {
    let bench = Bench::configured(
        "
        instance.life-cycle = 'spot'
        [events.spot-interruption]
        action = 'terminate'
        announced = '+1m'
        ",
    )
    .await;
    assert_eq!(bench.value("meta-data/instance-life-cycle").await, "spot");
    bench.pass(59);
    for path in [ACTION, TERMINATION, "meta-data/spot/"] {
        assert!(!bench.has(path).await, "{path}");
    }
    bench.pass(1);
    for _ in 0..3 {
        assert_eq!(
            bench.value(ACTION).await,
            r#"{"action": "terminate", "time": "2026-01-02T03:07:05Z"}"#
        );
        assert_eq!(
            bench.value(TERMINATION).await,
            "2026-01-02T03:07:05Z",
            "[I55]"
        );
        bench.pass(100);
    }
    assert_eq!(
        bench.value("meta-data/spot/").await,
        "instance-action\ntermination-time"
    );
}

#[tokio::test]
async fn rules_54_and_55_other_actions_have_no_termination_time() {
    for (action, time) in [
        (SpotAction::Stop, "03:06:05Z"),
        (SpotAction::Hibernate, "03:04:05Z"),
    ] {
        let bench = Bench::configured("instance.life-cycle = 'spot'").await;
        assert!(!bench.has(ACTION).await, "which is the healthy response");
        bench
            .imds
            .change(|config| {
                config.events.spot_interruption = Some(SpotInterruption::new(action));
            })
            .unwrap();
        assert_eq!(
            bench.value(ACTION).await,
            format!(r#"{{"action": "{}", "time": "2026-01-02T{time}"}}"#, action)
        );
        assert!(!bench.has(TERMINATION).await);
        // Time passes, and something else is changed.
        bench.pass(1000);
        bench
            .imds
            .change(|config| config.instance.ami_launch_index = 1)
            .unwrap();
        assert!(bench.value(ACTION).await.contains(time));
        bench
            .imds
            .change(|config| config.events.spot_interruption = None)
            .unwrap();
        assert!(!bench.has(ACTION).await);
    }
}

#[tokio::test]
async fn rule_55_a_termination_time_can_be_in_the_past_or_no_time() {
    let bench = Bench::configured(
        "
        instance.life-cycle = 'spot'
        events.spot-interruption = { action = 'terminate', time = 2026-01-01T00:00:00Z }
        ",
    )
    .await;
    assert_eq!(bench.value(TERMINATION).await, "2026-01-01T00:00:00Z");
    let bench = Bench::configured("data.'meta-data/spot/termination-time' = 'not a time'").await;
    assert_eq!(bench.value(TERMINATION).await, "not a time");
}

#[tokio::test]
async fn rule_56_a_recommendation_to_rebalance() {
    let bench = Bench::configured("events.rebalance-recommendation = { announced = '+30s' }").await;
    assert!(!bench.has(REBALANCE).await);
    assert!(
        !bench
            .value("meta-data/events/")
            .await
            .contains("recommendations")
    );
    bench.pass(30);
    for _ in 0..2 {
        assert_eq!(
            bench.value(REBALANCE).await,
            r#"{"noticeTime": "2026-01-02T03:04:35Z"}"#
        );
        bench.pass(1);
    }
}

#[tokio::test]
async fn rule_57_maintenance_is_scheduled_and_then_history() {
    let bench = Bench::new().await;
    assert_eq!(bench.value(SCHEDULED).await, "[]");
    assert_eq!(bench.value(HISTORY).await, "[]");
    let put = |state| {
        bench
            .imds
            .change(|config| {
                let mut event = Maintenance::new(MaintenanceCode::SystemReboot);
                event.event_id = Some("instance-event-0d59937288b749b32".into());
                event.not_before = Some("2026-01-21T09:00:43Z".parse().unwrap());
                event.not_after = Some("2026-01-21T11:00:43Z".parse().unwrap());
                event.state = state;
                config.events.maintenance = vec![event];
            })
            .unwrap();
    };
    put(MaintenanceState::Active);
    assert_eq!(
        bench.value(SCHEDULED).await,
        r#"[ {
  "NotBefore" : "21 Jan 2026 09:00:43 GMT",
  "Code" : "system-reboot",
  "Description" : "scheduled reboot",
  "EventId" : "instance-event-0d59937288b749b32",
  "NotAfter" : "21 Jan 2026 11:00:43 GMT",
  "State" : "active"
} ]"#
    );
    assert_eq!(bench.value(HISTORY).await, "[]");
    for (state, text, prefix) in [
        (MaintenanceState::Completed, "completed", "[Completed] "),
        (MaintenanceState::Canceled, "canceled", "[Canceled] "),
    ] {
        put(state);
        assert_eq!(bench.value(SCHEDULED).await, "[]");
        let history = bench.read(&format!("/latest/{HISTORY}")).await.json();
        assert_eq!(history[0]["State"], text);
        assert_eq!(
            history[0]["Description"],
            format!("{prefix}scheduled reboot")
        );
        assert_eq!(history[0]["NotBefore"], "21 Jan 2026 09:00:43 GMT");
    }
}

#[tokio::test]
async fn rule_57_the_default_times_are_fixed_when_it_is_announced() {
    let bench = Bench::configured(
        "
        [[events.maintenance]]
        code = 'instance-retirement'
        announced = '+1h'
        ",
    )
    .await;
    assert_eq!(bench.value(SCHEDULED).await, "[]");
    bench.pass(3600);
    let scheduled = bench.value(SCHEDULED).await;
    assert!(
        scheduled.contains("\"9 Jan 2026 04:04:05 GMT\""),
        "{scheduled}"
    );
    bench.pass(3600);
    assert_eq!(bench.value(SCHEDULED).await, scheduled);
}

#[tokio::test]
async fn rule_57_several_events_are_one_list() {
    let bench = Bench::configured(
        "
        [[events.maintenance]]
        code = 'system-reboot'
        [[events.maintenance]]
        code = 'instance-reboot'
        ",
    )
    .await;
    let scheduled = bench.read(&format!("/latest/{SCHEDULED}")).await;
    assert_eq!(scheduled.json().as_array().unwrap().len(), 2);
    assert!(scheduled.body.contains("\"active\"\n}, {\n  \"NotBefore\""));
}

#[tokio::test]
async fn rule_58_the_target_state_in_an_autoscaling_group() {
    const PATH: &str = "meta-data/autoscaling/target-lifecycle-state";
    let bench = Bench::new().await;
    assert!(!bench.has(PATH).await, "outside a group");
    assert!(!bench.value("meta-data/").await.contains("autoscaling"));
    for (state, text) in [
        (TargetLifecycleState::Detached, "Detached"),
        (TargetLifecycleState::InService, "InService"),
        (TargetLifecycleState::Standby, "Standby"),
        (TargetLifecycleState::Terminated, "Terminated"),
        (TargetLifecycleState::WarmedHibernated, "Warmed:Hibernated"),
        (TargetLifecycleState::WarmedRunning, "Warmed:Running"),
        (TargetLifecycleState::WarmedStopped, "Warmed:Stopped"),
        (TargetLifecycleState::WarmedTerminated, "Warmed:Terminated"),
    ] {
        bench
            .imds
            .change(|config| config.instance.auto_scaling = Some(state))
            .unwrap();
        assert_eq!(bench.value(PATH).await, text);
    }
}
