//! One provider: a configuration, an IMDS client and a cache. The component exports one provider; a
//! simulation creates many.

use alloc::string::String;
use alloc::vec::Vec;

use crate::cache::{Cache, Held, Record};
use crate::config::{Config, Options};
use crate::credentials::Credentials;
use crate::error::{Error, Reason, Step};
use crate::imds::client::{self, Client, Tree, Version};
use crate::imds::documents::{
    self, IAM_INFO_PATH, IDENTITY_PATH, IamInfo, IdentityDocument, REGION_PATH,
};
use crate::imds::session::Session;
use crate::metadata::{MetadataClient, RequestCounts};
use crate::ports::{Clock, Random, Transport};
use crate::provider::{self, Provider, RoleName, Shift};

/// A provider with the client `M`, the clock `C` and the randomness `R`. Its methods are those of the
/// WIT interfaces `provider` and `ec2-role`, and with the built-in client also those of `metadata`.
#[derive(Debug)]
pub struct Instance<M, C, R> {
    client: M,
    provider: Provider,
    cache: Cache,
    clock: C,
    random: R,
}

/// What an [`Instance`] requires of its client.
pub trait InstanceClient: MetadataClient {
    /// Checks that this client supports the given options.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for an option that the client does not support.
    fn supports(options: &Options) -> Result<(), Error>;

    /// Replaces the settings, and drops the session token if there is one.
    fn configure(&mut self, settings: client::Settings);

    /// The version of IMDS that the last successful look-up used, if the client knows it.
    fn answered(&self) -> Option<Version>;

    /// The session, if the client has sessions.
    fn session(&self) -> Option<&Session>;

    /// The number of requests sent.
    fn counts(&self) -> RequestCounts;
}

/// The state and the history of a provider. Mirrors `ec2-role.provider-status`.
#[derive(Debug)]
pub struct Status<'a> {
    /// The version of IMDS that the last successful look-up used.
    pub answered: Option<Version>,
    /// The name of the role, if it is configured or was looked up.
    pub role_name: Option<&'a RoleName>,
    /// The session token, or why there is none; `None` if the client has no sessions.
    pub session: Option<&'a Session>,
    /// The held credentials.
    pub held: Option<&'a Held>,
    /// The history of refreshes.
    pub record: &'a Record,
    /// The number of requests sent.
    pub requests: RequestCounts,
}

impl<M: InstanceClient, C: Clock, R: Random> Instance<M, C, R> {
    /// A provider with `client` and the default settings of provider and cache.
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

    /// Returns the held credentials until they are due, otherwise new credentials.
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

    /// Forgets the held credentials.
    pub fn invalidate(&mut self) {
        self.cache.invalidate();
    }

    /// Marks the held credentials as expired if they have this access key ID.
    pub fn reject(&mut self, access_key_id: &str) {
        self.cache.reject(access_key_id, &self.clock);
    }

    /// Replaces the configuration, and forgets the token and the held credentials.
    ///
    /// # Errors
    ///
    /// As [`Config::new`] and [`InstanceClient::supports`]. Nothing changes in that case.
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

    /// Requests credentials from IMDS, and leaves the held credentials unchanged.
    ///
    /// # Errors
    ///
    /// As [`Provider::retrieve`].
    pub async fn retrieve(&mut self) -> Result<Credentials, Error> {
        let retrieved = self
            .provider
            .retrieve(&mut self.client, &self.clock)
            .await?;
        Ok(retrieved.credentials)
    }

    /// Moves the expiration of `credentials`.
    pub fn adjust_expires_by(&self, credentials: Credentials, by: Shift) -> Credentials {
        provider::adjust_expires_by(credentials, by, self.clock.wall())
    }

    /// The credentials to use after a refresh failed with `cause`.
    ///
    /// # Errors
    ///
    /// `cause`, if there are no `previous` credentials or they do not expire.
    pub fn handle_fail_to_refresh(
        &mut self,
        previous: Option<Credentials>,
        cause: Error,
    ) -> Result<Credentials, Error> {
        provider::handle_fail_to_refresh(previous, cause, self.clock.wall(), &mut self.random)
    }

    /// The state and the history of the provider.
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
    /// As [`Client::get`], and [`Reason::InvalidResponse`] if the body is not UTF-8.
    pub async fn text(&mut self, tree: Tree, path: &str) -> Result<String, Error> {
        let found = self.client.get(Step::Metadata, tree, path).await?;
        let failure = found.failure(
            Reason::InvalidResponse,
            Step::Metadata,
            "the body is not UTF-8 text".into(),
        );
        String::from_utf8(found.body).map_err(|_| failure.into())
    }

    /// The region of the instance: from its identity document, or from `placement/region` if there is no
    /// such document or it names no region `[B6.3]`.
    ///
    /// # Errors
    ///
    /// As [`Client::get`] and [`IdentityDocument::parse`]; the error of the identity document if IMDS has
    /// no `placement/region` either.
    pub async fn region(&mut self) -> Result<String, Error> {
        let found = self
            .client
            .get(Step::Metadata, Tree::Dynamic, IDENTITY_PATH)
            .await;
        let missing = match found {
            Ok(found) => match IdentityDocument::parse(&found)?.into_region(&found) {
                Ok(region) => return Ok(region),
                Err(error) => error,
            },
            Err(error) if error.is_not_found() => error,
            Err(error) => return Err(error),
        };
        match self
            .client
            .get(Step::Metadata, Tree::Metadata, REGION_PATH)
            .await
        {
            Ok(found) => documents::region(&found),
            Err(error) if error.is_not_found() => Err(missing),
            Err(error) => Err(error),
        }
    }

    /// The identity document of the instance `[B6.2]`.
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

    /// The instance profile `[B6.4]`.
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
