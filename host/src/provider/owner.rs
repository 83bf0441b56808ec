//! The owner of the instance: makes its calls, one at a time and each to its end, and publishes what
//! came of them.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::Common;
use crate::call::{Call, Reply};
use crate::config::Resolved;
use crate::credentials::Credentials;
use crate::error::{Error, ErrorKind};
use crate::last_known_good::{self, LastKnownGood};
use crate::sandbox::{Instance, Sandbox, Surroundings};
use crate::status::{Event, PastFailure, Status};
use crate::telemetry::{self, Outcome};
use crate::wit::ec2_role as wit;

/// When the component itself has failed, it is tried again after so long; and so is IMDS in the
/// background, as long as there are no credentials at all.
const PAUSE: Duration = Duration::from_secs(30);

/// Credentials that are due when they come are refreshed in the background after this: not in a circle.
const AT_ONCE: Duration = Duration::from_secs(1);

pub(super) struct Owner {
    common: Arc<Common>,
    sandbox: Sandbox,
    surroundings: Surroundings,
    resolved: Resolved,
    options: wit::Options,
    last_known_good: Option<LastKnownGood>,
    background_refresh: bool,
    bound: Duration,
    instance: Option<Instance>,
    /// What was handed out last: another instance does not know of it.
    held: Option<Credentials>,
    /// When the credentials are due, on the monotonic clock.
    alarm: Option<Duration>,
    /// How often this instance has asked IMDS, when it was last looked at.
    refreshes: u64,
}

impl Owner {
    /// Starts the instance, so that what is wrong shows at once.
    pub(super) async fn start(
        common: Arc<Common>,
        sandbox: Sandbox,
        surroundings: Surroundings,
        resolved: Resolved,
        last_known_good: Option<LastKnownGood>,
        background_refresh: bool,
    ) -> Result<Self, Error> {
        let bound = surroundings
            .limits
            .call(resolved.settings.operation_timeout);
        let options = wit::Options::from(&resolved.settings);
        let mut owner = Self {
            common,
            sandbox,
            surroundings,
            resolved,
            options,
            last_known_good,
            background_refresh,
            bound,
            instance: None,
            held: None,
            alarm: None,
            refreshes: 0,
        };
        owner.instance().await?;
        Ok(owner)
    }

    /// Makes calls until the last handle is gone. A caller that is gone is no reason to stop.
    pub(super) async fn run(mut self, mut calls: mpsc::UnboundedReceiver<Call>) {
        loop {
            let clock = Arc::clone(&self.common.clock);
            let alarm = self.alarm;
            let due = async move {
                match alarm {
                    Some(at) => clock.sleep(at.saturating_sub(clock.monotonic())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                call = calls.recv() => match call {
                    Some(call) => self.answer(call).await,
                    None => return,
                },
                () = due => self.come_due().await,
            }
        }
    }

    async fn answer(&mut self, call: Call) {
        match call {
            Call::Refresh(reply) => {
                let answer = self.refresh().await;
                // From here on there is a new refresh, or the snapshot.
                self.common.refresh().take();
                let _ = reply.send(answer);
            }
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

    /// Who has the answer finds it in the status too.
    async fn reply<T>(&mut self, reply: Reply<T>, answer: Result<T, Error>) {
        self.publish_status().await;
        let _ = reply.send(answer);
    }

    /// The credentials are due on the monotonic clock. The wall clock, which readers go by, may have
    /// been set back `[B5.7]`.
    async fn come_due(&mut self) {
        self.alarm = None;
        if let Some(held) = &self.held {
            // Whatever the wall clock shows from now on.
            let due = held.fresh_until(SystemTime::UNIX_EPOCH);
            self.common.snapshot.store(Some(&due));
        }
        if self.background_refresh {
            // Who asks meanwhile shall wait for this one.
            let reply = self.common.announce_refresh();
            let answer = self.refresh().await;
            if let Some(reply) = reply {
                self.common.refresh().take();
                let _ = reply.send(answer);
            }
        }
    }

    /// Whoever is told of them by an event finds them everywhere.
    fn hold(&mut self, credentials: &Credentials, now: SystemTime) {
        let left = match credentials.fresh_for(now) {
            Duration::ZERO => AT_ONCE,
            left => left,
        };
        self.alarm = Some(self.common.clock.monotonic() + left);
        self.common.snapshot.store(Some(credentials));
        self.held = Some(credentials.clone());
        self.common.status().access_key_id = self.key_id();
    }

    fn forget(&mut self) {
        self.held = None;
        self.alarm = None;
        self.common.snapshot.store(None);
        self.common.status().access_key_id = None;
    }

    async fn refresh(&mut self) -> Result<Arc<Credentials>, Error> {
        let span = tracing::info_span!("refresh");
        async {
            let start = Instant::now();
            let before = self.common.status().clone();
            let asked_before = self.refreshes;
            let answer = self
                .with(async |instance| instance.get_credentials().await)
                .await;
            if let Err(error) = &answer
                && error.is_component()
            {
                self.note_failure(error);
            }
            let status = self.publish_status().await;
            // Without a request there is no news.
            let news = self.refreshes != asked_before || status.restarts != before.restarts;
            let answer = match answer.map(Credentials::from) {
                Ok(credentials) => Ok(self.hand_out(&credentials, &before, &status, start, news)),
                Err(error) => self.go_on(error, &before, &status, start, news),
            };
            answer.map(Arc::new)
        }
        .instrument(span)
        .await
    }

    /// Publishes what the component gave.
    fn hand_out(
        &mut self,
        credentials: &Credentials,
        before: &Status,
        status: &Status,
        start: Instant,
        news: bool,
    ) -> Credentials {
        let now = self.common.now();
        // When a refresh has failed, the component asks again at a moment of its own, and gives the
        // same until then, though they may have ended.
        let until = status
            .next_refresh
            .unwrap_or_default()
            .max(credentials.refresh_after());
        let credentials = credentials.fresh_until(until.into());
        self.hold(&credentials, now);
        telemetry::expiry(&credentials);

        if news {
            let access_key_id = credentials.access_key_id().to_owned();
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

    /// The component gave none. An instance that was made again knows nothing of what its
    /// predecessor gave; that is handed out to its end.
    fn go_on(
        &mut self,
        error: Error,
        before: &Status,
        status: &Status,
        start: Instant,
        news: bool,
    ) -> Result<Credentials, Error> {
        let now = self.common.now();
        let unknown_to_the_instance = status.restarts > 0 && status.credentials_received.is_none();
        let held = self.held.clone().filter(|held| {
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
                let held = held.fresh_for_at_most(PAUSE, now);
                self.hold(&held, now);
                self.emit(Event::Extended {
                    access_key_id: held.access_key_id().to_owned(),
                    expires: held.expires(),
                    extensions: status.extensions,
                    cause: Some(error),
                });
                Ok(held)
            }
            None => {
                telemetry::refresh(Outcome::Failed, start.elapsed());
                self.forget();
                self.alarm = Some(self.common.clock.monotonic() + PAUSE);
                Err(error)
            }
        }
    }

    /// The component cannot tell of its own end.
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
        // Without a subscriber nobody is told.
        let _ = self.common.events.send(event);
    }

    fn key_id(&self) -> Option<String> {
        let held = self.held.as_ref()?;
        Some(held.access_key_id().to_owned())
    }

    /// Asks the component what it has been doing. Without an instance, what is known stays.
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

    /// Makes a call. After a trap, or a call that did not come to an end, the instance is of no more
    /// use, and the next call gets another.
    async fn with<T>(
        &mut self,
        call: impl AsyncFnOnce(&mut Instance) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let answer = call(self.instance().await?).await;
        if let Err(error) = &answer
            && error.kind() == ErrorKind::Component
        {
            self.instance = None;
            self.refreshes = 0;
            self.common.status().restarts += 1;
            self.emit(Event::Restarted {
                error: error.clone(),
            });
        }
        answer
    }

    async fn instance(&mut self) -> Result<&mut Instance, Error> {
        let instance = match self.instance.take() {
            Some(instance) => instance,
            None => {
                let mut instance = self
                    .sandbox
                    .instantiate(&self.surroundings, self.bound)
                    .await?;
                instance
                    .configure(&self.options)
                    .await?
                    .map_err(|error| self.resolved.explain(error))?;
                instance
            }
        };
        Ok(self.instance.insert(instance))
    }
}
