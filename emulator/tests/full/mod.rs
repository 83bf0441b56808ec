//! An instance that has everything, for all tests that need one. A new category needs a line here: the
//! key that it follows from, in [`FULL`], and its value, in [`VALUES`].

/// A configuration with a value for every key of the instance and its events, other than the default.
/// Keys that would hide a category are in `configuration/keys.rs` instead, with those of the server.
pub(crate) const FULL: &str = r#"
[instance]
instance-id = "i-00000001"
instance-type = "c7g.16xlarge"
architecture = "arm64"
account-id = "000000000001"
image-id = "ami-00000001"
ami-launch-index = 7
ami-manifest-path = "1.0"
ancestor-ami-ids = ["ami-00000002", "ami-00000003"]
kernel-id = "aki-00000001"
ramdisk-id = "ari-00000001"
reservation-id = "r-00000001"
product-codes = ["abc123"]
billing-products = ["bp-00000001"]
pending-time = "2026-01-02T03:04:05Z"
life-cycle = "spot"
instance-action = "shutdown"
profile = "default-pv"
detailed-monitoring = true
signatures = { rsa-bits = 1024, dsa2048 = true }
auto-scaling = "InService"
user-data = { base64 = "H4sIAAAA//8=" }
hibernation = true
managed-ssh-keys = { active-keys = { ec2-user = "keys" }, signer-cert = "cert", signer-ocsp = { FF = "ocsp" } }

[instance.placement]
availability-zone = "eu-central-1b"
availability-zone-id = "euc1-az7"
partition = "aws"
domain = "amazonaws.com"
group-name = "group"
host-id = "h-0123"
outpost-arn = "arn:aws:outposts:eu-central-1:000000000001:outpost/op-00000001"
partition-number = 3

[instance.vpc]
id = "vpc-00000001"
ipv4-cidr-blocks = ["10.0.0.0/16", "10.1.0.0/16", "172.31.0.0/16"]
ipv6-cidr-blocks = ["2001:db8::/56"]

[[instance.network-interfaces]]
mac = "0a:00:00:00:00:01"
interface-id = "eni-00000001"
device-number = 0
network-card-index = 0
private-ipv4s = ["10.0.0.5", "10.0.0.6"]
ipv6s = ["2001:db8::5"]
ipv4-prefixes = ["10.0.0.16/28"]
ipv6-prefixes = ["2001:db8:0:0:1::/80"]
public-ipv4s = { "203.0.113.5" = "10.0.0.5", "203.0.113.6" = "10.0.0.6" }
security-groups = { sg-00000001 = "web", sg-00000002 = "ssh" }
[instance.network-interfaces.subnet]
id = "subnet-00000001"
ipv4-cidr-block = "10.0.0.0/24"
ipv6-cidr-blocks = ["2001:db8::/64"]

[[instance.network-interfaces]]
mac = "0a:00:00:00:00:02"
interface-id = "eni-00000002"
network-card-index = 1
private-ipv4s = ["10.1.0.5"]
security-groups = { sg-00000002 = "ssh" }
[instance.network-interfaces.subnet]
id = "subnet-00000002"
ipv4-cidr-block = "10.1.0.0/24"

[instance.block-devices]
ami = "sda"
root = "/dev/sda"
ebs = ["sdb", "sdc"]
ephemeral = ["sdd"]
swap = "sde"

[[instance.public-keys]]
name = "mine"
openssh-key = "ssh-ed25519 AAAAC3Nza"
[[instance.public-keys]]
name = "yours"
openssh-key = "ssh-rsa AAAAB3Nza"

[instance.tags]
Name = "yes"
TEAM = "false"
"team:owner" = "us"

[instance.iam]
role = "worker"
instance-profile = "team/profile"
instance-profile-id = "AIPA2"
extended-path = true
rotation = "10m"
lifetime = "2m"
lead = "1m"

[events.spot-interruption]
action = "terminate"
announced = "2026-01-02T03:04:05Z"
time = "2026-01-02T03:06:05Z"

[events.rebalance-recommendation]
announced = "2026-01-02T03:04:05Z"
"#;

/// The values of the tree of [`FULL`], without those that are documents.
pub(crate) const VALUES: &str = "
ami-id: ami-00000001
ami-launch-index: 7
ami-manifest-path: 1.0
ancestor-ami-ids: ami-00000002|ami-00000003
autoscaling/target-lifecycle-state: InService
block-device-mapping/ami: sda
block-device-mapping/ebs1: sdb
block-device-mapping/ebs2: sdc
block-device-mapping/ephemeral0: sdd
block-device-mapping/root: /dev/sda
block-device-mapping/swap: sde
events/maintenance/history: []
events/maintenance/scheduled: []
hibernation/configured: true
hostname: ip-10-0-0-5.eu-central-1.compute.internal
instance-action: shutdown
instance-id: i-00000001
instance-life-cycle: spot
instance-type: c7g.16xlarge
ipv6: 2001:db8::5
kernel-id: aki-00000001
local-hostname: ip-10-0-0-5.eu-central-1.compute.internal
local-ipv4: 10.0.0.5
mac: 0a:00:00:00:00:01
managed-ssh-keys/active-keys/ec2-user: keys
managed-ssh-keys/signer-cert: cert
managed-ssh-keys/signer-ocsp/FF: ocsp
network/interfaces/macs/0a:00:00:00:00:01/device-number: 0
network/interfaces/macs/0a:00:00:00:00:01/interface-id: eni-00000001
network/interfaces/macs/0a:00:00:00:00:01/ipv4-associations/203.0.113.5: 10.0.0.5
network/interfaces/macs/0a:00:00:00:00:01/ipv4-associations/203.0.113.6: 10.0.0.6
network/interfaces/macs/0a:00:00:00:00:01/ipv4-prefix: 10.0.0.16/28
network/interfaces/macs/0a:00:00:00:00:01/ipv6-prefix: 2001:db8:0:0:1::/80
network/interfaces/macs/0a:00:00:00:00:01/ipv6s: 2001:db8::5
network/interfaces/macs/0a:00:00:00:00:01/local-hostname: ip-10-0-0-5.eu-central-1.compute.internal
network/interfaces/macs/0a:00:00:00:00:01/local-ipv4s: 10.0.0.5|10.0.0.6
network/interfaces/macs/0a:00:00:00:00:01/mac: 0a:00:00:00:00:01
network/interfaces/macs/0a:00:00:00:00:01/network-card: 0
network/interfaces/macs/0a:00:00:00:00:01/owner-id: 000000000001
network/interfaces/macs/0a:00:00:00:00:01/public-hostname: ec2-203-0-113-5.eu-central-1.compute.amazonaws.com
network/interfaces/macs/0a:00:00:00:00:01/public-ipv4s: 203.0.113.5|203.0.113.6
network/interfaces/macs/0a:00:00:00:00:01/security-group-ids: sg-00000001|sg-00000002
network/interfaces/macs/0a:00:00:00:00:01/security-groups: web|ssh
network/interfaces/macs/0a:00:00:00:00:01/subnet-id: subnet-00000001
network/interfaces/macs/0a:00:00:00:00:01/subnet-ipv4-cidr-block: 10.0.0.0/24
network/interfaces/macs/0a:00:00:00:00:01/subnet-ipv6-cidr-blocks: 2001:db8:0:0:0:0:0:0/64
network/interfaces/macs/0a:00:00:00:00:01/vpc-id: vpc-00000001
network/interfaces/macs/0a:00:00:00:00:01/vpc-ipv4-cidr-block: 10.0.0.0/16
network/interfaces/macs/0a:00:00:00:00:01/vpc-ipv4-cidr-blocks: 10.0.0.0/16|10.1.0.0/16|172.31.0.0/16
network/interfaces/macs/0a:00:00:00:00:01/vpc-ipv6-cidr-blocks: 2001:db8:0:0:0:0:0:0/56
network/interfaces/macs/0a:00:00:00:00:02/device-number: 1
network/interfaces/macs/0a:00:00:00:00:02/interface-id: eni-00000002
network/interfaces/macs/0a:00:00:00:00:02/local-hostname: ip-10-1-0-5.eu-central-1.compute.internal
network/interfaces/macs/0a:00:00:00:00:02/local-ipv4s: 10.1.0.5
network/interfaces/macs/0a:00:00:00:00:02/mac: 0a:00:00:00:00:02
network/interfaces/macs/0a:00:00:00:00:02/network-card: 1
network/interfaces/macs/0a:00:00:00:00:02/owner-id: 000000000001
network/interfaces/macs/0a:00:00:00:00:02/security-group-ids: sg-00000002
network/interfaces/macs/0a:00:00:00:00:02/security-groups: ssh
network/interfaces/macs/0a:00:00:00:00:02/subnet-id: subnet-00000002
network/interfaces/macs/0a:00:00:00:00:02/subnet-ipv4-cidr-block: 10.1.0.0/24
network/interfaces/macs/0a:00:00:00:00:02/vpc-id: vpc-00000001
network/interfaces/macs/0a:00:00:00:00:02/vpc-ipv4-cidr-block: 10.0.0.0/16
network/interfaces/macs/0a:00:00:00:00:02/vpc-ipv4-cidr-blocks: 10.0.0.0/16|10.1.0.0/16|172.31.0.0/16
network/interfaces/macs/0a:00:00:00:00:02/vpc-ipv6-cidr-blocks: 2001:db8:0:0:0:0:0:0/56
outpost-arn: arn:aws:outposts:eu-central-1:000000000001:outpost/op-00000001
placement/availability-zone: eu-central-1b
placement/availability-zone-id: euc1-az7
placement/group-name: group
placement/host-id: h-0123
placement/partition-number: 3
placement/region: eu-central-1
product-codes: abc123
profile: default-pv
public-hostname: ec2-203-0-113-5.eu-central-1.compute.amazonaws.com
public-ipv4: 203.0.113.5
public-keys/0/openssh-key: ssh-ed25519 AAAAC3Nza mine|
public-keys/1/openssh-key: ssh-rsa AAAAB3Nza yours|
ramdisk-id: ari-00000001
reservation-id: r-00000001
security-groups: web|ssh
services/domain: amazonaws.com
services/partition: aws
spot/termination-time: 2026-01-02T03:06:05Z
system: nitro
tags/instance/Name: yes
tags/instance/TEAM: false
tags/instance/team:owner: us
";
