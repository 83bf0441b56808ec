//! An instance with ports that a test controls: a function as IMDS, a manual clock, and a random
//! number that the test sets.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ec2_role_component::error::{Error, Failure};
use ec2_role_component::imds::client::Client;
use ec2_role_component::instance::Instance;
use ec2_role_component::ports::{
    Clock, Method, Random, Request, Response, Transport, TransportError,
};
use ec2_role_component::time::{Monotonic, UnixTime};

/// 2026-01-01T00:00:00Z.
pub(crate) const START: u64 = 1_767_225_600;

pub(crate) const TOKEN: &str = "PUT /latest/api/token";
pub(crate) const LIST: &str = "GET /latest/meta-data/iam/security-credentials/";

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) type Outcome = Result<Response, TransportError>;

/// One instance and its ports.
pub(crate) struct World {
    pub(crate) instance:
        Instance<Client<ScriptedImds, ManualClock, LoadedDice>, ManualClock, LoadedDice>,
    pub(crate) imds: ScriptedImds,
    pub(crate) clock: ManualClock,
    pub(crate) dice: LoadedDice,
}

impl World {
    /// IMDS responds with `answer`, which gets each request as `METHOD path`, followed by the token if
    /// there is one.
    pub(crate) fn new(answer: impl FnMut(&str) -> Outcome + 'static) -> Self {
        let clock = ManualClock::default();
        let imds = ScriptedImds {
            clock: clock.clone(),
            answer: Rc::new(RefCell::new(Box::new(answer))),
            requests: Rc::default(),
            authority: Rc::default(),
            limits: Rc::default(),
        };
        let dice = LoadedDice::default();
        Self {
            instance: Instance::new(imds.clone(), clock.clone(), dice.clone()),
            imds,
            clock,
            dice,
        }
    }

    /// IMDS sends these responses one after the other.
    pub(crate) fn playing(answers: impl IntoIterator<Item = Outcome>) -> Self {
        let mut answers: VecDeque<Outcome> = answers.into_iter().collect();
        Self::new(move |request| {
            answers
                .pop_front()
                .unwrap_or_else(|| panic!("no answer left for {request}"))
        })
    }
}

/// The time `seconds` after [`START`].
pub(crate) fn at(seconds: u64) -> Option<UnixTime> {
    Some(UnixTime::from_seconds(START + seconds))
}

/// The failure that `outcome` is.
#[track_caller]
pub(crate) fn failure<T: std::fmt::Debug>(outcome: Result<T, Error>) -> Failure {
    match outcome.unwrap_err() {
        Error::Failed(failure) => *failure,
        other => panic!("{other}"),
    }
}

/// The output of a future whose ports never wait.
pub(crate) fn ready<O>(future: impl Future<Output = O>) -> O {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("a port waits"),
    }
}

type Answer = Rc<RefCell<Box<dyn FnMut(&str) -> Outcome>>>;

#[derive(Clone)]
pub(crate) struct ScriptedImds {
    clock: ManualClock,
    answer: Answer,
    requests: Rc<RefCell<Vec<String>>>,
    authority: Rc<RefCell<String>>,
    limits: Rc<RefCell<Vec<usize>>>,
}

impl ScriptedImds {
    /// The authority of the last request.
    pub(crate) fn authority(&self) -> String {
        self.authority.borrow().clone()
    }

    /// The body limits of the requests since the last call.
    pub(crate) fn limits(&self) -> Vec<usize> {
        self.limits.take()
    }

    /// The requests since the last call.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.take()
    }
}

impl ScriptedImds {
    /// Makes IMDS respond with `answer` from now on.
    pub(crate) fn replace(&mut self, answer: impl FnMut(&str) -> Outcome + 'static) {
        *self.answer.borrow_mut() = Box::new(answer);
    }
}

impl Transport for ScriptedImds {
    async fn exchange(&mut self, request: Request<'_>) -> Outcome {
        *self.authority.borrow_mut() = request.authority.to_owned();
        self.limits.borrow_mut().push(request.body_limit);
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
        assert!(
            self.clock.monotonic() < request.deadline,
            "sent after the time limit"
        );
        let Request {
            deadline,
            read_timeout,
            ..
        } = request;
        let request = format!("{method} {}{token}", request.path);
        self.requests.borrow_mut().push(request.clone());
        let outcome = (self.answer.borrow_mut())(&request);
        if matches!(outcome, Err(TransportError::Timeout(_))) {
            // Without a response, an exchange takes until its time limit.
            let left = deadline.since(self.clock.monotonic());
            self.clock.advance(read_timeout.min(left));
        }
        outcome
    }
}

#[derive(Clone, Default)]
pub(crate) struct ManualClock {
    since_start: Rc<Cell<Duration>>,
    jumped: Rc<Cell<i64>>,
    slept: Rc<RefCell<Vec<Duration>>>,
}

impl ManualClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.since_start.set(self.since_start.get() + by);
    }

    /// Sets the wall clock forward or back. The monotonic clock does not change.
    pub(crate) fn jump(&self, seconds: i64) {
        self.jumped.set(self.jumped.get() + seconds);
    }

    /// The sleeps since the last call.
    pub(crate) fn slept(&self) -> Vec<Duration> {
        self.slept.take()
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> UnixTime {
        let now = UnixTime::from_seconds(START).saturating_add(self.since_start.get());
        let jumped = self.jumped.get();
        let by = Duration::from_secs(jumped.unsigned_abs());
        if jumped < 0 {
            now.saturating_sub(by)
        } else {
            now.saturating_add(by)
        }
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::new(self.since_start.get())
    }

    async fn sleep(&self, time: Duration) {
        self.slept.borrow_mut().push(time);
        self.advance(time);
    }
}

#[derive(Clone, Default)]
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

/// A credentials document for the key `id-NAME` that expires `expires` seconds after [`START`].
pub(crate) fn document(name: &str, expires: i64) -> Outcome {
    let expires =
        chrono::DateTime::from_timestamp(i64::try_from(START).unwrap() + expires, 0).unwrap();
    ok(&format!(
        r#"{{"Code":"Success","LastUpdated":"x","Type":"AWS-HMAC","AccessKeyId":"id-{name}","SecretAccessKey":"secret-{name}","Token":"token-{name}","Expiration":"{}"}}"#,
        expires.format("%Y-%m-%dT%H:%M:%SZ")
    ))
}
