//! The emulator's core, without sockets, on virtual time; and a model of what it must answer.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::{self, Either};
use http::request::Parts;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use imds_emulator::config::{Config, HttpTokens};
use imds_emulator::fault::{Family, Fault, Rule};
use imds_emulator::imds::{Client, Conduct, Imds, Step};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio::sync::oneshot;

use super::timeline::Timeline;

/// The header that a token comes and lives with.
pub(super) const TOKEN: &str = "x-aws-ec2-metadata-token";
pub(super) const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// An answer is at most so long on its way through memory.
const PIPE: usize = 64 * 1024;

/// IMDS of one instance, or what many instances have each for themselves.
#[derive(Debug)]
pub(super) struct Server {
    timeline: Timeline,
    epoch: DateTime<Utc>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    imds: Imds,
    /// The rules of now, which a restart does not end.
    rules: Vec<Rule>,
    is_up: bool,
    random: ChaCha8Rng,
    model: Model,
    /// Who waits for the next request, of a client or of any.
    waiting: Vec<(Option<u16>, oneshot::Sender<()>)>,
}

/// What came of a request.
#[derive(Debug)]
pub(super) struct Exchanged {
    /// The names of the rules that applied.
    pub(super) rules: Vec<Arc<str>>,
    pub(super) outcome: Result<Answer, Broken>,
    /// What the server should have answered otherwise.
    pub(super) wrong: Option<String>,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Refused,
    Reset,
    Late,
    NotHttp,
}

impl Server {
    pub(super) fn new(
        timeline: Timeline,
        epoch: DateTime<Utc>,
        config: Config,
        seed: u64,
    ) -> Result<Self, imds_emulator::config::Invalid> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let now = epoch + since(timeline.now());
        let model = Model::new(&config);
        let imds = Imds::new(config, random.random(), now)?;
        Ok(Self {
            timeline,
            epoch,
            state: Mutex::new(State {
                imds,
                rules: Vec::new(),
                is_up: true,
                random,
                model,
                waiting: Vec::new(),
            }),
        })
    }

    /// Does `change` to it, at this moment.
    pub(super) fn change<E>(
        &self,
        change: impl FnOnce(&Imds, DateTime<Utc>) -> Result<Imds, E>,
    ) -> Result<(), E> {
        let now = self.now();
        let mut state = self.state();
        state.imds = change(&state.imds, now)?;
        let State { imds, model, .. } = &mut *state;
        model.note_role(imds.config());
        Ok(())
    }

    /// Until the next request is on its way, from that client or from any.
    pub(super) async fn request(&self, from: Option<u16>) {
        let (tell, told) = oneshot::channel();
        self.state().waiting.push((from, tell));
        // The server outlives who waits.
        let _ = told.await;
    }

    pub(super) fn break_with(&self, rule: Rule) -> Result<(), imds_emulator::config::Invalid> {
        self.change(|imds, now| imds.with_fault(rule.clone(), now))?;
        self.state().rules.push(rule);
        Ok(())
    }

    pub(super) fn heal(&self, name: &str) {
        let mut state = self.state();
        state.rules.retain(|rule| rule.name != name);
        if let Some(healed) = state.imds.without_fault(name) {
            state.imds = healed;
        }
    }

    /// Tokens from before are known no more.
    pub(super) fn revoke_tokens(&self) {
        let mut state = self.state();
        state.imds = state.imds.with_tokens_revoked();
        state.model.revoke();
    }

    /// It is down, and for good: another takes its place with [`start`](Self::start).
    pub(super) fn stop(&self) {
        self.state().is_up = false;
    }

    /// It begins anew. With another seed it knows no token from before, and gives other credentials.
    pub(super) fn start(
        &self,
        with_the_same_seed: bool,
    ) -> Result<(), imds_emulator::config::Invalid> {
        let now = self.now();
        let mut state = self.state();
        if !with_the_same_seed {
            let config = state.imds.config().clone();
            let seed = state.random.random();
            state.imds = Imds::new(config, seed, now)?;
            for rule in state.rules.clone() {
                state.imds = state.imds.with_fault(rule, now)?;
            }
            state.model.begin_anew();
        }
        state.is_up = true;
        Ok(())
    }

    /// Sends a request, and waits for the answer until a moment on the timeline.
    pub(super) async fn exchange(&self, request: Parts, from: u16, until: Duration) -> Exchanged {
        let mut rules = None;
        let outcome = {
            let exchange = pin!(self.under_way(&request, from, &mut rules));
            match future::select(exchange, self.timeline.sleep_until(until)).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right(_) => Err(Broken::Late),
            }
        };
        let wrong = match (&rules, &outcome) {
            // What a rule has had its hands in can be anything.
            (Some(rules), Ok(answer)) if rules.is_empty() => {
                let now = self.now();
                let mut state = self.state();
                let State { imds, model, .. } = &mut *state;
                model.check(&request, answer, imds.config(), now)
            }
            _ => None,
        };
        Exchanged {
            rules: rules.unwrap_or_default(),
            outcome,
            wrong,
        }
    }

    async fn under_way(
        &self,
        request: &Parts,
        from: u16,
        rules: &mut Option<Vec<Arc<str>>>,
    ) -> Result<Answer, Broken> {
        let hop = {
            let mut state = self.state();
            let wanted = |(client, _): &mut (Option<u16>, _)| client.is_none_or(|it| it == from);
            for (_, tell) in state.waiting.extract_if(.., wanted) {
                // Who waited is gone.
                let _ = tell.send(());
            }
            Duration::from_micros(state.random.random_range(100..2_000))
        };
        self.timeline.sleep(hop).await;
        let [high, low] = from.to_be_bytes();
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, high, low));
        let decision = {
            let now = self.now();
            let state = self.state();
            if !state.is_up {
                return Err(Broken::Refused);
            }
            if state.imds.is_down(Family::Ipv4, now) {
                let down = state.rules.iter();
                let down = down.filter(|rule| matches!(rule.fault, Fault::Down { .. }));
                *rules = Some(down.map(|rule| rule.name.as_str().into()).collect());
                return Err(Broken::Refused);
            }
            if let Some(reset) = state.imds.accept(SocketAddr::new(address, 40_000), now) {
                *rules = Some(reset.rules);
                return Err(Broken::Reset);
            }
            let client = Client {
                address,
                connections: 1,
            };
            state.imds.decide(request, client, now)
        };
        *rules = Some(decision.told.rules);
        if !decision.delay.is_zero() {
            self.timeline.sleep(decision.delay).await;
        }
        match decision.conduct {
            Conduct::Answer(response) => {
                let (parts, body) = response.into_parts();
                Ok(Answer {
                    status: parts.status.as_u16(),
                    headers: parts.headers,
                    body,
                })
            }
            Conduct::Script(steps) => self.play(request, steps).await,
            Conduct::Silence => future::pending().await,
        }
    }

    /// What a client makes of bytes that come like this.
    async fn play(&self, request: &Parts, steps: Vec<Step>) -> Result<Answer, Broken> {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let reads = pin!(read(request, theirs));
        let writes = pin!(self.write(ours, steps));
        match future::select(reads, writes).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right((Ok(()), reads)) => reads.await,
            Either::Right((Err(broken), _)) => Err(broken),
        }
    }

    async fn write(&self, mut pipe: DuplexStream, steps: Vec<Step>) -> Result<(), Broken> {
        for step in steps {
            match step {
                Step::Send(bytes) => {
                    // The client has gone, and knows more.
                    if pipe.write_all(&bytes).await.is_err() {
                        return Ok(());
                    }
                }
                Step::Wait(time) => self.timeline.sleep(time).await,
                Step::Close => return Ok(()),
                Step::Reset => return Err(Broken::Reset),
                Step::Stall => future::pending().await,
            }
        }
        Ok(())
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.epoch + since(self.timeline.now())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn since(time: Duration) -> TimeDelta {
    TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX)
}

async fn read(request: &Parts, pipe: DuplexStream) -> Result<Answer, Broken> {
    let mut request = Request::from_parts(request.clone(), Empty::<Bytes>::new());
    // A script that sends less than it says is a connection that breaks.
    request.headers_mut().remove("content-length");
    let exchange = async {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(pipe)).await?;
        let answer = pin!(async {
            let response = sender.send_request(request).await?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok::<_, hyper::Error>(Answer {
                status: parts.status.as_u16(),
                headers: parts.headers,
                body,
            })
        });
        match future::select(answer, pin!(connection)).await {
            Either::Left((answer, _)) => answer,
            Either::Right((_, answer)) => answer.await,
        }
    };
    exchange.await.map_err(|error| match error.is_parse() {
        true => Broken::NotHttp,
        false => Broken::Reset,
    })
}

/// What is known of IMDS from outside: tokens that it gave, roles, and documents.
#[derive(Debug)]
struct Model {
    /// When they end.
    tokens: HashMap<String, DateTime<Utc>>,
    /// Tokens that were good once, and must not be any more.
    revoked: HashSet<String>,
    /// The roles that it may have: the last one is configured, and those before stay until the next rotation.
    roles: Vec<String>,
    documents: HashMap<String, Seen>,
}

#[derive(Debug)]
struct Seen {
    access_key_id: String,
    expires: DateTime<Utc>,
}

/// The clock of the token's life is the server's; the answer was on its way for a moment.
const ON_THE_WAY: TimeDelta = TimeDelta::seconds(1);

/// So many tokens that are no good any more are kept in mind.
const REVOKED: usize = 64;

/// What is asked of IMDS here.
#[derive(Debug, PartialEq)]
enum Asked<'a> {
    Roles,
    Document(&'a str),
    InstanceId,
    Other,
}

impl<'a> Asked<'a> {
    /// And whether it is below `security-credentials-extended`.
    fn new(path: &'a str) -> (Self, bool) {
        let Some(rest) = path.strip_prefix("/latest/meta-data/") else {
            return (Self::Other, false);
        };
        if rest == "instance-id" {
            return (Self::InstanceId, false);
        }
        for (folder, extended) in [
            ("iam/security-credentials/", false),
            ("iam/security-credentials-extended/", true),
        ] {
            match rest.strip_prefix(folder) {
                Some("") => return (Self::Roles, extended),
                Some(role) => return (Self::Document(role), extended),
                None => {}
            }
        }
        (Self::Other, false)
    }
}

impl Model {
    fn new(config: &Config) -> Self {
        let iam = config.instance.iam.as_ref();
        let role = iam.and_then(|iam| iam.role.clone());
        Self {
            tokens: HashMap::new(),
            revoked: HashSet::new(),
            roles: role.into_iter().collect(),
            documents: HashMap::new(),
        }
    }

    fn note_role(&mut self, config: &Config) {
        let iam = config.instance.iam.as_ref();
        let Some(role) = iam.and_then(|iam| iam.role.clone()) else {
            return;
        };
        if self.roles.last() != Some(&role) {
            self.roles.push(role);
        }
    }

    /// No token from before is good any more.
    fn revoke(&mut self) {
        if self.revoked.len() + self.tokens.len() > REVOKED {
            self.revoked.clear();
        }
        self.revoked
            .extend(self.tokens.drain().map(|(token, _)| token));
    }

    /// It is another IMDS now, of the same configuration.
    fn begin_anew(&mut self) {
        self.revoke();
        self.documents.clear();
        self.roles.drain(..self.roles.len().saturating_sub(1));
    }

    /// What is wrong with an answer that no rule has touched.
    fn check(
        &mut self,
        request: &Parts,
        answer: &Answer,
        config: &Config,
        now: DateTime<Utc>,
    ) -> Option<String> {
        let header = |name| request.headers.get(name)?.to_str().ok();
        let path = request.uri.path();
        let status = answer.status;
        if request.method == Method::PUT {
            let asked: i64 = header(TTL)?.parse().ok()?;
            let granted = answer.headers.get(TTL).and_then(|ttl| ttl.to_str().ok());
            if status != 200 || granted != Some(asked.to_string().as_str()) {
                return Some(format!(
                    "a token for {asked} s is answered {status}, {granted:?}"
                ));
            }
            self.tokens.retain(|_, ends| *ends > now - ON_THE_WAY);
            let token = String::from_utf8_lossy(&answer.body).into_owned();
            if token.is_empty() || self.tokens.contains_key(&token) {
                return Some("a token is empty, or that of somebody else".into());
            }
            self.tokens.insert(token, now + TimeDelta::seconds(asked));
            return None;
        }
        let required = config.metadata_options.http_tokens == HttpTokens::Required;
        let refused = status == 401;
        match header(TOKEN) {
            None if required != refused => {
                return Some(format!(
                    "no token, which is needed: {required}, is answered {status}"
                ));
            }
            None => {}
            Some(token) => match self.tokens.get(token) {
                Some(ends) if *ends > now + ON_THE_WAY && refused => {
                    return Some("a good token is refused".into());
                }
                Some(ends) if *ends <= now - ON_THE_WAY && !refused => {
                    return Some(format!("a token that is over is answered {status}"));
                }
                None if self.revoked.contains(token) && !refused => {
                    return Some(format!("a token that was revoked is answered {status}"));
                }
                // One that a rule has granted is not known here.
                _ => {}
            },
        }
        if refused {
            return None;
        }
        let (asked, extended) = Asked::new(path);
        let iam = config.instance.iam.as_ref();
        let is_there = !extended || iam.is_some_and(|iam| iam.extended_path);
        let text = std::str::from_utf8(&answer.body).unwrap_or_default();
        let may_be = |role: &str| self.roles.iter().position(|one| one == role);
        let (fits, wanted) = match asked {
            Asked::Roles if is_there && status == 200 => {
                let Some(at) = may_be(text) else {
                    return Some(format!(
                        "the role is {text}, and not one of {:?}",
                        self.roles
                    ));
                };
                // There is no way back.
                self.roles.drain(..at);
                return None;
            }
            Asked::Roles if is_there => (false, "the role"),
            Asked::Document(role) if is_there && status == 200 => {
                if may_be(role).is_none() {
                    return Some(format!("{path} is there, and not one of {:?}", self.roles));
                }
                return self.document(path, &answer.body, now);
            }
            Asked::Document(role) if is_there && self.roles == [role] => (false, "a document"),
            Asked::InstanceId => (status == 200 && text.starts_with("i-"), "the id"),
            _ => (status == 404, "404"),
        };
        (!fits).then(|| format!("{path} is answered {status}, in place of {wanted}"))
    }

    fn document(&mut self, path: &str, body: &[u8], now: DateTime<Utc>) -> Option<String> {
        let Ok(document) = serde_json::from_slice::<Value>(body) else {
            return Some(format!("{path} is no JSON"));
        };
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        if text("Code") != Some("Success") {
            return Some(format!("{path} has the code {:?}", text("Code")));
        }
        let moment = |name| DateTime::parse_from_rfc3339(text(name)?).ok();
        let (Some(expires), Some(updated), Some(id), Some(_), Some(_)) = (
            moment("Expiration"),
            moment("LastUpdated"),
            text("AccessKeyId"),
            text("SecretAccessKey"),
            text("Token"),
        ) else {
            return Some(format!("{path} lacks a field"));
        };
        let expires = expires.to_utc();
        if updated.to_utc() > now + ON_THE_WAY || expires < now - ON_THE_WAY {
            return Some(format!(
                "{path} is of {updated}, ends {expires}, and it is {now}"
            ));
        }
        let seen = Seen {
            access_key_id: id.to_owned(),
            expires,
        };
        let before = self.documents.insert(path.to_owned(), seen)?;
        let same = before.access_key_id == id;
        (same != (before.expires == expires) || before.expires > expires).then(|| {
            format!(
                "{path} went from {}, to {expires}, same key: {same}",
                before.expires
            )
        })
    }

    /// Another role, other credentials, or a rotation by hand: what was seen before means nothing.
    fn forget_documents(&mut self) {
        self.documents.clear();
    }
}

impl Server {
    pub(super) fn forget_documents(&self) {
        self.state().model.forget_documents();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
    const DOCUMENT: &str = "/latest/meta-data/iam/security-credentials/base";
    const BODY: &str = r#"{"Code":"Success","AccessKeyId":"id","SecretAccessKey":"secret","Token":"token",
        "LastUpdated":"2027-01-15T08:00:00Z","Expiration":"2027-01-15T14:00:00Z"}"#;

    fn config() -> Config {
        Config::from_toml("[instance.iam]\nrole = 'base'").unwrap()
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn request(method: Method, path: &str, token: Option<&str>) -> Parts {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header(TOKEN, token);
        }
        request.header(TTL, "60").body(()).unwrap().into_parts().0
    }

    fn answer(status: u16, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(TTL, "60".parse().unwrap());
        Answer {
            status,
            headers,
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    /// It has seen the token `good`.
    fn model() -> Model {
        let mut model = Model::new(&config());
        let put = request(Method::PUT, "/latest/api/token", None);
        assert_eq!(
            model.check(&put, &answer(200, "good"), &config(), now()),
            None
        );
        model
    }

    #[track_caller]
    fn check(
        model: &mut Model,
        path: &str,
        token: Option<&str>,
        status: u16,
        body: &str,
        fits: bool,
    ) {
        let request = request(Method::GET, path, token);
        let wrong = model.check(&request, &answer(status, body), &config(), now());
        assert_eq!(wrong.is_none(), fits, "{path} {status} {body}: {wrong:?}");
    }

    #[test]
    fn what_imds_would_not_answer_is_found() {
        let good = Some("good");
        for (path, status, body, fits) in [
            (ROLES, 200, "base", true),
            (ROLES, 200, "other", false),
            (ROLES, 404, "", false),
            (ROLES, 500, "", false),
            (ROLES, 401, "", false),
            (DOCUMENT, 200, BODY, true),
            (DOCUMENT, 200, "no JSON", false),
            (DOCUMENT, 200, &BODY.replace("Success", "Failed"), false),
            (DOCUMENT, 200, &BODY.replace("Token", "Taken"), false),
            (DOCUMENT, 404, "", false),
            (
                "/latest/meta-data/iam/security-credentials/other",
                404,
                "",
                true,
            ),
            (
                "/latest/meta-data/iam/security-credentials/other",
                200,
                BODY,
                false,
            ),
            (
                "/latest/meta-data/iam/security-credentials-extended/",
                404,
                "",
                true,
            ),
            (
                "/latest/meta-data/iam/security-credentials-extended/",
                200,
                "base",
                false,
            ),
            ("/latest/meta-data/instance-id", 200, "i-1", true),
            ("/latest/meta-data/instance-id", 503, "", false),
            ("/latest/meta-data/nothing", 404, "", true),
            ("/latest/meta-data/nothing", 200, "", false),
        ] {
            check(&mut model(), path, good, status, body, fits);
        }
    }

    #[test]
    fn a_token_is_good_until_it_is_over_or_revoked_and_nobody_else_has_it() {
        let mut model = model();
        check(&mut model, ROLES, None, 200, "base", false);
        check(&mut model, ROLES, None, 401, "", true);
        let put = request(Method::PUT, "/latest/api/token", None);
        for (body, status) in [("good", 200), ("", 200), ("another", 500)] {
            let wrong = model.check(&put, &answer(status, body), &config(), now());
            assert!(wrong.is_some(), "{status} {body}");
        }
        let later = now() + TimeDelta::seconds(62);
        let get = request(Method::GET, ROLES, Some("good"));
        for (status, fits) in [(200, false), (401, true)] {
            let wrong = model.check(&get, &answer(status, "base"), &config(), later);
            assert_eq!(wrong.is_none(), fits, "{status}: {wrong:?}");
        }
        model.revoke();
        check(&mut model, ROLES, Some("good"), 200, "base", false);
        check(&mut model, ROLES, Some("good"), 401, "", true);
    }

    #[test]
    fn a_role_changes_once_and_credentials_with_their_key() {
        let mut model = model();
        let mut changed = config();
        changed.instance.iam.as_mut().unwrap().role = Some("other".into());
        model.note_role(&changed);
        for (role, fits) in [("base", true), ("other", true), ("base", false)] {
            check(&mut model, ROLES, Some("good"), 200, role, fits);
        }
        let document = "/latest/meta-data/iam/security-credentials/other";
        for (body, fits) in [
            (BODY.to_owned(), true),
            (BODY.to_owned(), true),
            (BODY.replace("14:00", "15:00"), false),
            (
                BODY.replace("14:00", "16:00").replace("\"id", "\"new"),
                true,
            ),
            (BODY.replace("\"id", "\"newer"), false),
        ] {
            check(&mut model, document, Some("good"), 200, &body, fits);
        }
    }
}
