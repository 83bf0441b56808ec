//! One provider: a configuration, an IMDS client, a cache. The component exports one of these; a
//! simulation makes many.

use alloc::string::String;
use alloc::vec::Vec;

use crate::cache::{Cache, Held, Record};
use crate::config::{Config, Options};
use crate::credentials::Credentials;
use crate::error::{Error, Reason, Step};
use crate::imds::client::{self, Client, Tree, Version};
use crate::imds::documents::{IAM_INFO_PATH, IDENTITY_PATH, IamInfo, IdentityDocument};
use crate::imds::session::Session;
use crate::metadata::{MetadataClient, RequestCounts};
use crate::ports::{Clock, Random, Transport};
use crate::provider::{self, Provider, RoleName, Shift};

/// A provider with the client `M`, on the ports `C` and `R`. Its methods are those of the WIT
/// interfaces `provider` and `ec2-role`; with the built-in client, of `metadata` too.
#[derive(Debug)]
pub struct Instance<M, C, R> {
    client: M,
    provider: Provider,
    cache: Cache,
    clock: C,
    random: R,
}

/// A client as an [`Instance`] needs one.
pub trait InstanceClient: MetadataClient {
    /// Whether this client can do what is asked of it.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for an option that it does not have.
    fn supports(options: &Options) -> Result<(), Error>;

    /// Goes on with other settings, and forgets what it holds.
    fn configure(&mut self, settings: client::Settings);

    /// The protocol of the last look-up that succeeded, where the client knows of protocols.
    fn answered(&self) -> Option<Version>;

    /// The session, where the client has one.
    fn session(&self) -> Option<&Session>;

    /// Requests sent.
    fn counts(&self) -> RequestCounts;
}

/// What the provider has been doing. Mirrors `ec2-role.status`.
#[derive(Debug)]
pub struct Status<'a> {
    /// The protocol of the last look-up that succeeded.
    pub answered: Option<Version>,
    /// The name of the role, given or found.
    pub role_name: Option<&'a RoleName>,
    /// The session token in hand, or why there is none; `None` where the client has no sessions.
    pub session: Option<&'a Session>,
    /// The credentials in hand.
    pub held: Option<&'a Held>,
    /// Successes and failures.
    pub record: &'a Record,
    /// Requests sent.
    pub requests: RequestCounts,
}

impl<M: InstanceClient, C: Clock, R: Random> Instance<M, C, R> {
    /// A provider with the default configuration, for what `client` does not have of its own.
    pub fn with_client(client: M, clock: C, random: R) -> Self {
        let Config {
            client: _,
            provider,
            cache,
        } = Config::default();
        Self {
            client,
            provider: Provider::new(provider),
            cache: Cache::new(cache),
            clock,
            random,
        }
    }

    /// The credentials held while they last, else new ones.
    ///
    /// # Errors
    ///
    /// As [`Cache::get`].
    pub async fn get_credentials(&mut self) -> Result<Credentials, Error> {
        let Self {
            client,
            provider,
            cache,
            clock,
            random,
        } = self;
        cache.get(provider, client, clock, random).await
    }

    /// Forgets the credentials held.
    pub fn invalidate(&mut self) {
        self.cache.invalidate();
    }

    /// Marks the credentials held as ended, if their key has this id.
    pub fn reject(&mut self, access_key_id: &str) {
        self.cache.reject(access_key_id, &self.clock);
    }

    /// Replaces the configuration, and forgets token and credentials.
    ///
    /// # Errors
    ///
    /// As [`Config::new`] and [`InstanceClient::supports`]; then nothing has changed.
    pub fn configure(&mut self, options: Options) -> Result<(), Error> {
        M::supports(&options)?;
        let Config {
            client,
            provider,
            cache,
        } = Config::new(options)?;
        self.client.configure(client);
        self.provider = Provider::new(provider);
        self.cache.configure(cache);
        Ok(())
    }

    /// Credentials straight from IMDS.
    ///
    /// # Errors
    ///
    /// As [`Provider::retrieve`].
    pub async fn retrieve(&mut self) -> Result<Credentials, Error> {
        let clock = &self.clock;
        let retrieved = self
            .provider
            .retrieve(&mut self.client, || clock.wall())
            .await?;
        Ok(retrieved.credentials)
    }

    /// Moves the end of `credentials`.
    pub fn adjust_expires_by(&self, credentials: Credentials, by: Shift) -> Credentials {
        provider::adjust_expires_by(credentials, by, self.clock.wall())
    }

    /// What to go on with when a refresh failed for `cause`.
    ///
    /// # Errors
    ///
    /// `cause`, where there is nothing to go on with.
    pub fn handle_fail_to_refresh(
        &mut self,
        previous: Option<Credentials>,
        cause: Error,
    ) -> Result<Credentials, Error> {
        provider::handle_fail_to_refresh(previous, cause, self.clock.wall(), &mut self.random)
    }

    /// What the provider has been doing.
    pub fn status(&self) -> Status<'_> {
        let held = self.cache.held();
        Status {
            answered: self.client.answered(),
            role_name: self.provider.role().or(held.map(|held| &held.role)),
            session: self.client.session(),
            held,
            record: self.cache.record(),
            requests: self.client.counts(),
        }
    }
}

impl<T: Transport, C: Clock + Clone, R: Random + Clone> Instance<Client<T, C, R>, C, R> {
    /// A provider with the default configuration and the built-in client.
    pub fn new(transport: T, clock: C, random: R) -> Self {
        let settings = client::Settings::default();
        let client = Client::new(settings, transport, clock.clone(), random.clone());
        Self::with_client(client, clock, random)
    }

    /// The body at `path` in `tree`.
    ///
    /// # Errors
    ///
    /// As [`Client::get`].
    pub async fn metadata(&mut self, tree: Tree, path: &str) -> Result<Vec<u8>, Error> {
        self.client
            .get(Step::Metadata, tree, path)
            .await
            .map(|found| found.body)
    }

    /// The body at `path` in `tree`, as text.
    ///
    /// # Errors
    ///
    /// As [`Client::get`], and [`Reason::InvalidResponse`] where the body is not UTF-8.
    pub async fn text(&mut self, tree: Tree, path: &str) -> Result<String, Error> {
        let found = self.client.get(Step::Metadata, tree, path).await?;
        let failure = found.failure(
            Reason::InvalidResponse,
            Step::Metadata,
            "the body is not text".into(),
        );
        String::from_utf8(found.body).map_err(|_| Error::Failed(failure))
    }

    /// The instance's region, from its identity document (6.3).
    ///
    /// # Errors
    ///
    /// As [`Client::get`], [`IdentityDocument::parse`] and [`IdentityDocument::into_region`].
    pub async fn region(&mut self) -> Result<String, Error> {
        let found = self
            .client
            .get(Step::Metadata, Tree::Dynamic, IDENTITY_PATH)
            .await?;
        IdentityDocument::parse(&found)?.into_region(&found)
    }

    /// The instance's identity document (6.2).
    ///
    /// # Errors
    ///
    /// As [`Client::get`] and [`IdentityDocument::parse`].
    pub async fn identity_document(&mut self) -> Result<IdentityDocument, Error> {
        let found = self
            .client
            .get(Step::Metadata, Tree::Dynamic, IDENTITY_PATH)
            .await?;
        IdentityDocument::parse(&found)
    }

    /// The instance profile (6.4).
    ///
    /// # Errors
    ///
    /// As [`Client::get`] and [`IamInfo::parse`].
    pub async fn iam_info(&mut self) -> Result<IamInfo, Error> {
        let found = self
            .client
            .get(Step::Metadata, Tree::Metadata, IAM_INFO_PATH)
            .await?;
        IamInfo::parse(&found)
    }
}

impl<T: Transport, C: Clock, R: Random> InstanceClient for Client<T, C, R> {
    fn supports(_: &Options) -> Result<(), Error> {
        Ok(())
    }

    fn configure(&mut self, settings: client::Settings) {
        self.configure(settings);
    }

    fn answered(&self) -> Option<Version> {
        self.answered()
    }

    fn session(&self) -> Option<&Session> {
        Some(self.session())
    }

    fn counts(&self) -> RequestCounts {
        self.counts()
    }
}
