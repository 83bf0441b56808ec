//! What the firmware of the machine says: programs read it to find out whether they run on EC2.

use sha2::{Digest as _, Sha256};

use super::Instance;

/// The hypervisor of the machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hypervisor {
    Nitro,
    Xen,
}

impl Instance {
    /// The UUID of the machine. On EC2 it begins with `ec2`.
    pub(crate) fn machine_uuid(&self) -> String {
        let digest = Sha256::digest(&self.instance_id);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let part = |from, to| hex.get(from..to).unwrap_or_default();
        format!(
            "ec2{}-{}-4{}-8{}-{}",
            part(0, 5),
            part(5, 9),
            part(9, 12),
            part(12, 15),
            part(15, 27)
        )
    }

    /// The files in `/sys/class/dmi/id`, with their contents.
    pub(crate) fn dmi(&self, hypervisor: Hypervisor) -> Vec<(&'static str, String)> {
        let uuid = self.machine_uuid();
        let id = self.instance_id.clone();
        let amazon = || "Amazon EC2".to_owned();
        match hypervisor {
            Hypervisor::Nitro => vec![
                ("bios_vendor", amazon()),
                ("bios_version", "1.0".into()),
                ("board_asset_tag", id),
                ("board_vendor", amazon()),
                ("chassis_asset_tag", amazon()),
                ("chassis_vendor", amazon()),
                ("product_name", self.instance_type.clone()),
                ("product_serial", uuid.clone()),
                ("product_uuid", uuid),
                ("sys_vendor", amazon()),
            ],
            Hypervisor::Xen => vec![
                ("bios_vendor", "Xen".into()),
                ("bios_version", "4.11.amazon".into()),
                ("chassis_vendor", "Xen".into()),
                ("product_name", "HVM domU".into()),
                ("product_serial", uuid.clone()),
                ("product_uuid", uuid),
                ("product_version", "4.11.amazon".into()),
                ("sys_vendor", "Xen".into()),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uuid_is_one_and_begins_with_ec2() {
        let uuid = Instance::default().machine_uuid();
        let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{uuid}");
        assert!(uuid.starts_with("ec2"), "{uuid}");
    }

    #[test]
    fn the_board_of_a_nitro_instance_has_its_id() {
        let instance = Instance::default();
        let files = instance.dmi(Hypervisor::Nitro);
        assert!(files.contains(&("board_asset_tag", instance.instance_id.clone())));
        let files = instance.dmi(Hypervisor::Xen);
        assert!(files.iter().all(|(name, _)| *name != "board_asset_tag"));
    }
}
