//! The events that are announced to the instance.

use chrono::{DateTime, NaiveDateTime, Utc};
use futures_util::FutureExt as _;
use imds_emulator::config::{SpotAction, TargetLifecycleState};
use serde_json::{Map, Value};

use crate::scenario::Weight::{May, Must, Should};

use super::credentials::{date, has_texts, json, text};
use super::instance::{TREE, one_of};
use super::wire::Response;
use super::{Check, Judged, NotPassed, Server, expect, not_applicable};

/// The lists of maintenance: that which is to come, and that which is completed or canceled.
const LISTS: [&str; 2] = [
    "/latest/meta-data/events/maintenance/scheduled",
    "/latest/meta-data/events/maintenance/history",
];

pub(super) fn checks() -> Vec<Check> {
    vec![
        Check::new(
            "event/spot",
            Must,
            "spot/instance-action is 404, or has an action and a time",
            &["I35", "I54"],
            |imds| spot(imds).boxed(),
        ),
        Check::new(
            "event/spot-listed",
            Should,
            "spot/ is listed if an interruption is announced, and only then",
            &["I35"],
            |imds| spot_listed(imds).boxed(),
        ),
        Check::new(
            "event/spot-termination-time",
            Should,
            "spot/termination-time exists if the action is terminate, and only then",
            &["I55"],
            |imds| spot_time(imds).boxed(),
        )
        .formerly(&["event/spot-time"]),
        Check::new(
            "event/rebalance",
            Should,
            "The rebalance recommendation is 404, or has a noticeTime",
            &["I35", "I56"],
            |imds| rebalance(imds).boxed(),
        ),
        Check::new(
            "event/times",
            May,
            "The times of an interruption and of a recommendation are whole seconds in UTC, with Z",
            &["I54", "I56"],
            |imds| times(imds).boxed(),
        ),
        Check::new(
            "event/maintenance",
            Should,
            "Scheduled maintenance is a list of events",
            &["I57"],
            |imds| maintenance(imds).boxed(),
        ),
        Check::new(
            "event/maintenance-times",
            Should,
            "NotBefore of maintenance, and NotAfter unless the event has no end, are times with GMT",
            &["I57"],
            |imds| maintenance_times(imds).boxed(),
        ),
        Check::new(
            "event/maintenance-no-end",
            May,
            "Maintenance with the code instance-stop has no NotAfter",
            &["I57"],
            |imds| no_end(imds).boxed(),
        ),
        Check::new(
            "event/maintenance-layout",
            May,
            "Maintenance is indented by two spaces, with the brackets of the list beside its braces",
            &["I57"],
            |imds| maintenance_layout(imds).boxed(),
        ),
        Check::new(
            "event/auto-scaling",
            Should,
            "target-lifecycle-state is 404, or has a valid value",
            &["I35", "I58"],
            |imds| {
                one_of(
                    imds,
                    "meta-data/autoscaling/target-lifecycle-state",
                    TargetLifecycleState::ALL,
                )
                .boxed()
            },
        ),
    ]
}

async fn spot(imds: &Server) -> Judged {
    let response = imds.get(&format!("{TREE}spot/instance-action")).await?;
    response.has_status_of(&[200, 404])?;
    if response.status == 404 {
        return Ok(());
    }
    let document = json(&response).unwrap_or_default();
    let action = text(&document, "action").unwrap_or_default();
    let is_action = SpotAction::ALL.iter().any(|one| one.to_string() == action);
    expect(
        is_action && date(&document, "time").is_some(),
        "404, or an object with an action and a time",
        response.told(),
    )
}

/// The action of the announced interruption, if there is one.
async fn announced(imds: &Server) -> Result<Option<String>, NotPassed> {
    let response = imds.get(&format!("{TREE}spot/instance-action")).await?;
    match response.status {
        200 => {
            let document = json(&response).unwrap_or_default();
            Ok(Some(
                text(&document, "action").unwrap_or_default().to_owned(),
            ))
        }
        404 => Ok(None),
        _ => not_applicable("spot/instance-action cannot be read"),
    }
}

async fn spot_listed(imds: &Server) -> Judged {
    let there = announced(imds).await?.is_some();
    imds.agrees(TREE, "spot", there).await
}

async fn spot_time(imds: &Server) -> Judged {
    let expected = match announced(imds).await?.as_deref() {
        Some("terminate") => 200,
        _ => 404,
    };
    let response = imds.get(&format!("{TREE}spot/termination-time")).await?;
    response.has_status(expected)
}

async fn rebalance(imds: &Server) -> Judged {
    let response = imds
        .get(&format!("{TREE}events/recommendations/rebalance"))
        .await?;
    response.has_status_of(&[200, 404])?;
    let document = json(&response).unwrap_or_default();
    expect(
        response.status == 404 || date(&document, "noticeTime").is_some(),
        "404, or an object with a noticeTime",
        response.told(),
    )
}

async fn times(imds: &Server) -> Judged {
    let mut found = false;
    for (path, name) in [
        ("spot/instance-action", "time"),
        ("events/recommendations/rebalance", "noticeTime"),
    ] {
        let response = imds.get(&format!("{TREE}{path}")).await?;
        let document = json(&response).filter(|_| response.status == 200);
        let Some(time) = document.as_ref().and_then(|document| text(document, name)) else {
            continue;
        };
        found = true;
        let is_whole = NaiveDateTime::parse_from_str(time, "%Y-%m-%dT%H:%M:%SZ").is_ok();
        expect(
            is_whole && time.len() == "2026-01-02T03:04:05Z".len(),
            format!("a {name} like 2026-01-02T03:04:05Z"),
            time,
        )?;
    }
    match found {
        true => Ok(()),
        false => not_applicable("neither an interruption nor a recommendation is announced"),
    }
}

async fn maintenance(imds: &Server) -> Judged {
    let response = imds
        .if_there(&format!("{TREE}events/maintenance/scheduled"))
        .await?;
    let Ok(Value::Array(events)) = serde_json::from_slice(&response.body) else {
        return expect(false, "a JSON array", response.told());
    };
    for event in &events {
        let event = event.as_object().cloned().unwrap_or_default();
        has_texts(
            &event,
            &["NotBefore", "Code", "Description", "EventId", "State"],
        )?;
    }
    Ok(())
}

/// The events of both lists, each with the response that it is from.
async fn maintenance_events(
    imds: &Server,
) -> Result<Vec<(Response, Map<String, Value>)>, NotPassed> {
    let mut events = Vec::new();
    for path in LISTS {
        let response = imds.if_there(path).await?;
        if let Ok(Value::Array(listed)) = serde_json::from_slice(&response.body) {
            let objects = listed.into_iter().filter_map(|event| match event {
                Value::Object(fields) => Some((response.clone(), fields)),
                _ => None,
            });
            events.extend(objects);
        }
    }
    match events.is_empty() {
        true => not_applicable("there is no maintenance"),
        false => Ok(events),
    }
}

/// The time of a maintenance event, such as `21 Jan 2019 09:00:43 GMT`.
fn maintenance_time(text: &str) -> Option<DateTime<Utc>> {
    let time = NaiveDateTime::parse_from_str(text, "%d %b %Y %H:%M:%S GMT").ok()?;
    // The day has no leading zero.
    let time = time.and_utc();
    (time.format("%-d %b %Y %H:%M:%S GMT").to_string() == text).then_some(time)
}

async fn maintenance_times(imds: &Server) -> Judged {
    for (_, event) in maintenance_events(imds).await? {
        let expected = "a time like 9 Jan 2019 09:00:43 GMT";
        let value = text(&event, "NotBefore").unwrap_or("no NotBefore");
        let begin = maintenance_time(value);
        expect(begin.is_some(), format!("NotBefore: {expected}"), value)?;
        // Without an end, the field is missing or an empty text.
        let Some(value) = event.get("NotAfter").filter(|value| *value != "") else {
            continue;
        };
        let end = value.as_str().and_then(maintenance_time);
        expect(
            end.is_some(),
            format!("NotAfter: {expected}"),
            value.to_string(),
        )?;
        expect(
            end >= begin,
            "a NotAfter that is not earlier than NotBefore",
            value.to_string(),
        )?;
    }
    Ok(())
}

async fn no_end(imds: &Server) -> Judged {
    let events = maintenance_events(imds).await?;
    let mut stops = events
        .iter()
        .filter(|(_, event)| text(event, "Code") == Some("instance-stop"))
        .peekable();
    if stops.peek().is_none() {
        return not_applicable("there is no maintenance with the code instance-stop");
    }
    for (_, event) in stops {
        let end = event.get("NotAfter");
        expect(
            end.is_none(),
            "no NotAfter",
            end.map(Value::to_string).unwrap_or_default(),
        )?;
    }
    Ok(())
}

async fn maintenance_layout(imds: &Server) -> Judged {
    for (response, event) in maintenance_events(imds).await? {
        let text = response.text();
        let mut lines = text.lines();
        let brackets = lines.next() == Some("[ {") && lines.last() == Some("} ]");
        let fields = event.keys().all(|name| {
            let begin = format!("  \"{name}\" : ");
            text.lines().any(|line| line.starts_with(&begin))
        });
        expect(
            brackets && fields,
            "`[ {`, lines like `  \"Code\" : \"instance-stop\",` and `} ]`",
            response.told(),
        )?;
    }
    Ok(())
}
