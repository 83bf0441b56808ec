//! A metadata client of the embedder `[B7.1]` to `[B7.4]`.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Waker};

use ec2_role_component::config::Options;
use ec2_role_component::custom_client::{ClientError, CustomClient, CustomClientPort};
use ec2_role_component::error::{Error, Reason, Step};
use ec2_role_component::instance::Instance;
use ec2_role_component::metadata::RequestCounts;

use crate::support::{HOUR, LoadedDice, ManualClock, SECOND, document, failure, ready};

const LIST: &str = "iam/security-credentials/";
const DOCUMENT: &str = "iam/security-credentials/role";

type Asked = Result<Vec<u8>, ClientError>;

struct Port<F> {
    clock: ManualClock,
    answer: F,
}

impl<F: FnMut(&str) -> Asked> CustomClientPort for Port<F> {
    async fn get_metadata(&mut self, path: &str) -> Asked {
        self.clock.advance(SECOND);
        (self.answer)(path)
    }
}

fn instance<F: FnMut(&str) -> Asked>(
    answer: F,
) -> Instance<CustomClient<Port<F>, ManualClock>, ManualClock, LoadedDice> {
    let clock = ManualClock::default();
    let port = Port {
        clock: clock.clone(),
        answer,
    };
    let client = CustomClient::new(port, clock.clone());
    Instance::with_client(client, clock, LoadedDice::default())
}

fn healthy(path: &str) -> Asked {
    match path {
        LIST => Ok(b"role".to_vec()),
        DOCUMENT => Ok(document("a", 3600).unwrap().body),
        _ => Err(ClientError::Status(404)),
    }
}

#[test]
fn each_look_up_calls_the_client_once_and_is_counted() {
    let mut instance = instance(healthy);
    for _ in 0..2 {
        let credentials = ready(instance.get_credentials()).unwrap();
        assert_eq!(credentials.access_key_id, "id-a");
    }
    let status = instance.status();
    let counts = RequestCounts {
        role_list: 1,
        role_credentials: 1,
        ..RequestCounts::default()
    };
    assert_eq!(status.requests, counts);
    assert_eq!(status.answered, None);
    assert!(status.session.is_none());
}

#[test]
fn errors_of_the_client_have_the_reasons_of_the_built_in_client() {
    let words = || "a\nlong story ".repeat(100);
    for (error, reason, status) in [
        (ClientError::Denied(words()), Reason::Denied, None),
        (ClientError::Unavailable(words()), Reason::Unavailable, None),
        (ClientError::Timeout(words()), Reason::Timeout, None),
        (
            ClientError::InvalidResponse(words()),
            Reason::InvalidResponse,
            None,
        ),
        (ClientError::Status(403), Reason::Forbidden, Some(403)),
        (ClientError::Status(404), Reason::NoRole, Some(404)),
        (ClientError::Status(429), Reason::Throttled, Some(429)),
        (ClientError::Status(500), Reason::Unavailable, Some(500)),
        (
            ClientError::Status(302),
            Reason::UnexpectedStatus,
            Some(302),
        ),
    ] {
        let mut instance = instance(|path| match path {
            LIST => Ok(b"role".to_vec()),
            _ => Err(error.clone()),
        });
        let failure = failure(ready(instance.get_credentials()));
        assert_eq!(failure.reason, reason, "{error:?}");
        assert_eq!(failure.step, Step::RoleCredentials);
        assert_eq!(failure.status, status);
        assert_eq!(failure.attempts, 1);
        assert_eq!(failure.elapsed, SECOND);
        if status.is_none() {
            let said = failure
                .message
                .strip_prefix("the metadata client says: ")
                .unwrap();
            assert!(said.starts_with("a long story a"), "{said}");
            assert_eq!(said.chars().count(), 200);
        }
    }
}

#[test]
fn errors_that_are_not_failures_of_an_exchange_are_passed_on() {
    let mut disabled = instance(|_| Err(ClientError::Disabled));
    assert_eq!(ready(disabled.get_credentials()), Err(Error::Disabled));
    let mut other = instance(|_| Err(ClientError::Other("odd".into())));
    let expected = Error::Other("the metadata client says: odd".into());
    assert_eq!(ready(other.get_credentials()), Err(expected));
}

#[test]
fn bodies_from_the_client_are_limited() {
    for (length, fits) in [(64 * 1024, true), (64 * 1024 + 1, false)] {
        let mut instance = instance(|path| {
            let mut body = healthy(path)?;
            // White space before a document is accepted.
            body.splice(0..0, vec![b' '; length - body.len()]);
            Ok(body)
        });
        match ready(instance.get_credentials()) {
            Ok(_) => assert!(fits),
            Err(error) => {
                assert!(!fits);
                let failure = failure::<()>(Err(error));
                assert_eq!(failure.reason, Reason::InvalidResponse);
                assert_eq!(failure.message, "the body is longer than 65536 bytes");
            }
        }
    }
}

/// `[B7.2]`
#[test]
fn options_of_the_built_in_client_are_unsupported_and_all_others_apply() {
    let mut instance = instance(healthy);
    for (name, options) in [
        (
            "endpoint",
            Options {
                endpoint: Some("http://127.0.0.1".into()),
                ..Options::default()
            },
        ),
        (
            "endpoint-mode",
            Options {
                endpoint_mode: Some(Default::default()),
                ..Options::default()
            },
        ),
        (
            "imdsv1",
            Options {
                imdsv1: Some(Default::default()),
                ..Options::default()
            },
        ),
        (
            "connect-timeout",
            Options {
                connect_timeout: Some(1),
                ..Options::default()
            },
        ),
        (
            "read-timeout",
            Options {
                read_timeout: Some(1),
                ..Options::default()
            },
        ),
        (
            "operation-timeout",
            Options {
                operation_timeout: Some(1),
                ..Options::default()
            },
        ),
        (
            "attempts",
            Options {
                attempts: Some(1),
                ..Options::default()
            },
        ),
        (
            "token-ttl",
            Options {
                token_ttl: Some(1),
                ..Options::default()
            },
        ),
    ] {
        let Err(Error::Unsupported(words)) = instance.configure(options) else {
            panic!("{name}")
        };
        assert!(
            words.starts_with(&format!(
                "option {name} configures the built-in IMDS client"
            )),
            "{words}"
        );
    }
    let role = Options {
        role_name: Some("other".into()),
        ..Options::default()
    };
    instance.configure(role).unwrap();
    let missing = failure(ready(instance.get_credentials()));
    assert_eq!(missing.reason, Reason::NoRole);
    let disabled = Options {
        disabled: Some(true),
        ..Options::default()
    };
    instance.configure(disabled).unwrap();
    assert_eq!(ready(instance.get_credentials()), Err(Error::Disabled));
    assert_eq!(instance.status().requests.role_credentials, 1);
}

/// A client that does not respond while it is stalled.
struct StallingPort {
    is_stalled: Rc<Cell<bool>>,
    document: Rc<Cell<(&'static str, i64)>>,
}

impl CustomClientPort for StallingPort {
    async fn get_metadata(&mut self, path: &str) -> Asked {
        if self.is_stalled.get() {
            std::future::pending::<()>().await;
        }
        let (name, expires) = self.document.get();
        match path {
            LIST => Ok(b"role".to_vec()),
            _ => Ok(document(name, expires).unwrap().body),
        }
    }
}

/// `[B8.2]`: a caller that cancels drops the future of its call.
#[test]
fn a_cancelled_call_leaves_what_was_held() {
    let clock = ManualClock::default();
    let is_stalled = Rc::new(Cell::new(false));
    let document = Rc::new(Cell::new(("a", 3600)));
    let port = StallingPort {
        is_stalled: Rc::clone(&is_stalled),
        document: Rc::clone(&document),
    };
    let client = CustomClient::new(port, clock.clone());
    let mut instance = Instance::with_client(client, clock.clone(), LoadedDice::default());
    ready(instance.get_credentials()).unwrap();
    let received = instance.status().held.unwrap().received;

    clock.advance(HOUR);
    is_stalled.set(true);
    let cancelled = pin!(instance.get_credentials()).poll(&mut Context::from_waker(Waker::noop()));
    assert!(cancelled.is_pending());
    let status = instance.status();
    let held = status.held.unwrap();
    assert_eq!(held.credentials.access_key_id, "id-a");
    assert_eq!((held.received, held.extensions), (received, 0));
    assert_eq!(status.record.last_failure, None);

    is_stalled.set(false);
    document.set(("b", 7200));
    let next = ready(instance.get_credentials()).unwrap();
    assert_eq!(next.access_key_id, "id-b");
}
