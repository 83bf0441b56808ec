//! The built-in IMDS client, and the interface `metadata`, which only this client has.

use alloc::string::String;
use alloc::vec::Vec;

use super::bindings::exports::imds::credentials::{metadata, provider};
use super::clock::WasiClock;
use super::transport::WasiTransport;
use super::{Component, Instance, ready, with_instance};
use crate::guest::random::WasiRandom;
use crate::imds::client::{Client, Tree};

pub(super) type ImdsClient = Client<WasiTransport, WasiClock, WasiRandom>;

pub(super) fn instance() -> Instance {
    Instance::new(WasiTransport, WasiClock, WasiRandom)
}

impl metadata::Guest for Component {
    fn get_metadata(path: String) -> Result<String, provider::Error> {
        text(Tree::Metadata, &path)
    }

    fn get_dynamic_data(path: String) -> Result<String, provider::Error> {
        text(Tree::Dynamic, &path)
    }

    fn get_user_data() -> Result<Vec<u8>, provider::Error> {
        with_instance(|instance| Ok(ready(instance.metadata(Tree::UserData, ""))?))
    }

    fn get_region() -> Result<String, provider::Error> {
        with_instance(|instance| Ok(ready(instance.region())?))
    }

    fn get_instance_identity_document()
    -> Result<metadata::InstanceIdentityDocument, provider::Error> {
        with_instance(|instance| Ok(ready(instance.identity_document())?.into()))
    }

    fn get_iam_info() -> Result<metadata::IamInfo, provider::Error> {
        with_instance(|instance| Ok(ready(instance.iam_info())?.into()))
    }
}

fn text(tree: Tree, path: &str) -> Result<String, provider::Error> {
    with_instance(|instance| Ok(ready(instance.text(tree, path))?))
}
