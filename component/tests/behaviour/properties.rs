//! Invariants that hold for any sequence of responses, calls and clock changes.

use std::time::Duration;

use ec2_role_component::config::{Imdsv1Policy, Options, RefreshPolicy};
use ec2_role_component::imds::client::Tree;
use ec2_role_component::ports::{Clock as _, Response, TransportError};
use ec2_role_component::time::UnixTime;
use proptest::collection::vec;
use proptest::prelude::*;

use super::support::{Outcome, START, World, ready};

/// A response, before it is known when IMDS sends it.
#[derive(Clone, Debug)]
enum Answer {
    /// A valid response to any request. Credentials expire `life` seconds later.
    Good {
        ttl: u32,
        life: i64,
    },
    Status(u16),
    Body(Vec<u8>),
    Error(TransportError),
}

fn answer() -> impl Strategy<Value = Answer> {
    let good =
        (0_u32..22_000, -7200_i64..30_000).prop_map(|(ttl, life)| Answer::Good { ttl, life });
    let status = prop_oneof![
        Just(401),
        Just(403),
        Just(404),
        Just(405),
        Just(429),
        Just(500),
        Just(503),
        100_u16..600
    ];
    let error = prop_oneof![
        Just(TransportError::Denied("x")),
        Just(TransportError::Unavailable("x")),
        Just(TransportError::Timeout("x")),
        Just(TransportError::TooLong(1)),
        Just(TransportError::Malformed("x")),
    ];
    prop_oneof![
        4 => good,
        3 => status.prop_map(Answer::Status),
        1 => vec(any::<u8>(), 0..64).prop_map(Answer::Body),
        2 => error.prop_map(Answer::Error),
    ]
}

#[derive(Clone, Debug)]
enum Event {
    GetCredentials,
    Retrieve,
    Metadata,
    Invalidate,
    Reject,
    Advance(u64),
    Jump(i64),
    Dice(f64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => Just(Event::GetCredentials),
        1 => Just(Event::Retrieve),
        1 => Just(Event::Metadata),
        1 => Just(Event::Invalidate),
        1 => Just(Event::Reject),
        4 => prop_oneof![0_u64..5, 0_u64..1000, 0_u64..20_000].prop_map(Event::Advance),
        1 => prop_oneof![Just(3600_i64), Just(-3600), -100_000_i64..100_000].prop_map(Event::Jump),
        2 => (0.0..1.0_f64).prop_map(Event::Dice),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    let policy = prop_oneof![
        Just(Imdsv1Policy::Never),
        Just(Imdsv1Policy::OnRefusal),
        Just(Imdsv1Policy::OnAnyFailure)
    ];
    let refresh = prop_oneof![Just(RefreshPolicy::Classic), Just(RefreshPolicy::Windowed)];
    let window = prop::option::of(0_u64..7_200_000);
    let bound = prop::option::of(0_u64..7_200_000);
    (
        policy,
        refresh,
        window,
        0_u32..=100,
        1_u32..=5,
        bound,
        any::<bool>(),
    )
        .prop_map(
            |(policy, refresh, window, jitter, attempts, bound, extended)| Options {
                imdsv1: Some(policy),
                refresh_policy: Some(refresh),
                expiry_window: window,
                expiry_window_jitter: Some(jitter),
                attempts: Some(attempts),
                max_extension: bound,
                extended_path: Some(extended),
                ..Options::default()
            },
        )
}

fn good(request: &str, ttl: u32, expires: UnixTime) -> Response {
    let (headers, body) = if request.starts_with("PUT") {
        let headers = vec![("x-aws-ec2-metadata-token-ttl-seconds", ttl.to_string())];
        (headers, "token".to_owned())
    } else if request
        .split(' ')
        .nth(1)
        .is_some_and(|path| path.ends_with('/'))
    {
        (Vec::new(), "role".to_owned())
    } else {
        let expires = i64::try_from(expires.seconds()).unwrap();
        let expires = chrono::DateTime::from_timestamp(expires, 0).unwrap();
        let document = format!(
            r#"{{"Code":"Success","AccessKeyId":"id","SecretAccessKey":"the-secret","Token":"the-session","Expiration":"{}"}}"#,
            expires.format("%Y-%m-%dT%H:%M:%SZ")
        );
        (Vec::new(), document)
    };
    Response {
        status: 200,
        headers,
        body: body.into_bytes(),
    }
}

/// IMDS sends these responses, and is unavailable after the last one.
fn world(answers: Vec<Answer>) -> World {
    let mut answers = answers.into_iter();
    let mut world = World::playing([]);
    let clock = world.clock.clone();
    world.imds.replace(move |request| -> Outcome {
        match answers.next() {
            Some(Answer::Good { ttl, life }) => {
                let by = Duration::from_secs(life.unsigned_abs());
                let expires = match life < 0 {
                    true => clock.wall().saturating_sub(by),
                    false => clock.wall().saturating_add(by),
                };
                Ok(good(request, ttl, expires))
            }
            Some(Answer::Status(status)) => Ok(Response {
                status,
                headers: Vec::new(),
                // Not by itself, because it could be the name of a role.
                body: br#"{"SecretAccessKey":"the-secret"}"#.to_vec(),
            }),
            Some(Answer::Body(body)) => Ok(Response {
                status: 200,
                headers: Vec::new(),
                body,
            }),
            Some(Answer::Error(error)) => Err(error),
            None => Err(TransportError::Unavailable("no response")),
        }
    });
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(
        options in options(),
        answers in vec(answer(), 0..60),
        events in vec(event(), 1..60),
    ) {
        let mut world = world(answers);
        world.instance.configure(options.clone()).unwrap();
        let attempts = usize::try_from(options.attempts.unwrap()).unwrap();
        // A list and a document; on the extended path three of each, and the plain list.
        let look_ups = if options.extended_path.unwrap() { 7 } else { 2 };
        for event in events {
            let began = world.clock.monotonic();
            let outcome = match event {
                Event::GetCredentials => ready(world.instance.get_credentials()).map(Some),
                Event::Retrieve => ready(world.instance.retrieve()).map(|_| None),
                Event::Metadata => ready(world.instance.text(Tree::Metadata, "x")).map(|_| None),
                Event::Invalidate => {
                    world.instance.invalidate();
                    continue;
                }
                Event::Reject => {
                    world.instance.reject("id");
                    continue;
                }
                Event::Advance(seconds) => {
                    world.clock.advance(Duration::from_secs(seconds));
                    continue;
                }
                Event::Jump(seconds) => {
                    world.clock.jump(seconds);
                    continue;
                }
                Event::Dice(next) => {
                    world.dice.load(next);
                    continue;
                }
            };
            let requests = world.imds.requests();

            // The number of requests is limited: all attempts for two tokens (the second one after a
            // 401), and one more for the path.
            prop_assert!(requests.len() <= look_ups * (3 * attempts + 1), "{requests:?}");
            let took = world.clock.monotonic().since(began);
            prop_assert!(took <= Duration::from_secs(5) * u32::try_from(look_ups).unwrap(), "{took:?}");

            // IMDSv1 only if the policy allows it.
            if options.imdsv1 == Some(Imdsv1Policy::Never) {
                prop_assert!(requests.iter().all(|request| request.starts_with("PUT") || request.split(' ').count() == 3));
            }

            match outcome {
                Ok(Some(credentials)) => {
                    let now = world.clock.wall();
                    let expires = credentials.expires.unwrap();
                    prop_assert!(credentials.refresh_after <= expires);
                    let status = world.instance.status();
                    let held = status.held.unwrap();
                    if options.refresh_policy == Some(RefreshPolicy::Classic) {
                        prop_assert!(now < expires, "handed out past their expiration");
                    } else {
                        // Past their expiration only while refreshes fail.
                        prop_assert!(now < expires || status.record.failing_since.is_some());
                    }
                    // Past the expiration in the document only while refreshes fail, and within
                    // `max_extension`.
                    if held.document_expires <= now {
                        prop_assert!(status.record.failing_since.is_some());
                        prop_assert!(held.extensions > 0);
                        if let Some(bound) = options.max_extension {
                            prop_assert!(now < held.document_expires.saturating_add(Duration::from_millis(bound)));
                        }
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    let text = format!("{error} {error:?} {:?}", world.instance.status().record);
                    prop_assert!(!text.contains("the-secret") && !text.contains("the-session"), "{text}");
                }
            }
        }
    }

    #[test]
    fn any_body_leads_to_a_value_or_an_error(
        token in vec(any::<u8>(), 0..100),
        list in prop_oneof![Just(b"role".to_vec()), vec(any::<u8>(), 0..100)],
        document in prop_oneof![vec(any::<u8>(), 0..300), "\\PC{0,200}".prop_map(String::into_bytes), jsonish()],
    ) {
        for token in [b"token".to_vec(), token] {
            let bodies = [token, list.clone(), document.clone()];
            let mut world = world(bodies.into_iter().map(Answer::Body).collect());
            if let Ok(credentials) = ready(world.instance.get_credentials()) {
                prop_assert!(credentials.expires.is_some_and(|expires| expires > UnixTime::from_seconds(START)));
            }
        }
        let mut world = world(vec![Answer::Body(b"token".to_vec()), Answer::Body(document.clone()), Answer::Body(document.clone()), Answer::Body(document)]);
        let _ = ready(world.instance.identity_document());
        let _ = ready(world.instance.iam_info());
        let _ = ready(world.instance.text(Tree::Metadata, "x"));
    }

    #[test]
    fn any_path_stays_below_its_root(path in "\\PC{0,60}") {
        let endpoint: ec2_role_component::imds::endpoint::Endpoint = "http://host/base".parse().unwrap();
        let whole = endpoint.path("latest/meta-data", &path);
        prop_assert!(whole.starts_with("/base/latest/meta-data"), "{whole}");
        let below = &whole["/base/latest/meta-data".len()..];
        prop_assert!(below.is_empty() || below.starts_with('/'), "{whole}");
        prop_assert!(!whole.contains("//") && !whole.split('/').any(|segment| segment == ".." || segment == "."), "{whole}");
        prop_assert!(whole.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'?' && byte != b'#'), "{whole}");
    }

    #[test]
    fn any_text_as_an_endpoint_is_rejected_or_printed_unchanged(text in "(http://)?[a-z0-9.:/\\[\\]@?#%-]{0,30}") {
        if let Ok(endpoint) = text.parse::<ec2_role_component::imds::endpoint::Endpoint>() {
            prop_assert_eq!(endpoint.to_string(), text.trim_end_matches('/'));
        }
    }
}

/// JSON objects that resemble credentials documents.
fn jsonish() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![
        Just("Code"),
        Just("code"),
        Just("AccessKeyId"),
        Just("SecretAccessKey"),
        Just("Token"),
        Just("Expiration"),
        Just("region"),
        Just("billingProducts"),
        Just("x")
    ];
    let value = prop_oneof![
        Just(r#""Success""#),
        Just(r#""2026-01-01T00:30:00Z""#),
        Just(r#""2026-01-01T00:30:00.123+05:00""#),
        Just(r#""9999999-01-01T00:30:00Z""#),
        Just("null"),
        Just("1e999"),
        Just("-0"),
        Just("[\"a\",[[]],{\"b\":{}}]"),
        Just("{\"Code\":\"Success\"}"),
        Just("\"\\ud83d\\ude00\""),
        Just("\"\\ud800\"")
    ];
    vec((name, value), 0..9).prop_map(|fields| {
        let fields: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        format!("{{{}}}", fields.join(",")).into_bytes()
    })
}
