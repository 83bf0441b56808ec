//! Checks of an instance as a whole.

use super::Instance;
use crate::value::{Invalid, Key, is_name};

impl Instance {
    pub(crate) fn check(&self, key: &Key) -> Result<(), Invalid> {
        let id = |name: &str, prefix: &str, value: &str| {
            key.field(name).unless(
                is_resource(value, prefix),
                value,
                format_args!("{prefix} and {HEX}"),
            )
        };
        id("instance-id", "i-", &self.instance_id)?;
        id("image-id", "ami-", &self.image_id)?;
        id("reservation-id", "r-", &self.reservation_id)?;
        for ami in &self.ancestor_ami_ids {
            id("ancestor-ami-ids", "ami-", ami)?;
        }
        for (name, prefix, value) in [
            ("kernel-id", "aki-", &self.kernel_id),
            ("ramdisk-id", "ari-", &self.ramdisk_id),
        ] {
            if let Some(value) = value {
                id(name, prefix, value)?;
            }
        }
        key.field("account-id").unless(
            self.account_id.len() == 12
                && self.account_id.bytes().all(|byte| byte.is_ascii_digit()),
            &self.account_id,
            "12 digits",
        )?;
        let (family, size) = self.instance_type.split_once('.').unwrap_or_default();
        key.field("instance-type").unless(
            is_name(family, "-") && is_name(size, "-"),
            &self.instance_type,
            "a family and a size, like t3.micro",
        )?;
        for (name, value) in [
            ("ami-manifest-path", &self.ami_manifest_path),
            ("profile", &self.profile),
        ] {
            key.field(name).line(value)?;
        }
        for (name, values) in [
            ("product-codes", &self.product_codes),
            ("billing-products", &self.billing_products),
        ] {
            values
                .iter()
                .enumerate()
                .try_for_each(|(at, value)| key.field(name).item(at).line(value))?;
        }
        self.placement.check(&key.field("placement"))?;
        self.check_network(key)?;
        self.block_devices.check(&key.field("block-devices"))?;
        for (at, public_key) in self.public_keys.iter().enumerate() {
            let key = key.field("public-keys").item(at);
            key.field("name").line(&public_key.name)?;
            key.field("openssh-key").line(&public_key.openssh_key)?;
        }
        for (name, value) in &self.tags {
            // [I38]
            key.field("tags").field(name).unless(
                is_name(name, "+-=._:,@") && !matches!(name.as_str(), "." | ".." | "_index"),
                name,
                "a key of letters, digits and + - = . _ : , @ that is not ., .. or _index",
            )?;
            key.field("tags").field(name).unless(
                value.len() <= 256 && !value.chars().any(char::is_control),
                value,
                "at most 256 bytes without control characters",
            )?;
        }
        match &self.iam {
            Some(iam) => iam.check(&key.field("iam")),
            None => Ok(()),
        }
    }
}

pub(super) const HEX: &str = "8 or 17 hexadecimal digits in lower case";

/// Whether `value` is an ID in the format of AWS.
pub(super) fn is_resource(value: &str, prefix: &str) -> bool {
    value.strip_prefix(prefix).is_some_and(|digits| {
        matches!(digits.len(), 8 | 17)
            && digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}
