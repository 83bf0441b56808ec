//! The documents of events `[I54]` to `[I57]`. Once an event is announced, its times stay the same.

use chrono::{DateTime, TimeDelta, Utc};

use crate::documents::{list, seconds, text};
use crate::instance::{
    End, Maintenance, MaintenanceState, RebalanceRecommendation, SpotAction, SpotInterruption,
};
use crate::value::Moment;

/// The document of an event, and when the document last changed.
pub(crate) struct Event {
    pub(crate) document: String,
    pub(crate) since: DateTime<Utc>,
}

/// The interruption of a spot instance, once it is announced `[I54]`.
pub(crate) fn spot_action(interruption: &SpotInterruption, now: DateTime<Utc>) -> Option<Event> {
    let (since, time) = times(interruption, now)?;
    Some(Event {
        document: format!(
            "{{\"action\": {}, \"time\": {}}}",
            text(interruption.action),
            text(seconds(time))
        ),
        since,
    })
}

/// The time at which a spot instance is terminated, once the termination is announced `[I55]`.
pub(crate) fn spot_termination(
    interruption: &SpotInterruption,
    now: DateTime<Utc>,
) -> Option<Event> {
    let (since, time) = times(interruption, now)?;
    (interruption.action == SpotAction::Terminate).then(|| Event {
        document: seconds(time),
        since,
    })
}

/// When an interruption is announced, and when it happens. `None` until it is announced.
fn times(
    interruption: &SpotInterruption,
    now: DateTime<Utc>,
) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let since = announced(interruption.announced, now)?;
    let lead = match interruption.action {
        SpotAction::Stop | SpotAction::Terminate => TimeDelta::minutes(2),
        SpotAction::Hibernate => TimeDelta::zero(),
    };
    Some((since, later(interruption.time, since, lead, now)))
}

/// The recommendation to rebalance, once it is announced `[I56]`.
pub(crate) fn rebalance(
    recommendation: &RebalanceRecommendation,
    now: DateTime<Utc>,
) -> Option<Event> {
    let since = announced(recommendation.announced, now)?;
    Some(Event {
        document: format!("{{\"noticeTime\": {}}}", text(seconds(since))),
        since,
    })
}

/// The announced maintenance in the states that `includes` accepts `[I57]`, if there is any.
pub(crate) fn maintenance(
    events: &[Maintenance],
    includes: fn(MaintenanceState) -> bool,
    now: DateTime<Utc>,
) -> Option<Event> {
    let shown: Vec<(usize, &Maintenance, DateTime<Utc>)> = events
        .iter()
        .enumerate()
        .filter(|(_, event)| includes(event.state))
        .filter_map(|(at, event)| Some((at, event, announced(event.announced, now)?)))
        .collect();
    let objects: Vec<_> = shown
        .iter()
        .map(|(at, event, since)| fields(*at, event, *since, now))
        .collect();
    Some(Event {
        document: list(&objects),
        since: shown.iter().map(|(.., since)| *since).max()?,
    })
}

/// The fields of the maintenance event that has the index `at` in the configuration.
fn fields(
    at: usize,
    event: &Maintenance,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Vec<(&'static str, String)> {
    let written = |moment: DateTime<Utc>| text(moment.format("%-d %b %Y %H:%M:%S GMT"));
    let begin = later(event.not_before, since, TimeDelta::days(7), now);
    let end = match event.not_after {
        Some(End::Missing) => None,
        Some(End::Empty) => Some(text("")),
        Some(End::At(moment)) => Some(written(moment.after(now))),
        None => event
            .code
            .has_end()
            .then(|| written(later(None, begin, TimeDelta::hours(2), now))),
    };
    let prefix = match event.state {
        MaintenanceState::Active => "",
        MaintenanceState::Completed => "[Completed] ",
        MaintenanceState::Canceled => "[Canceled] ",
    };
    let description = event
        .description
        .as_deref()
        .unwrap_or(event.code.description());
    let id = event
        .event_id
        .clone()
        .unwrap_or_else(|| format!("instance-event-{:017x}", at + 1));
    let mut fields = vec![
        ("NotBefore", written(begin)),
        ("Code", text(event.code)),
        ("Description", text(format_args!("{prefix}{description}"))),
        ("EventId", text(id)),
    ];
    fields.extend(end.map(|end| ("NotAfter", end)));
    fields.push(("State", text(event.state)));
    fields
}

/// The moment of the announcement, or `None` if it is in the future.
fn announced(moment: Moment, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let moment = moment.after(now);
    (moment <= now).then_some(moment)
}

/// The configured moment. Default: `lead` after `since`.
fn later(
    moment: Option<Moment>,
    since: DateTime<Utc>,
    lead: TimeDelta,
    now: DateTime<Utc>,
) -> DateTime<Utc> {
    match moment {
        Some(moment) => moment.after(now),
        None => since
            .checked_add_signed(lead)
            .unwrap_or(DateTime::<Utc>::MAX_UTC),
    }
}
