//! The decision about a request: the core makes it, faults change it, the server carries it out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;

use crate::request::{ImdsVersion, TokenState};

/// How a request is answered.
#[derive(Debug)]
pub struct Decision {
    /// How long to wait before the delivery.
    pub delay: Duration,
    /// What the client receives.
    pub delivery: Delivery,
    /// The request and its response, for the journal.
    pub summary: Summary,
}

/// What a client receives.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "hidden; the simulation handles every variant"
)]
pub enum Delivery {
    /// A response, written by the server's HTTP library.
    Response(Response<Bytes>),
    /// These steps on its connection, one after the other.
    Script(Vec<Step>),
    /// No response: the connection stays open.
    NoResponse,
}

/// A step on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "hidden; the simulation handles every variant"
)]
pub enum Step {
    /// Send these bytes.
    Send(Bytes),
    /// Wait this long.
    Wait(Duration),
    /// Close the connection.
    Close,
    /// Reset the connection.
    Reset,
    /// Send nothing more, and leave the connection open.
    Stall,
}

/// A request and its response, without any secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The number of the request, from 1.
    pub number: u64,
    /// The version of IMDS that the client uses.
    pub imds: ImdsVersion,
    /// The state of the request's token.
    pub token: TokenState,
    /// The lifetime in seconds that a request for a token asks for, if that is a number.
    pub lifetime: Option<u32>,
    /// The names of the rules that applied.
    pub rules: Vec<Arc<str>>,
    /// The status of the response, if there is a response.
    pub status: Option<u16>,
}

/// The reason phrase of a [`Delivery::Response`], among its extensions, where the phrase is not
/// the usual one `[I8]`.
#[derive(Clone, Copy, Debug)]
pub struct ReasonPhrase(pub &'static str);

/// Among the extensions of a response: the request was a `HEAD`, so the body is not sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WithoutBody;
