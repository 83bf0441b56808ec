//! Targets for what the component parses: responses of IMDS, options and an endpoint.

mod credentials;
mod json;
mod metadata;
mod settings;
mod world;

pub use self::credentials::{document, role_list, token};
pub use self::metadata::{iam_info, identity_document};
pub use self::settings::{endpoint, options};
