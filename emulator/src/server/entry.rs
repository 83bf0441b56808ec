//! The entry of a request in the journal.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use chrono::{DateTime, Utc};
use http::HeaderMap;
use http::header::USER_AGENT;

use crate::control::Shared;
use crate::decision::Summary;
use crate::imds::Client;
use crate::journal::{self, Exchange, Outcome, Process};

/// Where a request comes from.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) address: IpAddr,
    /// The number of the connection, if the emulator accepted it.
    pub(super) connection: Option<u64>,
    /// The process, if it makes a difference and was found.
    pub(super) process: Option<Arc<Process>>,
    /// Whether the emulator owns the network.
    pub(super) network_is_ours: bool,
}

impl Origin {
    /// The client, as the core sees it.
    pub(super) fn client(&self, shared: &Shared) -> Client<'_> {
        Client {
            address: self.address,
            connections: shared.connections.load(Ordering::Relaxed),
            process: self.process.as_ref().map(|process| &*process.name),
            network_is_ours: self.network_is_ours,
        }
    }
}

/// An exchange that is written to the journal when it ends or the client disconnects.
pub(super) struct Entry {
    shared: Arc<Shared>,
    began: Instant,
    exchange: Option<Exchange>,
}

impl Entry {
    pub(super) fn new(
        shared: &Arc<Shared>,
        method: &str,
        path: &str,
        headers: &HeaderMap,
        origin: &Origin,
        summary: Summary,
        now: DateTime<Utc>,
    ) -> Self {
        let began = Instant::now();
        let uptime = began.duration_since(shared.began).as_millis();
        let agent = headers.get(USER_AGENT);
        Self {
            shared: Arc::clone(shared),
            began,
            exchange: Some(Exchange {
                number: summary.number,
                at: now,
                uptime_ms: u64::try_from(uptime).unwrap_or(u64::MAX),
                client: origin.address.to_canonical(),
                connection: origin.connection,
                process: origin.process.clone(),
                method: journal::kept(method),
                path: journal::kept(path),
                imds: summary.imds,
                token: summary.token,
                lifetime: summary.lifetime,
                user_agent: agent
                    .map(|agent| journal::kept(&String::from_utf8_lossy(agent.as_bytes()))),
                forwarded: headers.contains_key("x-forwarded-for"),
                rules: summary.rules,
                outcome: Outcome::Abandoned,
                status: summary.status,
                bytes: 0,
                duration_ms: 0.0,
            }),
        }
    }

    pub(super) fn end(mut self, outcome: Outcome, bytes: usize) {
        if let Some(exchange) = &mut self.exchange {
            exchange.outcome = outcome;
            exchange.bytes = bytes;
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(mut exchange) = self.exchange.take() {
            if exchange.outcome == Outcome::Abandoned {
                exchange.status = None;
            }
            exchange.duration_ms = journal::milliseconds(self.began.elapsed());
            let steps = self.shared.timeline.take_after(&exchange);
            let at = exchange.at;
            self.shared.journal.add(exchange);
            for step in steps {
                // The step's status says what failed.
                let _ = self.shared.perform(step, at);
            }
        }
    }
}
