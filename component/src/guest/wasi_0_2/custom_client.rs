//! The IMDS client that is imported.

use alloc::vec::Vec;

use super::Instance;
use super::bindings::imds::credentials::metadata_client::{self, ClientError as Theirs};
use super::clock::WasiClock;
use crate::custom_client::{ClientError, CustomClient, CustomClientPort};
use crate::guest::random::WasiRandom;

pub(super) type ImdsClient = CustomClient<Imported, WasiClock>;

pub(super) fn instance() -> Instance {
    Instance::with_client(
        CustomClient::new(Imported, WasiClock),
        WasiClock,
        WasiRandom,
    )
}

#[derive(Debug)]
pub(super) struct Imported;

impl CustomClientPort for Imported {
    async fn get_metadata(&mut self, path: &str) -> Result<Vec<u8>, ClientError> {
        metadata_client::get_metadata(path).map_err(|error| match error {
            Theirs::Disabled => ClientError::Disabled,
            Theirs::Denied(words) => ClientError::Denied(words),
            Theirs::Unavailable(words) => ClientError::Unavailable(words),
            Theirs::Timeout(words) => ClientError::Timeout(words),
            Theirs::Status(status) => ClientError::Status(status),
            Theirs::InvalidResponse(words) => ClientError::InvalidResponse(words),
            Theirs::Other(words) => ClientError::Other(words),
        })
    }
}
