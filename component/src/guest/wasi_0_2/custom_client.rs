//! The imported IMDS client.

use alloc::vec::Vec;

use super::Instance;
use super::bindings::imds::credentials::metadata_client::{self, ClientError as WitError};
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
            WitError::Disabled => ClientError::Disabled,
            WitError::Denied(message) => ClientError::Denied(message),
            WitError::Unavailable(message) => ClientError::Unavailable(message),
            WitError::Timeout(message) => ClientError::Timeout(message),
            WitError::Status(status) => ClientError::Status(status),
            WitError::InvalidResponse(message) => ClientError::InvalidResponse(message),
            WitError::Other(message) => ClientError::Other(message),
        })
    }
}
