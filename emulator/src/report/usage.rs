//! The counts for each client.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::journal::{Exchange, Found, Outcome, Packets, Process};
use crate::request::ImdsVersion;

/// The number of requests without a token that are shown for a client.
const SHOWN: usize = 5;
/// How the paths of metadata services of other clouds begin that have the address of IMDS: Google
/// Cloud, Azure (also DigitalOcean, IBM), IBM's tokens, OpenStack, Oracle, Hetzner, Vultr (also
/// Linode).
const OTHER_SERVICES: [&str; 8] = [
    "computeMetadata",
    "metadata",
    "instance_identity",
    "openstack",
    "opc",
    "hetzner",
    "v1",
    "v1.json",
];

/// What clients did with IMDS, counted from the journal.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use imds_emulator::Emulator;
/// use imds_emulator::journal::Filter;
/// use imds_emulator::report::Usage;
///
/// let imds = Emulator::builder().start().await?;
/// // … the program under test runs …
/// let usage = Usage::of(&imds.find(&Filter::default())?, imds.packets().as_ref());
/// assert!(usage.is_ready_for_imdsv2_only());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Usage {
    /// The clients, in the order of their first requests.
    pub clients: Vec<ClientUsage>,
    /// The number of requests that the journal dropped. They are not counted.
    pub dropped: u64,
    /// The highest number of packets that all clients sent within one second, if packets are
    /// counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_packets_per_second: Option<u64>,
}

/// What one client did. A client is a process if the journal knows processes, and otherwise an
/// address with a `User-Agent`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ClientUsage {
    /// The process, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Process>")]
    pub process: Option<Arc<Process>>,
    /// The client's address.
    #[schemars(with = "String")]
    pub client: IpAddr,
    /// The values of `User-Agent`, in the order of their first use.
    pub user_agents: Vec<String>,
    /// All requests.
    pub requests: u64,
    /// The requests for metadata with a token, whether the token was valid or not.
    pub with_token: u64,
    /// The requests for metadata without a token (IMDSv1).
    pub without_token: u64,
    /// Those of them that succeeded with a status 2xx. The name is that of Amazon CloudWatch's
    /// metric.
    #[serde(rename = "MetadataNoToken")]
    pub metadata_no_token: u64,
    /// Those of them that were rejected with the status 401, because the instance requires tokens.
    /// The name is that of Amazon CloudWatch's metric.
    #[serde(rename = "MetadataNoTokenRejected")]
    pub metadata_no_token_rejected: u64,
    /// The requests for services of other clouds, without a token. Some programs look for these
    /// services at the same address, such as Google's at `/computeMetadata`, and they do not take the
    /// tokens of IMDS.
    pub for_other_services: u64,
    /// The first paths that were requested without a token.
    pub paths_without_token: Vec<String>,
    /// The requests for a token.
    pub token_requests: u64,
    /// The lifetimes of tokens that were requested, in seconds.
    pub token_lifetimes: BTreeSet<u32>,
    /// The requests that did not succeed: any status but 2xx, or no response.
    pub failed: u64,
    /// The connections that carried a request. 0 if the emulator is a router without a listener.
    pub connections: u64,
    /// The packets that it sent on them, if packets are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packets: Option<u64>,
    /// The time from the first request to the end of the first response with a status 2xx to a
    /// request for metadata, in milliseconds on the emulator's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_metadata_ms: Option<f64>,
}

impl Usage {
    /// Counts exchanges, and the packets of their connections.
    pub fn of(found: &Found, packets: Option<&Packets>) -> Self {
        let mut clients: Vec<Counting> = Vec::new();
        let mut places: BTreeMap<Identity, usize> = BTreeMap::new();
        for exchange in &found.exchanges {
            let place = *places.entry(identity(exchange)).or_insert_with(|| {
                clients.push(Counting::new(exchange));
                clients.len() - 1
            });
            if let Some(client) = clients.get_mut(place) {
                client.count(exchange);
            }
        }
        Self {
            clients: clients
                .into_iter()
                .map(|client| client.finish(packets))
                .collect(),
            dropped: found.dropped,
            most_packets_per_second: packets.map(|packets| packets.most_per_second),
        }
    }

    /// The number of all requests that were counted.
    pub fn requests(&self) -> u64 {
        self.clients.iter().map(|client| client.requests).sum()
    }

    /// Whether every request would succeed on an instance that requires tokens, as far as tokens
    /// matter: no request was without one.
    pub fn is_ready_for_imdsv2_only(&self) -> bool {
        self.clients.iter().all(|client| client.without_token == 0)
    }
}

impl ClientUsage {
    /// A name for the client: `curl[4711]`, or the beginning of its `User-Agent`, or its
    /// address.
    pub fn name(&self) -> String {
        if let Some(process) = &self.process {
            return process.to_string();
        }
        let agent = self.user_agents.first();
        match agent.and_then(|agent| agent.split_whitespace().next()) {
            Some(product) => product.to_owned(),
            None => self.client.to_string(),
        }
    }
}

impl ClientUsage {
    pub(super) fn identity(&self) -> Identity {
        match &self.process {
            Some(process) => Identity::Process(process.pid),
            None => Identity::Other(self.client, self.user_agents.first().cloned()),
        }
    }
}

/// What distinguishes clients.
#[derive(Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Identity {
    Process(u32),
    Other(IpAddr, Option<String>),
}

pub(super) fn identity(exchange: &Exchange) -> Identity {
    match &exchange.process {
        Some(process) => Identity::Process(process.pid),
        None => Identity::Other(exchange.client, exchange.user_agent.clone()),
    }
}

/// Whether a path is one of another cloud's service. IMDS answers all other paths, if only with an
/// error.
fn is_of_another_service(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next();
    first.is_some_and(|first| OTHER_SERVICES.contains(&first))
}

/// A client whose requests are being counted.
struct Counting {
    usage: ClientUsage,
    began: DateTime<Utc>,
    connections: BTreeSet<u64>,
}

impl Counting {
    fn new(first: &Arc<Exchange>) -> Self {
        Self {
            usage: ClientUsage {
                process: first.process.clone(),
                client: first.client,
                user_agents: Vec::new(),
                requests: 0,
                with_token: 0,
                without_token: 0,
                metadata_no_token: 0,
                metadata_no_token_rejected: 0,
                for_other_services: 0,
                paths_without_token: Vec::new(),
                token_requests: 0,
                token_lifetimes: BTreeSet::new(),
                failed: 0,
                connections: 0,
                packets: None,
                first_metadata_ms: None,
            },
            began: first.at,
            connections: BTreeSet::new(),
        }
    }

    fn count(&mut self, exchange: &Exchange) {
        let Self {
            usage,
            began,
            connections,
        } = self;
        let is_answered = exchange.outcome == Outcome::Answered;
        let status = exchange.status.filter(|_| is_answered);
        let succeeded = status.is_some_and(|status| (200..300).contains(&status));
        usage.requests += 1;
        usage.failed += u64::from(!succeeded);
        connections.extend(exchange.connection);
        if let Some(agent) = &exchange.user_agent
            && !usage.user_agents.contains(agent)
        {
            usage.user_agents.push(agent.clone());
        }
        if exchange.asks_for_token() {
            usage.token_requests += 1;
            usage.token_lifetimes.extend(exchange.lifetime);
            return;
        }
        match exchange.imds {
            ImdsVersion::V2 => usage.with_token += 1,
            ImdsVersion::V1 if is_of_another_service(&exchange.path) => {
                usage.for_other_services += 1;
            }
            ImdsVersion::V1 => {
                usage.without_token += 1;
                usage.metadata_no_token += u64::from(succeeded);
                usage.metadata_no_token_rejected += u64::from(status == Some(401));
                let paths = &mut usage.paths_without_token;
                if paths.len() < SHOWN && !paths.contains(&exchange.path) {
                    paths.push(exchange.path.clone());
                }
            }
        }
        if succeeded && usage.first_metadata_ms.is_none() {
            let before = exchange.at.signed_duration_since(*began);
            let before = before.num_microseconds().unwrap_or(0).max(0);
            usage.first_metadata_ms = Some(before as f64 / 1e3 + exchange.duration_ms);
        }
    }

    fn finish(mut self, packets: Option<&Packets>) -> ClientUsage {
        self.usage.connections = self.connections.len() as u64;
        self.usage.packets = packets.map(|packets| {
            let all = packets.connections.iter();
            all.filter(|of| self.connections.contains(&of.connection))
                .map(|of| of.sent)
                .sum()
        });
        self.usage
    }
}
