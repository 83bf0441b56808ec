//! The IMDS client.

use crate::call::{Call, Calls};
use crate::error::Error;
use crate::wit::metadata as wit;

/// The IMDS client of a provider: anything in the metadata tree, with the provider's session token,
/// time-outs and repetitions `[B6.1]` to `[B6.4]`.
///
/// A path that IMDS does not have is an error of the kind [`NotFound`](crate::ErrorKind::NotFound).
/// Calls come one at a time, the provider's own included.
#[derive(Clone, Copy, Debug)]
pub struct Metadata<'a> {
    calls: &'a Calls,
}

impl<'a> Metadata<'a> {
    pub(crate) fn new(calls: &'a Calls) -> Self {
        Self { calls }
    }

    /// What is at `path` below `/latest/meta-data`, as text.
    ///
    /// # Errors
    ///
    /// When IMDS does not give it, or it is not UTF-8.
    pub async fn get(&self, path: &str) -> Result<String, Error> {
        let path = path.to_owned();
        self.calls.call(|reply| Call::Metadata(path, reply)).await
    }

    /// What is at `path` below `/latest/dynamic`, as text.
    ///
    /// # Errors
    ///
    /// When IMDS does not give it, or it is not UTF-8.
    pub async fn dynamic_data(&self, path: &str) -> Result<String, Error> {
        let path = path.to_owned();
        self.calls
            .call(|reply| Call::DynamicData(path, reply))
            .await
    }

    /// The user data, as the bytes that they are.
    ///
    /// # Errors
    ///
    /// When IMDS does not give them.
    pub async fn user_data(&self) -> Result<Vec<u8>, Error> {
        self.calls.call(Call::UserData).await
    }

    /// The instance's region, from its identity document.
    ///
    /// # Errors
    ///
    /// When IMDS does not give it.
    pub async fn region(&self) -> Result<String, Error> {
        self.calls.call(Call::Region).await
    }

    /// The instance's identity document.
    ///
    /// # Errors
    ///
    /// When IMDS does not give it.
    pub async fn identity_document(&self) -> Result<IdentityDocument, Error> {
        let document = self.calls.call(Call::IdentityDocument).await?;
        Ok(document.into())
    }

    /// The instance profile.
    ///
    /// # Errors
    ///
    /// When IMDS does not give it, or its `Code` is not `Success`.
    pub async fn iam_info(&self) -> Result<IamInfo, Error> {
        Ok(self.calls.call(Call::IamInfo).await?.into())
    }
}

/// The instance identity document. What IMDS leaves out is empty.
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

/// The instance profile. What IMDS leaves out is empty.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "PascalCase")]
#[non_exhaustive]
pub struct IamInfo {
    /// `Success`, in any case.
    pub code: String,
    /// When it was last changed, as IMDS writes it.
    pub last_updated: String,
    /// The ARN of the instance profile.
    pub instance_profile_arn: String,
    /// The id of the instance profile.
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
