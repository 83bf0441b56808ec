//! An instance on ports that a test holds in its hands: an IMDS that is a function, a clock moved
//! by hand, a dice that was thrown before.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ec2_role_component::instance::Instance;
use ec2_role_component::ports::{
    Clock, Method, Random, Request, Response, Transport, TransportError,
};
use ec2_role_component::time::{Monotonic, UnixTime};

/// 2026-01-01T00:00:00Z.
pub(crate) const START: u64 = 1_767_225_600;

pub(crate) type Outcome = Result<Response, TransportError>;

/// The world around one instance.
pub(crate) struct World {
    pub(crate) instance: Instance<ScriptedImds, ManualClock, LoadedDice>,
    pub(crate) imds: ScriptedImds,
    pub(crate) clock: ManualClock,
    pub(crate) dice: LoadedDice,
}

impl World {
    /// IMDS is `answer`, which sees each request as `METHOD path`, with the token after it if there
    /// was one.
    pub(crate) fn new(answer: impl FnMut(&str) -> Outcome + 'static) -> Self {
        let imds = ScriptedImds {
            answer: Rc::new(RefCell::new(answer)),
            requests: Rc::default(),
        };
        let clock = ManualClock {
            since_start: Rc::default(),
        };
        let dice = LoadedDice {
            next: Rc::new(Cell::new(0.0)),
        };
        Self {
            instance: Instance::new(imds.clone(), clock.clone(), dice.clone()),
            imds,
            clock,
            dice,
        }
    }

    /// IMDS gives these answers, one after the other.
    pub(crate) fn playing(answers: impl IntoIterator<Item = Outcome>) -> Self {
        let mut answers: VecDeque<Outcome> = answers.into_iter().collect();
        Self::new(move |request| {
            answers
                .pop_front()
                .unwrap_or_else(|| panic!("no answer left for {request}"))
        })
    }
}

/// The outcome of a future on ports that never wait.
pub(crate) fn ready<O>(future: impl Future<Output = O>) -> O {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("a port waits"),
    }
}

type Answer = Rc<RefCell<dyn FnMut(&str) -> Outcome>>;

#[derive(Clone)]
pub(crate) struct ScriptedImds {
    answer: Answer,
    requests: Rc<RefCell<Vec<String>>>,
}

impl ScriptedImds {
    /// The requests since the last look.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.take()
    }
}

impl Transport for ScriptedImds {
    async fn exchange(&mut self, request: Request<'_>) -> Outcome {
        let method = match request.method {
            Method::Get => "GET",
            Method::Put => "PUT",
        };
        let header = |name| {
            request
                .headers
                .iter()
                .find(|(have, _)| *have == name)
                .map(|(_, value)| *value)
        };
        let token = header("x-aws-ec2-metadata-token")
            .map(|token| format!(" {token}"))
            .unwrap_or_default();
        let request = format!("{method} {}{token}", request.path);
        self.requests.borrow_mut().push(request.clone());
        (self.answer.borrow_mut())(&request)
    }
}

#[derive(Clone)]
pub(crate) struct ManualClock {
    since_start: Rc<Cell<Duration>>,
}

impl ManualClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.since_start.set(self.since_start.get() + by);
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> UnixTime {
        UnixTime::from_seconds(START).saturating_add(self.since_start.get())
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::new(self.since_start.get())
    }
}

#[derive(Clone)]
pub(crate) struct LoadedDice {
    next: Rc<Cell<f64>>,
}

impl LoadedDice {
    pub(crate) fn load(&self, next: f64) {
        assert!((0.0..1.0).contains(&next));
        self.next.set(next);
    }
}

impl Random for LoadedDice {
    fn unit(&mut self) -> f64 {
        self.next.get()
    }
}

pub(crate) fn status(status: u16) -> Outcome {
    Ok(Response {
        status,
        headers: Vec::new(),
        body: b"no secret here".to_vec(),
    })
}

pub(crate) fn ok(body: &str) -> Outcome {
    Ok(Response {
        status: 200,
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
    })
}

pub(crate) fn token(value: &str, ttl: u32) -> Outcome {
    let headers = vec![("x-aws-ec2-metadata-token-ttl-seconds", ttl.to_string())];
    ok(value).map(|response| Response {
        headers,
        ..response
    })
}

/// A document whose keys are named after `name` and end so many seconds after [`START`].
pub(crate) fn document(name: &str, expires: i64) -> Outcome {
    let expires =
        chrono::DateTime::from_timestamp(i64::try_from(START).unwrap() + expires, 0).unwrap();
    ok(&format!(
        r#"{{"Code":"Success","LastUpdated":"x","Type":"AWS-HMAC","AccessKeyId":"id-{name}","SecretAccessKey":"secret-{name}","Token":"token-{name}","Expiration":"{}"}}"#,
        expires.format("%Y-%m-%dT%H:%M:%SZ")
    ))
}
