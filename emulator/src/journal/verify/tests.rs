use chrono::DateTime;

use super::*;
use crate::journal::Outcome;
use crate::request::TokenState;

/// A request that arrived this number of milliseconds after the first, and was answered at once.
fn exchange(number: u64, client: u8, came: u64) -> Arc<Exchange> {
    Arc::new(Exchange {
        number,
        at: DateTime::from_timestamp_millis(came as i64).unwrap(),
        uptime_ms: came,
        client: [127, 0, 0, client].into(),
        connection: Some(number),
        process: None,
        method: "GET".into(),
        path: "/".into(),
        imds: ImdsVersion::V1,
        token: TokenState::None,
        lifetime: None,
        user_agent: None,
        forwarded: false,
        rules: Vec::new(),
        outcome: Outcome::Answered,
        status: Some(503),
        bytes: 0,
        duration_ms: 0.0,
    })
}

/// The numbers of the exchanges that violate an assertion, and the reason.
fn against(assertion: &Assertion, all: &[Arc<Exchange>]) -> (Vec<u64>, String) {
    let evidence = Evidence {
        exchanges: all.to_vec(),
        dropped: 0,
        samples: Vec::new(),
        recorded: Recorded {
            processes: true,
            packets: true,
        },
    };
    let (wrong, why) = assertion.wrong(&Key::root("x"), &evidence).unwrap();
    let wrong = wrong.unwrap_or_default();
    (wrong.iter().map(|exchange| exchange.number).collect(), why)
}

#[test]
fn of_two_times_with_as_many_requests_the_first_one_is_told() {
    let all: Vec<_> = [0, 500, 1000, 5000, 5500]
        .into_iter()
        .zip(1..)
        .map(|(came, number)| exchange(number, 1, came))
        .collect();
    let within = Some(Span::seconds(1));
    let max = |max| {
        Assertion::MaxRequests(MaxRequests {
            max,
            within,
            filter: Filter::default(),
        })
    };
    assert_eq!(against(&max(0), &all).0, [1, 2]);
    assert_eq!(
        against(&max(1), &all),
        (vec![2], "2 requests within 1s".into())
    );
    assert!(against(&max(2), &all).0.is_empty());
}

#[test]
fn each_client_waits_from_its_own_response_on() {
    let back_off = serde_json::from_str(r#"{"backs_off_after": {"status": 503}}"#).unwrap();
    let mut late = Exchange::clone(&exchange(1, 1, 0));
    late.duration_ms = 50.0;
    let mut all = vec![late.into(), exchange(2, 2, 10), exchange(3, 1, 149)];
    let why = "3 responses with 503; after 1 of them the next request came in less than 100ms";
    assert_eq!(against(&back_off, &all), (vec![3], why.into()));
    all[2] = exchange(3, 1, 150);
    assert!(against(&back_off, &all).0.is_empty());
}
