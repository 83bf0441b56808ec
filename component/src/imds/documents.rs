//! Documents in JSON: the identity document of the instance, and its instance profile.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::{Error, Reason, Step};
use crate::json::{self, Fields, Value};
use crate::metadata::Found;

/// The path of the identity document in the tree `dynamic`.
pub const IDENTITY_PATH: &str = "instance-identity/document";

/// The path of the region in the tree `meta-data`.
pub const REGION_PATH: &str = "placement/region";

/// The path of the instance profile in the tree `meta-data`.
pub const IAM_INFO_PATH: &str = "iam/info";

/// The instance identity document `[B6.2]`. A field that IMDS omits is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityDocument {
    /// `accountId`
    pub account_id: String,
    /// `architecture`
    pub architecture: String,
    /// `availabilityZone`
    pub availability_zone: String,
    /// `billingProducts`
    pub billing_products: Vec<String>,
    /// `devpayProductCodes`
    pub devpay_product_codes: Vec<String>,
    /// `marketplaceProductCodes`
    pub marketplace_product_codes: Vec<String>,
    /// `imageId`
    pub image_id: String,
    /// `instanceId`
    pub instance_id: String,
    /// `instanceType`
    pub instance_type: String,
    /// `kernelId`
    pub kernel_id: Option<String>,
    /// `pendingTime`
    pub pending_time: String,
    /// `privateIp`
    pub private_ip: String,
    /// `ramdiskId`
    pub ramdisk_id: Option<String>,
    /// `region`
    pub region: String,
    /// `version`
    pub version: String,
}

/// The instance profile `[B6.4]`. A field that IMDS omits is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IamInfo {
    /// `Code`
    pub code: String,
    /// `LastUpdated`
    pub last_updated: String,
    /// `InstanceProfileArn`
    pub instance_profile_arn: String,
    /// `InstanceProfileId`
    pub instance_profile_id: String,
}

impl IdentityDocument {
    /// Reads the document.
    ///
    /// # Errors
    ///
    /// [`Reason::InvalidResponse`] if the document is not a JSON object, or a field has the wrong
    /// type.
    pub fn parse(found: &Found) -> Result<Self, Error> {
        let mut document = Self::default();
        let mut kernel_id = String::new();
        let mut ramdisk_id = String::new();
        let names = [
            "accountId",
            "architecture",
            "availabilityZone",
            "imageId",
            "instanceId",
            "instanceType",
            "kernelId",
            "pendingTime",
            "privateIp",
            "ramdiskId",
            "region",
            "version",
            "billingProducts",
            "devpayProductCodes",
            "marketplaceProductCodes",
        ];
        let texts = [
            &mut document.account_id,
            &mut document.architecture,
            &mut document.availability_zone,
            &mut document.image_id,
            &mut document.instance_id,
            &mut document.instance_type,
            &mut kernel_id,
            &mut document.pending_time,
            &mut document.private_ip,
            &mut ramdisk_id,
            &mut document.region,
            &mut document.version,
        ];
        let lists = [
            &mut document.billing_products,
            &mut document.devpay_product_codes,
            &mut document.marketplace_product_codes,
        ];
        let mut fields = json::fields(&found.body, &names)
            .map_err(|_| invalid(found, "the identity document is not a JSON object".into()))?;
        for text in texts {
            *text = next_text(found, &mut fields)?;
        }
        for list in lists {
            match fields.next() {
                Some((Value::List(value), _)) => *list = value,
                Some((Value::Text(_) | Value::Other, name)) => {
                    return Err(wrong_type(found, name, "list of strings"));
                }
                Some((Value::Absent, _)) | None => {}
            }
        }
        document.kernel_id = Some(kernel_id).filter(|id| !id.is_empty());
        document.ramdisk_id = Some(ramdisk_id).filter(|id| !id.is_empty());
        Ok(document)
    }

    /// The region of the instance `[B6.3]`.
    ///
    /// # Errors
    ///
    /// [`Reason::InvalidResponse`] if the document contains no region.
    pub fn into_region(self, found: &Found) -> Result<String, Error> {
        match self.region.is_empty() {
            false => Ok(self.region),
            true => Err(invalid(
                found,
                "the identity document contains no region".into(),
            )),
        }
    }
}

impl IamInfo {
    /// Reads the document.
    ///
    /// # Errors
    ///
    /// [`Reason::Refused`] if the code is not `Success`; [`Reason::InvalidResponse`] if the document
    /// is not a JSON object, or a field has the wrong type.
    pub fn parse(found: &Found) -> Result<Self, Error> {
        let names = [
            "Code",
            "LastUpdated",
            "InstanceProfileArn",
            "InstanceProfileId",
            "Message",
        ];
        let mut fields = json::fields(&found.body, &names)
            .map_err(|_| invalid(found, "the instance profile is not a JSON object".into()))?;
        let mut next = || next_text(found, &mut fields);
        let code = next()?;
        let last_updated = next()?;
        let instance_profile_arn = next()?;
        let instance_profile_id = next()?;
        let message = next()?;
        if !code.eq_ignore_ascii_case("Success") {
            let what = "IMDS has no instance profile";
            return Err(found.refused(Step::Metadata, what, code, &message));
        }
        Ok(Self {
            code,
            last_updated,
            instance_profile_arn,
            instance_profile_id,
        })
    }
}

/// The region at [`REGION_PATH`] `[B6.3]`.
///
/// # Errors
///
/// [`Reason::InvalidResponse`] if the body is anything but lower-case letters, digits and hyphens.
pub fn region(found: &Found) -> Result<String, Error> {
    let is_legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    core::str::from_utf8(&found.body)
        .map(str::trim_ascii)
        .ok()
        .filter(|region| !region.is_empty() && region.bytes().all(is_legal))
        .map(String::from)
        .ok_or_else(|| invalid(found, "placement/region is not the name of a region".into()))
}

/// The next field of a document, which is to be a string. A field that IMDS omits is empty.
fn next_text(found: &Found, fields: &mut Fields<'_>) -> Result<String, Error> {
    match fields.next() {
        Some((Value::Text(text), _)) => Ok(text),
        Some((Value::List(_) | Value::Other, name)) => Err(wrong_type(found, name, "string")),
        Some((Value::Absent, _)) | None => Ok(String::new()),
    }
}

#[cold]
fn invalid(found: &Found, message: String) -> Error {
    found
        .failure(Reason::InvalidResponse, Step::Metadata, message)
        .into()
}

#[cold]
fn wrong_type(found: &Found, name: &str, expected: &str) -> Error {
    invalid(found, [name, " is not a ", expected].concat())
}
