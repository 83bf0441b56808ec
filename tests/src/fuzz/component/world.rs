//! An instance of the component with an IMDS in memory.

use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ec2_role_component::config::Options;
use ec2_role_component::error::{Error, Failure, Reason, Step};
use ec2_role_component::imds::client::Client;
use ec2_role_component::instance::Instance;
use ec2_role_component::ports::{
    Clock, Method, Random, Request, Response, Transport, TransportError,
};
use ec2_role_component::time::{Monotonic, UnixTime};

/// 2026-01-01T00:00:00Z.
pub(super) const NOW: u64 = 1_767_225_600;

#[track_caller]
pub(super) fn failure<T: Debug>(outcome: Result<T, Error>) -> Failure {
    match outcome {
        Err(Error::Failed(failure)) => *failure,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(super) fn is_invalid<T: Debug>(outcome: Result<T, Error>) {
    let failure = failure(outcome);
    assert_eq!(
        (failure.step, failure.reason),
        (Step::Metadata, Reason::InvalidResponse)
    );
}

pub(super) fn ok(body: Vec<u8>) -> Response {
    Response {
        status: 200,
        headers: Vec::new(),
        body,
    }
}

/// The response of a healthy IMDS at any endpoint.
pub(super) fn well(asked: &Asked) -> Response {
    let body: &[u8] = match asked.path.as_str() {
        path if path.ends_with("/api/token") => b"token",
        path if path.ends_with('/') => b"role",
        _ => br#"{"Code":"Success","AccessKeyId":"id","SecretAccessKey":"secret","Token":"session","Expiration":"2026-01-01T06:00:00Z"}"#,
    };
    ok(body.to_vec())
}

/// An instance of the component with an IMDS in memory: no target sends a request.
pub(super) struct World {
    pub(super) instance: Instance<Client<Imds, Standing, Dice>, Standing, Dice>,
    imds: Imds,
    pub(super) clock: Standing,
}

impl World {
    pub(super) fn new(options: Options, answer: impl Fn(&Asked) -> Response + 'static) -> Self {
        let clock = Standing::default();
        let imds = Imds {
            answer: Rc::new(answer),
            requests: Rc::default(),
        };
        let mut instance = Instance::new(imds.clone(), clock.clone(), Dice);
        instance
            .configure(options)
            .expect("the options are accepted");
        Self {
            instance,
            imds,
            clock,
        }
    }

    /// With this body at every path except the token path.
    pub(super) fn giving(body: &[u8]) -> Self {
        let body = body.to_vec();
        Self::new(Options::default(), move |asked| {
            ok(match asked.path.as_str() {
                "/latest/api/token" => b"token".to_vec(),
                _ => body.clone(),
            })
        })
    }

    pub(super) fn requests(&self) -> Vec<Asked> {
        self.imds.requests.take()
    }
}

/// The output of a future on ports that never wait.
pub(super) fn ready<O>(future: impl Future<Output = O>) -> O {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("a port waits"),
    }
}

#[derive(Debug)]
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) token: Option<String>,
}

#[derive(Clone)]
pub(super) struct Imds {
    answer: Rc<dyn Fn(&Asked) -> Response>,
    requests: Rc<RefCell<Vec<Asked>>>,
}

/// Without its state, so that the output of two instances can be compared.
impl Debug for Imds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Imds")
    }
}

impl Transport for Imds {
    async fn exchange(&mut self, request: Request<'_>) -> Result<Response, TransportError> {
        let is_token = request.method == Method::Put;
        assert_eq!(is_token, request.path.ends_with("/latest/api/token"));
        assert!(request.path.bytes().all(|byte| byte.is_ascii_graphic()));
        let mut headers = request.headers.iter();
        let asked = Asked {
            path: request.path.to_owned(),
            token: headers
                .find(|(name, _)| *name == "x-aws-ec2-metadata-token")
                .map(|(_, value)| (*value).to_owned()),
        };
        let response = (self.answer)(&asked);
        self.requests.borrow_mut().push(asked);
        match response.body.len() > request.body_limit {
            true => Err(TransportError::TooLong(request.body_limit)),
            false => Ok(response),
        }
    }
}

/// A clock that only pauses advance.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    pub(super) since_start: Rc<Cell<Duration>>,
}

impl Standing {
    fn advance(&self, by: Duration) {
        self.since_start
            .set(self.since_start.get().saturating_add(by));
    }
}

impl Clock for Standing {
    fn wall(&self) -> UnixTime {
        UnixTime::from_seconds(NOW).saturating_add(self.since_start.get())
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::new(self.since_start.get())
    }

    async fn sleep(&self, time: Duration) {
        self.advance(time);
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Dice;

impl Random for Dice {
    fn unit(&mut self) -> f64 {
        0.5
    }
}
