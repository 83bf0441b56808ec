//! The IMDS client.

use crate::call::{Call, Callee};
use crate::error::Error;
use crate::wit::metadata as wit;

/// The IMDS client of a provider. It reads any path of the metadata tree with the provider's session
/// token, timeouts and retries `[B6.1]` to `[B6.4]`.
///
/// A path that does not exist is an error of the kind [`NotFound`](crate::ErrorKind::NotFound). The
/// component handles one call at a time, refreshes of the credentials included.
#[derive(Clone, Copy, Debug)]
pub struct Metadata<'a> {
    owner: &'a dyn Callee,
}

impl<'a> Metadata<'a> {
    pub(crate) fn new(owner: &'a dyn Callee) -> Self {
        Self { owner }
    }

    /// The text at `path` below `/latest/meta-data`.
    ///
    /// # Errors
    ///
    /// If IMDS does not return it, or if it is not UTF-8.
    pub async fn get(&self, path: &str) -> Result<String, Error> {
        let path = path.to_owned();
        self.owner.call(|reply| Call::Metadata(path, reply)).await
    }

    /// The text at `path` below `/latest/dynamic`.
    ///
    /// # Errors
    ///
    /// If IMDS does not return it, or if it is not UTF-8.
    pub async fn dynamic_data(&self, path: &str) -> Result<String, Error> {
        let path = path.to_owned();
        self.owner
            .call(|reply| Call::DynamicData(path, reply))
            .await
    }

    /// The user data, as bytes.
    ///
    /// # Errors
    ///
    /// If IMDS does not return it.
    pub async fn user_data(&self) -> Result<Vec<u8>, Error> {
        self.owner.call(Call::UserData).await
    }

    /// The instance's region: from its identity document, or from `placement/region` if there is no such
    /// document or it names no region `[B6.3]`.
    ///
    /// # Errors
    ///
    /// If IMDS does not return it.
    pub async fn region(&self) -> Result<String, Error> {
        self.owner.call(Call::Region).await
    }

    /// The instance's identity document.
    ///
    /// # Errors
    ///
    /// If IMDS does not return it.
    pub async fn identity_document(&self) -> Result<IdentityDocument, Error> {
        let document = self.owner.call(Call::IdentityDocument).await?;
        Ok(document.into())
    }

    /// The instance profile.
    ///
    /// # Errors
    ///
    /// If IMDS does not return it, or if its `Code` is not `Success`.
    pub async fn iam_info(&self) -> Result<IamInfo, Error> {
        Ok(self.owner.call(Call::IamInfo).await?.into())
    }
}

/// The instance identity document. A field that IMDS omits is empty.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[expect(missing_docs, reason = "AWS's own names, documented by AWS")]
pub struct IdentityDocument {
    pub account_id: String,
    pub architecture: String,
    pub availability_zone: String,
    pub billing_products: Vec<String>,
    pub devpay_product_codes: Vec<String>,
    pub marketplace_product_codes: Vec<String>,
    pub image_id: String,
    pub instance_id: String,
    pub instance_type: String,
    pub kernel_id: Option<String>,
    /// When the instance was launched, as IMDS writes it.
    pub pending_time: String,
    pub private_ip: String,
    pub ramdisk_id: Option<String>,
    pub region: String,
    pub version: String,
}

impl From<wit::InstanceIdentityDocument> for IdentityDocument {
    fn from(document: wit::InstanceIdentityDocument) -> Self {
        Self {
            account_id: document.account_id,
            architecture: document.architecture,
            availability_zone: document.availability_zone,
            billing_products: document.billing_products,
            devpay_product_codes: document.devpay_product_codes,
            marketplace_product_codes: document.marketplace_product_codes,
            image_id: document.image_id,
            instance_id: document.instance_id,
            instance_type: document.instance_type,
            kernel_id: document.kernel_id,
            pending_time: document.pending_time,
            private_ip: document.private_ip,
            ramdisk_id: document.ramdisk_id,
            region: document.region,
            version: document.version,
        }
    }
}

/// The instance profile. A field that IMDS omits is empty.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "PascalCase")]
#[non_exhaustive]
pub struct IamInfo {
    /// Always `Success`.
    pub code: String,
    /// When the instance profile last changed, as IMDS writes it.
    pub last_updated: String,
    /// The ARN of the instance profile.
    pub instance_profile_arn: String,
    /// The ID of the instance profile.
    pub instance_profile_id: String,
}

impl From<wit::IamInfo> for IamInfo {
    fn from(info: wit::IamInfo) -> Self {
        Self {
            code: info.code,
            last_updated: info.last_updated,
            instance_profile_arn: info.instance_profile_arn,
            instance_profile_id: info.instance_profile_id,
        }
    }
}
