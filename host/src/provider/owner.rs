//! The owner of the component instance. It makes calls one at a time, completes each of them, and
//! publishes the outcome.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;
use tracing::Instrument as _;

use super::Common;
use crate::call::{Call, Reply};
use crate::config::Resolved;
use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind};
use crate::last_known_good::{self, LastKnownGood};
use crate::printable::Expected;
use crate::sandbox::{Instance, Ports, Sandbox};
use crate::status::{Event, PastFailure, Status};
use crate::telemetry::{self, Outcome};
use crate::wit::ec2_role as wit;

/// The shortest time until IMDS is tried again in the background while there are no valid credentials,
/// or after the component itself failed. The random part is less than [`RETRY_JITTER`], so that many
/// instances do not try at the same time.
const RETRY_DELAY: Duration = Duration::from_secs(10);
const RETRY_JITTER: Duration = Duration::from_secs(20);

/// The time until credentials that are due on receipt are refreshed in the background, so that
/// refreshes do not follow each other without a pause.
const MIN_REFRESH_DELAY: Duration = Duration::from_secs(1);

pub(super) struct Owner {
    common: Arc<Common>,
    sandbox: Sandbox,
    ports: Ports,
    resolved: Resolved,
    options: wit::Options,
    last_known_good: Option<LastKnownGood>,
    background_refresh: bool,
    bound: Duration,
    instance: Option<Box<Instance>>,
    /// The credentials handed out last. A restarted instance does not know them.
    held: Option<Arc<Credentials>>,
    /// The instance does not hold these credentials, because it was restarted or told to drop its own.
    unknown_to_the_instance: bool,
    /// When the credentials are due, on the monotonic clock.
    alarm: Option<Duration>,
    /// When to try IMDS again in the background, before the component would, on the monotonic clock.
    retry: Option<Duration>,
    /// The number of refreshes that this instance reported last.
    refreshes: u64,
    /// When to [`wake`](Self::wake) the owner.
    next: watch::Sender<Option<Duration>>,
}

impl Owner {
    /// Starts the instance now, so that errors in the settings or the component show at once.
    pub(super) async fn start(
        common: Arc<Common>,
        sandbox: Sandbox,
        ports: Ports,
        resolved: Resolved,
        last_known_good: Option<LastKnownGood>,
        background_refresh: bool,
        next: watch::Sender<Option<Duration>>,
    ) -> Result<Self, Error> {
        let bound = ports.limits.call(resolved.settings.operation_timeout);
        let options = wit::Options::from(&resolved.settings);
        let mut owner = Self {
            common,
            sandbox,
            ports,
            resolved,
            options,
            last_known_good,
            background_refresh,
            bound,
            instance: None,
            held: None,
            unknown_to_the_instance: false,
            alarm: None,
            retry: None,
            refreshes: 0,
            next,
        };
        owner.instance().await?;
        Ok(owner)
    }

    /// Makes a call, even if its caller has gone away.
    pub(super) async fn answer(&mut self, call: Call) {
        match call {
            Call::Retrieve(reply) => {
                let answer = self.with(async |instance| instance.retrieve().await).await;
                let answer = answer.map(|credentials| Arc::new(credentials.into()));
                self.reply(reply, answer).await;
            }
            Call::Invalidate(reply) => {
                let answer = self
                    .with(async |instance| instance.invalidate().await)
                    .await;
                self.forget();
                if let Some(stored) = &self.last_known_good {
                    stored.forget(None);
                }
                self.reply(reply, answer).await;
            }
            Call::Reject(id, reply) => {
                let answer = self.with(async |instance| instance.reject(&id).await).await;
                if self
                    .held
                    .as_ref()
                    .is_some_and(|held| held.access_key_id() == id)
                {
                    self.forget();
                }
                if let Some(stored) = &self.last_known_good {
                    stored.forget(Some(&id));
                }
                self.reply(reply, answer).await;
            }
            Call::Metadata(path, reply) => {
                let answer = self
                    .with(async |instance| instance.get_metadata(&path).await)
                    .await;
                self.reply(reply, answer).await;
            }
            Call::DynamicData(path, reply) => {
                let answer = self
                    .with(async |instance| instance.get_dynamic_data(&path).await)
                    .await;
                self.reply(reply, answer).await;
            }
            Call::UserData(reply) => {
                let answer = self
                    .with(async |instance| instance.get_user_data().await)
                    .await;
                self.reply(reply, answer).await;
            }
            Call::Region(reply) => {
                let answer = self
                    .with(async |instance| instance.get_region().await)
                    .await;
                self.reply(reply, answer).await;
            }
            Call::IdentityDocument(reply) => {
                let answer = self
                    .with(async |instance| instance.get_instance_identity_document().await)
                    .await;
                self.reply(reply, answer).await;
            }
            Call::IamInfo(reply) => {
                let answer = self
                    .with(async |instance| instance.get_iam_info().await)
                    .await;
                self.reply(reply, answer).await;
            }
        }
    }

    /// Tells when to wake the owner next.
    pub(super) fn set_alarm(&self) {
        let next = self.next_wake();
        self.next
            .send_if_modified(|at| std::mem::replace(at, next) != next);
    }

    fn next_wake(&self) -> Option<Duration> {
        self.alarm.into_iter().chain(self.retry).min()
    }

    /// Called at the time `at`. Calls since the alarm was set may have changed it.
    pub(super) async fn wake(&mut self, at: Duration) {
        if self.next_wake() != Some(at) {
            return;
        }
        match self.alarm {
            Some(alarm) if alarm == at => self.come_due().await,
            _ => self.retry().await,
        }
    }

    /// Publishes the status first, so that a caller with the answer finds it there too.
    async fn reply<T>(&mut self, reply: Reply<T>, answer: Result<T, Error>) {
        self.publish_status().await;
        let _ = reply.send(answer);
    }

    /// Called when the credentials are due on the monotonic clock. The wall clock, which readers use,
    /// may have been set back `[B5.7]`.
    async fn come_due(&mut self) {
        self.alarm = None;
        if let Some(held) = &self.held {
            // Due at any time of the wall clock.
            let due = held.fresh_until(SystemTime::UNIX_EPOCH);
            self.common.snapshot.store(Some(&due));
        }
        if self.background_refresh {
            // Callers in the meantime wait for this refresh.
            let reply = self.common.announce_refresh();
            let outcome = self.refresh().await;
            if let Some(reply) = reply {
                self.common.complete_refresh(reply, outcome);
            }
        }
    }

    /// Tries IMDS again while the component pauses after failed refreshes `[B4.6]`, `[B5.9]`, because
    /// the credentials that it extends have expired. Callers use them in the meantime.
    async fn retry(&mut self) {
        self.retry = None;
        let answer = self.with(async |instance| instance.retrieve().await).await;
        let now = self.common.now();
        match answer.map(Credentials::from) {
            Ok(credentials) if credentials.last_longer_than(Duration::ZERO, now) => {
                let delay = self.retry_delay();
                self.hold(&credentials.fresh_for_at_most(delay, now), now);
                // The component gets them itself, so that its times and its status are right.
                let _ = self
                    .with(async |instance| instance.invalidate().await)
                    .await;
                self.unknown_to_the_instance = true;
                let _ = self.refresh().await;
            }
            outcome => {
                telemetry::retry_failed(outcome.err().as_ref());
                self.retry = Some(self.common.clock.monotonic() + self.retry_delay());
                self.publish_status().await;
            }
        }
    }

    /// When to try IMDS again before the component does: once the credentials that it extends have
    /// expired.
    fn next_retry(&self, status: &Status, now: SystemTime) -> Option<Duration> {
        status.failing_since.filter(|_| self.background_refresh)?;
        let expires = status
            .expires
            .into_iter()
            .chain(status.document_expires)
            .min()?;
        let left = SystemTime::from(expires).duration_since(now);
        let delay = left.unwrap_or_default() + self.retry_delay();
        Some(self.common.clock.monotonic() + delay)
    }

    fn retry_delay(&self) -> Duration {
        let mut random = [0; 2];
        (self.ports.randomness.0)(&mut random);
        RETRY_DELAY + RETRY_JITTER * u32::from(u16::from_le_bytes(random)) / (1 << 16)
    }

    /// Stores credentials everywhere, before an event announces them.
    fn hold(&mut self, credentials: &Credentials, now: SystemTime) {
        let left = match credentials.fresh_for(now) {
            Duration::ZERO => MIN_REFRESH_DELAY,
            left => left,
        };
        self.alarm = Some(self.common.clock.monotonic() + left);
        self.retry = None;
        self.common.snapshot.store(Some(credentials));
        self.held = Some(Arc::new(credentials.clone()));
        self.common.status().access_key_id = self.key_id();
    }

    /// The held credentials, if the component returned them once more because they are not due. By its
    /// interface, it sends no request then, so neither its status nor anything here has changed.
    fn unchanged(
        &self,
        credentials: &Credentials,
        requests_before: Option<u64>,
    ) -> Option<Arc<Credentials>> {
        let held = self.held.as_ref()?;
        let promised = credentials.are_promised(self.common.now())
            && requests_before == self.requests()
            && !self.unknown_to_the_instance
            && self.alarm.is_some();
        (promised && **held == *credentials).then(|| Arc::clone(held))
    }

    /// How many requests this instance has made.
    fn requests(&self) -> Option<u64> {
        self.instance.as_ref().map(|instance| instance.requests())
    }

    fn forget(&mut self) {
        self.held = None;
        self.alarm = None;
        self.retry = None;
        self.common.snapshot.store(None);
        self.common.status().access_key_id = None;
    }

    pub(super) async fn refresh(&mut self) -> Result<Arc<Credentials>, Error> {
        let span = tracing::info_span!(parent: None, "refresh");
        async {
            let start = Instant::now();
            let requests_before = self.requests();
            let restarts_before = self.common.status().restarts;
            let answer = self
                .with(async |instance| instance.get_credentials().await)
                .await
                .map(Credentials::from);
            if let Ok(credentials) = &answer
                && let Some(held) = self.unchanged(credentials, requests_before)
            {
                return Ok(held);
            }
            let before = self.common.status().clone();
            let asked_before = self.refreshes;
            if let Err(error) = &answer
                && error.is_component()
            {
                self.note_failure(error);
            }
            let status = self.publish_status().await;
            // Nothing has changed if no request was sent.
            let news = self.refreshes != asked_before || status.restarts != restarts_before;
            let answer = match answer {
                Ok(credentials) => Ok(self.hand_out(&credentials, &before, &status, start, news)),
                Err(error) => self.bridge(error, &before, &status, start, news),
            };
            answer.map(Arc::new)
        }
        .instrument(span)
        .await
    }

    /// Publishes the credentials that the component returned.
    fn hand_out(
        &mut self,
        credentials: &Credentials,
        before: &Status,
        status: &Status,
        start: Instant,
        news: bool,
    ) -> Credentials {
        let now = self.common.now();
        // After a failed refresh, the component decides when to try again. It returns the same
        // credentials until then, even past their expiration.
        let until = status
            .next_refresh
            .unwrap_or_default()
            .max(credentials.refresh_after());
        let credentials = credentials.fresh_until(until.into());
        self.hold(&credentials, now);
        self.unknown_to_the_instance = false;
        self.retry = self.next_retry(status, now);
        telemetry::expiry(&credentials);

        if news {
            let access_key_id = shown_id(&credentials);
            let expires = credentials.expires();
            if status.failing_since.is_none() {
                telemetry::refresh(Outcome::Refreshed, start.elapsed());
                if let (Some(stored), Some(expires)) =
                    (&self.last_known_good, status.document_expires)
                {
                    stored.store(&credentials, expires);
                }
                self.emit(Event::Refreshed {
                    access_key_id,
                    expires,
                });
                if let Some(since) = before.failing_since {
                    self.emit(Event::Recovered { since });
                }
            } else {
                telemetry::refresh(Outcome::Extended, start.elapsed());
                self.begin_to_fail(before, status);
                self.emit(Event::Extended {
                    access_key_id,
                    expires,
                    extensions: status.extensions,
                    cause: status
                        .last_failure
                        .as_ref()
                        .map(|failure| failure.error.clone()),
                });
            }
        }
        credentials
    }

    /// The component returned no credentials. If it does not know the credentials that are held here,
    /// because it failed or was restarted, they are handed out until they expire; else the last known
    /// good credentials are.
    fn bridge(
        &mut self,
        error: Error,
        before: &Status,
        status: &Status,
        start: Instant,
        news: bool,
    ) -> Result<Credentials, Error> {
        let now = self.common.now();
        let unknown_to_the_instance =
            self.unknown_to_the_instance && status.credentials_received.is_none();
        let held = self.held.as_deref().cloned().filter(|held| {
            (error.is_component() || unknown_to_the_instance)
                && held.last_longer_than(Duration::ZERO, now)
        });
        let held = held.or_else(|| {
            let stored = self.last_known_good.as_ref();
            let stored = stored.filter(|_| last_known_good::can_bridge(error.kind()));
            stored.and_then(|stored| stored.load(now.into()))
        });
        if news {
            self.begin_to_fail(before, status);
        }
        match held {
            Some(held) => {
                telemetry::refresh(Outcome::Extended, start.elapsed());
                let held = held.fresh_for_at_most(self.retry_delay(), now);
                self.hold(&held, now);
                self.emit(Event::Extended {
                    access_key_id: shown_id(&held),
                    expires: held.expires(),
                    extensions: status.extensions,
                    cause: Some(error),
                });
                Ok(held)
            }
            None => {
                telemetry::refresh(Outcome::Failed, start.elapsed());
                self.forget();
                self.alarm = Some(self.common.clock.monotonic() + self.retry_delay());
                Err(error)
            }
        }
    }

    /// Records a failure of the component itself, which cannot report it.
    fn note_failure(&self, error: &Error) {
        let at = self.common.now().into();
        let mut status = self.common.status();
        status.failing_since.get_or_insert(at);
        status.last_failure = Some(PastFailure {
            at,
            error: error.clone(),
        });
    }

    fn begin_to_fail(&self, before: &Status, status: &Status) {
        if before.failing_since.is_none()
            && let (Some(since), Some(failure)) = (status.failing_since, &status.last_failure)
        {
            self.emit(Event::FailingSince {
                since,
                error: failure.error.clone(),
            });
        }
    }

    fn emit(&self, event: Event) {
        telemetry::event(&event);
        // Fails if there is no subscriber.
        let _ = self.common.events.send(event);
    }

    fn key_id(&self) -> Option<String> {
        self.held.as_deref().map(shown_id)
    }

    /// Publishes the status of the component. Without an instance, the last status stays.
    async fn publish_status(&mut self) -> Status {
        if self.instance.is_some()
            && let Ok(status) = self.with(async |instance| instance.status().await).await
        {
            self.refreshes = status.refreshes;
            let mut published = self.common.status();
            *published = Status::new(status, self.key_id(), published.restarts);
        }
        self.common.status().clone()
    }

    /// Makes a call. After a trap, or a call that exceeded its time limit, the instance cannot be used
    /// again, and the next call starts a new one.
    async fn with<T>(
        &mut self,
        call: impl AsyncFnOnce(&mut Instance) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let instance = self.instance().await?;
        instance.renew_epoch();
        let answer = call(instance).await;
        let answer = answer.map_err(|error| error.with_obstacle(self.ports.obstacle.get()));
        if let Err(error) = &answer
            && error.kind() == ErrorKind::Component
        {
            self.instance = None;
            self.unknown_to_the_instance = true;
            self.refreshes = 0;
            self.common.status().restarts += 1;
            self.emit(Event::Restarted {
                error: error.clone(),
            });
        }
        answer
    }

    async fn instance(&mut self) -> Result<&mut Instance, Error> {
        let Self {
            sandbox,
            ports,
            resolved,
            options,
            bound,
            ..
        } = self;
        let start = async {
            let mut instance = sandbox.instantiate(ports, *bound).await?;
            instance
                .configure(options)
                .await?
                .map_err(|error| resolved.explain(error))?;
            Ok::<_, Error>(Box::new(instance))
        };
        // On the heap, like the instance: otherwise each call would copy both.
        let instance = match self.instance.take() {
            Some(instance) => instance,
            None => Box::pin(start).await?,
        };
        Ok(self.instance.insert(instance))
    }
}

/// The access key ID for the status and the events.
fn shown_id(credentials: &Credentials) -> String {
    Expected::AccessKeyId
        .show(credentials.access_key_id())
        .into_owned()
}
