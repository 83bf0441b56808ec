//! Faults of servers, and the checks that fail because of them.

/// Faults, and exactly the checks that fail because of them.
pub(crate) const BROKEN: &[(&str, &[&str])] = &[
    // Tokens.
    (
        "match = { path = '/latest/api/token', method = 'PUT', headers = { x-forwarded-for = '*' } }
        fault = { type = 'replace', code = 200, body = 'AQAE-of-a-proxy' }",
        &["token/forwarded"],
    ),
    (
        "match = { method = 'GET', headers = { x-forwarded-for = '*' } }
        fault = { type = 'status', code = 403 }",
        &["token/forwarded-get"],
    ),
    (
        "match = { method = 'PUT' }
        fault = { type = 'drop_header', name = 'x-aws-ec2-metadata-token-ttl-seconds' }",
        &["token/ttl-header"],
    ),
    (
        "match = { method = 'GET' }
        fault = { type = 'drop_header', name = 'x-aws-ec2-metadata-token-ttl-seconds' }",
        &["response/header-order", "token/remaining-ttl"],
    ),
    (
        "match = { headers = { x-aws-ec2-metadata-token-ttl-seconds = '61' } }
        fault = { type = 'ttl_cap', seconds = 60 }",
        &["token/ttl-header"],
    ),
    (
        "match = { method = 'PUT' }
        fault = { type = 'wrong_content_type', to = 'text/html' }",
        &["token/400-body", "token/403-body", "token/plain-text"],
    ),
    (
        "match = { method = 'PUT', headers = { x-aws-ec2-metadata-token-ttl-seconds = '0' } }
        fault = { type = 'replace', code = 200, body = '' }",
        &["token/ttl-zero"],
    ),
    (
        "match = { method = 'PUT', headers = { x-aws-ec2-metadata-token-ttl-seconds = '0' } }
        fault = { type = 'status', code = 400 }",
        &[],
    ),
    (
        "match = { method = 'PUT', headers = { x-aws-ec2-metadata-token-ttl-seconds = '21601' } }
        fault = { type = 'replace', code = 200, body = 'AQAE-for-long' }",
        &["token/ttl-too-long"],
    ),
    (
        "match = { method = 'PUT', headers = { x-aws-ec2-metadata-token-ttl-seconds = '1h' } }
        fault = { type = 'status', code = 500 }",
        &["token/ttl-not-a-number"],
    ),
    (
        "match = { method = 'PUT', headers = { x-aws-ec2-metadata-token-ttl-seconds = '-1' } }
        fault = { type = 'status', code = 500 }",
        &["token/ttl-negative"],
    ),
    (
        "match = { method = 'PUT', headers = { x-aws-ec2-metadata-token-ttl-seconds = '1' } }
        fault = { type = 'status', code = 400 }",
        &["token/min-ttl"],
    ),
    (
        "match = { method = 'PUT', headers = { x-aws-ec2-metadata-token-ttl-seconds = '21600' } }
        fault = { type = 'status', code = 400 }",
        &["token/max-ttl"],
    ),
    (
        "match = { method = 'PUT', headers = { content-length = '0' } }
        fault = { type = 'status', code = 411 }",
        &["token/empty-body"],
    ),
    (
        "match = { path = '/2021-03-23/api/token', token = 'valid' }
        fault = { type = 'status', code = 404 }",
        &["token/dated-path"],
    ),
    (
        "match = { path = '/2021-03-23/api/token', token = 'none' }
        fault = { type = 'status', code = 403 }",
        &["token/before-method"],
    ),
    (
        "match = { method = 'POST', token = 'none' }
        fault = { type = 'status', code = 403 }",
        &["token/before-method"],
    ),
    (
        "match = { path = '/latest/api/token', method = 'GET' }
        fault = { type = 'replace', code = 200, body = '' }",
        &["token/other-methods"],
    ),
    (
        "match = { path = '/latest/api/token', method = 'GET' }
        fault = { type = 'drop_header', name = 'allow' }",
        &["token/allow"],
    ),
    (
        "match = { path = '/latest/api/token', method = 'OPTIONS' }
        fault = { type = 'status', code = 405 }",
        &["token/options"],
    ),
    (
        "match = { path = '/latest/api/token', method = 'OPTIONS' }
        fault = { type = 'drop_header', name = 'allow' }",
        &["token/options"],
    ),
    (
        "match = { path = '/latest/api/token{/}', method = 'PUT' }
        fault = { type = 'replace', code = 200, body = 'AQAE-with-a-slash' }",
        &["token/trailing-slash"],
    ),
    (
        "match = { path = '/latest/api/token{/}', method = 'PUT' }
        fault = { type = 'status', code = 403 }",
        &["token/trailing-slash"],
    ),
    (
        "match = { method = 'PUT', headers = { x-forwarded-for = '*' } }
        fault = { type = 'replace', body = 'Forbidden' }",
        &["token/403-body"],
    ),
    (
        "match = { path = '/latest/meta-data/**', method = 'PUT' }
        fault = { type = 'replace', code = 200, body = 'AQAE-from-elsewhere' }",
        &["token/put-other-paths"],
    ),
    (
        "match = { token = 'invalid' }
        fault = { type = 'replace', code = 200, body = 'come in' }",
        &["token/tampered", "token/invalid", "token/invalid-on-missing-path"],
    ),
    (
        "match = { token = 'expired' }
        fault = { type = 'replace', code = 200, body = 'come in' }",
        &["token/expires", "token/ttl-zero"],
    ),
    (
        "match = { path = '/latest/meta-data/no-such-thing', token = 'invalid' }
        fault = { type = 'status', code = 404 }",
        &["token/invalid-on-missing-path"],
    ),
    (
        "match = { path = '/latest/meta-data/iam/**', imds = 'v1' }
        fault = { type = 'v1_enabled' }",
        &["token/required-everywhere"],
    ),
    (
        "match = { path = '/latest/meta-data/instance-id', imds = 'v1' }
        fault = { type = 'status', code = 403 }",
        &["token/required-or-optional"],
    ),
    (
        "match = { headers = { x-aws-ec2-metadata-token-ttl-seconds = '62' } }
        fault = { type = 'replace', body = 'AQAAAN0BfP8g2W4ymMQKuQ7fVMXk5vTf0d1l3c6mS9nq8zR7wYh2==' }",
        &["token/form"],
    ),
    (
        "match = { method = 'PUT', headers = { expect = '*' } }
        fault = { type = 'status', code = 500 }",
        &["token/expect-continue"],
    ),
    (
        "match = { method = 'PUT', headers = { expect = '*' } }
        fault = { type = 'status', code = 417, body = 'empty' }",
        &["token/expect-continue"],
    ),
    ("fault = { type = 'expect_refused' }", &[]),
    // Responses.
    (
        "fault = { type = 'wrong_server', to = 'nginx' }",
        &["response/server-header"],
    ),
    (
        "match = { path = '/latest/meta-data/instance-id' }
        fault = { type = 'wrong_content_length', delta = -3 }",
        &["response/correct-length"],
    ),
    (
        "match = { path = '/latest/meta-data/no-such-thing' }
        fault = { type = 'drop_header', name = 'date' }",
        &["response/date-header"],
    ),
    (
        "match = { path = '/latest/meta-data/iam/info' }
        fault = { type = 'wrong_content_type', to = 'application/json' }",
        &["response/plain-text"],
    ),
    (
        "match = { path = '/latest/meta-data/instance-id' }
        fault = { type = 'drop_header', name = 'accept-ranges' }",
        &["response/accept-ranges", "response/header-order"],
    ),
    (
        "match = { path = '/latest/meta-data/instance-id' }
        fault = { type = 'drop_header', name = 'last-modified' }",
        &["response/last-modified", "response/header-order"],
    ),
    // Paths.
    (
        "match = { path = '/latest/meta-data/instance-id' }
        fault = { type = 'status', code = 500 }",
        &["response/concurrent-clients", "listing/every-name-readable", "path/value", "token/expires", "token/header-case", "token/required-or-optional", "token/put-other-paths", "token/several", "token/tampered", "token/invalid", "token/trailing-slash", "token/ttl-zero"],
    ),
    (
        "match = { path = '/latest/meta-data/no-such-thing', token = 'valid' }
        fault = { type = 'replace', code = 200, body = '' }",
        &["path/missing"],
    ),
    (
        "match = { path = '/latest/meta-data/no-such-thing', token = 'valid' }
        fault = { type = 'status', code = 404, body = 'empty' }",
        &["path/404-page", "path/404-page-bytes"],
    ),
    (
        "match = { path = '/latest/meta-data/i' }
        fault = { type = 'replace', code = 200, body = 'iam/' }",
        &["path/partial-name"],
    ),
    (
        "match = { method = 'HEAD' }
        fault = { type = 'status', code = 405 }",
        &["feature/managed-ssh-keys", "path/head"],
    ),
    (
        "match = { method = 'DELETE' }
        fault = { type = 'replace', code = 200 }",
        &["path/read-only"],
    ),
    (
        "match = { path = '/latest/meta-data/**', method = 'OPTIONS' }
        fault = { type = 'drop_header', name = 'allow' }",
        &["path/options"],
    ),
    (
        "match = { path = '/' }
        fault = { type = 'replace', body = 'latest' }",
        &["version/listed"],
    ),
    (
        "match = { version = '2009-04-04' }
        fault = { type = 'status', code = 404 }",
        &["version/cloud-init", "version/each"],
    ),
    (
        "match = { version = '2001-02-03' }
        fault = { type = 'replace', code = 200, body = 'i-00000000' }",
        &["version/unknown"],
    ),
    (
        "match = { path = '/2009-04-04/meta-data/mac' }
        fault = { type = 'replace', code = 200, body = '0a:00:00:00:00:01' }",
        &["version/no-later-names"],
    ),
    // Listings.
    (
        "fault = { type = 'category_missing', path = 'meta-data/profile' }",
        &["listing/every-name-readable"],
    ),
    (
        "fault = { type = 'listing_inconsistent', path = 'meta-data/mac' }",
        &["listing/categories"],
    ),
    (
        "fault = { type = 'listing_inconsistent', path = 'meta-data/iam' }",
        &["credentials/iam-listed"],
    ),
    (
        "match = { path = '/latest/dynamic/instance-identity/' }
        fault = { type = 'replace', body = \"document\\npkcs7\\nsignature\" }",
        &["listing/identity-folder"],
    ),
    (
        "match = { path = '/latest/meta-data/no-such-thing', token = 'valid' }
        fault = { type = 'replace', body = '<title>404 - Not Found</title>' }",
        &["path/404-page-bytes"],
    ),
    (
        "match = { path = '/latest/meta-data/network/interfaces/macs/*/network-card-index' }
        fault = { type = 'replace', code = 200, body = '0' }",
        &["instance/network-card"],
    ),
    (
        "match = { path = '/latest/meta-data/network/interfaces/macs/*/network-card' }
        fault = { type = 'replace', code = 200, body = 'one' }",
        &["instance/network-card"],
    ),
    (
        "match = { path = '/latest/dynamic/instance-identity/pkcs7' }
        fault = { type = 'replace', body = 'MIID' }",
        &["identity/pkcs7", "identity/pkcs7-ber"],
    ),
    // Credentials.
    ("fault = { type = 'role_missing' }", &[]),
    ("fault = { type = 'role_empty' }", &["credentials/role-list"]),
    ("fault = { type = 'credentials_error' }", &[]),
    (
        "fault = { type = 'credentials_expired', by = '1h' }",
        &["credentials/lifetime", "credentials/not-expired"],
    ),
    (
        "fault = { type = 'credentials_short_lived', lifetime = '2m' }",
        &["credentials/five-minutes-left", "credentials/lifetime"],
    ),
    (
        "fault = { type = 'credentials_field', name = 'Token', how = 'missing' }",
        &["credentials/fields"],
    ),
    (
        "fault = { type = 'credentials_field', name = 'Expiration', how = 'bad_date' }",
        &["credentials/expiration"],
    ),
    (
        "match = { path = '/latest/meta-data/iam/security-credentials/emulated-role' }
        fault = { type = 'malformed_json' }",
        &["credentials/document"],
    ),
    (
        "match = { path = '/latest/meta-data/iam/security-credentials/emulated-role' }
        fault = { type = 'patch', json = { Code = 'success' } }",
        &["credentials/code"],
    ),
    (
        "match = { path = '/latest/meta-data/iam/security-credentials/emulated-role' }
        fault = { type = 'patch', json = { Expiration = '2099-01-02T03:04:05+00:00' } }",
        &["credentials/expiration", "credentials/lifetime"],
    ),
    (
        "match = { path = '/latest/meta-data/iam/security-credentials/emulated-role' }
        fault = { type = 'patch', json = { AccessKeyId = 'AKIAIOSFODNN7EXAMPLE', Type = 'x' } }",
        &["credentials/key-id", "credentials/type"],
    ),
    (
        "match = { path = '/latest/meta-data/iam/security-credentials/emulated-role' }
        fault = { type = 'replace', body = '{\"Code\":\"Success\",\"LastUpdated\":\"2026-01-02T03:04:05Z\",\"Type\":\"AWS-HMAC\",\"AccessKeyId\":\"ASIAIOSFODNN7EXAMPLE\",\"SecretAccessKey\":\"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\",\"Token\":\"token\",\"Expiration\":\"2099-01-02T03:04:05Z\"}' }",
        &["credentials/last-modified", "credentials/layout", "credentials/lifetime"],
    ),
    (
        "match = { path = '/latest/meta-data/iam/security-credentials/no-such-role' }
        fault = { type = 'replace', code = 200, body = '{}' }",
        &["credentials/unknown-role"],
    ),
    (
        "match = { path = '/latest/meta-data/iam/security-credentials/EMULATED-ROLE' }
        fault = { type = 'replace', code = 200, body = '{}' }",
        &["credentials/role-case"],
    ),
    (
        "match = { path = '/latest/meta-data/iam/security-credentials{/}' }
        fault = { type = 'replace', body = \"emulated-role\\n\" }",
        &["credentials/role-list-no-newline", "credentials/role-list-without-slash"],
    ),
    (
        "match = { path = '/latest/meta-data/iam/security-credentials{/}' }
        fault = { type = 'replace', body = \"emulated-role\\nanother\" }",
        &["credentials/role-list", "credentials/role-list-without-slash", "listing/every-name-readable"],
    ),
    // Other headers, names and values.
    (
        "match = { path = '/latest/meta-data/no-such-thing', token = 'valid' }
        fault = { type = 'drop_header', name = 'content-length' }",
        &["response/content-length"],
    ),
    (
        "match = { path = '/latest/meta-data/iam/security-credentials/emulated-role' }
        fault = { type = 'replace', headers = { last-modified = 'Fri, 02 Jan 2026 03:04:05 GMT' } }",
        &["credentials/last-modified"],
    ),
    (
        "match = { path = '/latest/meta-data/iam/info' }
        fault = { type = 'patch', json = { InstanceProfileArn = 'arn:aws:iam::000000000000:instance-profile/x' } }",
        &["credentials/profile-arn"],
    ),
    (
        "match = { path = '/latest/meta-data/spot/termination-time' }
        fault = { type = 'replace', code = 200, body = '2026-01-02T03:04:05Z' }",
        &["event/spot-termination-time"],
    ),
    (
        "match = { path = '/latest/dynamic/instance-identity/document' }
        fault = { type = 'replace', body = '{}' }",
        &["identity/account", "identity/fields", "identity/nulls"],
    ),
    (
        "match = { path = '/latest/meta-data/instance-action' }
        fault = { type = 'replace', body = 'sleep' }",
        &["instance/action"],
    ),
    (
        "match = { path = '/latest/meta-data/instance-life-cycle' }
        fault = { type = 'replace', body = 'eternal' }",
        &["instance/life-cycle"],
    ),
    (
        "match = { path = '/latest/dynamic/fws/instance-monitoring' }
        fault = { type = 'replace', code = 200, body = 'yes' }",
        &["instance/monitoring"],
    ),
    (
        "match = { path = '/latest/dynamic/fws/instance-monitoring' }
        fault = { type = 'replace', code = 200, body = 'enabled' }",
        &["feature/detailed-monitoring"],
    ),
    (
        "match = { path = '/latest/dynamic/' }
        fault = { type = 'replace', body = \"fws/\\ninstance-identity/\" }",
        &["feature/detailed-monitoring", "listing/every-name-readable"],
    ),
    (
        "match = { path = '/latest/meta-data/instance-type' }
        fault = { type = 'replace', body = 'huge' }",
        &["identity/matches-metadata", "instance/type"],
    ),
    (
        "match = { path = '/latest/meta-data/placement{/}' }
        fault = { type = 'replace', body = \"region\\navailability-zone\\n\" }",
        &["listing/alphabetical", "listing/no-newline", "listing/without-slash"],
    ),
    (
        "match = { path = '/latest/meta-data/tags/instance/Name' }
        fault = { type = 'status', code = 404 }",
        &["listing/every-name-readable", "tags/set", "tags/values"],
    ),
    (
        "match = { path = '/latest/meta-data/tag-sets/instance' }
        fault = { type = 'replace', body = '{\"Name\":\"emulated\",\"team\":\"us\"}' }",
        &["tags/set"],
    ),
    (
        "match = { path = '/latest/meta-data/tag-sets/instance' }
        fault = { type = 'replace', body = '[\"Name\"]' }",
        &["tags/set"],
    ),
    (
        "match = { path = '/latest/meta-data/instance-id', token = 'invalid' }
        fault = { type = 'status', code = 401, body = { text = 'go away' } }",
        &["token/401-body"],
    ),
    (
        "match = { path = '/latest/user-data', token = 'valid' }
        fault = { type = 'replace', code = 200, body = 'hello' }",
        &["user-data/listed", "user-data/content-type", "user-data/trailing-slash"],
    ),
    (
        "match = { path = '/latest/' }
        fault = { type = 'replace', body = \"dynamic/\\nmeta-data/\" }",
        &["version/no-slashes"],
    ),
    (
        "match = { path = '/' }
        fault = { type = 'replace', body = \"2021-03-23\\n2009-04-04\\nlatest\" }",
        &["version/oldest-first"],
    ),
    // Features of some instances.
    (
        "match = { path = '/latest/meta-data/security-groups' }
        fault = { type = 'replace', body = 'another' }",
        &["feature/security-groups"],
    ),
    (
        "match = { path = '/latest/meta-data/network/interfaces/macs/*/ipv4-prefix' }
        fault = { type = 'replace', code = 200, body = '10.0.0.16/24' }",
        &["feature/ipv4-prefix"],
    ),
    (
        "match = { path = '/latest/meta-data/network/interfaces/macs/*/ipv6-prefix' }
        fault = { type = 'replace', code = 200, body = '' }",
        &["feature/ipv6-prefix"],
    ),
    (
        "match = { path = '/latest/meta-data/hibernation/configured' }
        fault = { type = 'replace', code = 200, body = 'no' }",
        &["feature/hibernation"],
    ),
    (
        "match = { path = '/latest/meta-data/managed-ssh-keys/**', method = 'HEAD' }
        fault = { type = 'status', code = 500 }",
        &["feature/managed-ssh-keys"],
    ),
    // The identity document and the rest.
    (
        "match = { path = '/latest/dynamic/instance-identity/document' }
        fault = { type = 'patch', json = { region = 'mars-north-1', accountId = 12 } }",
        &["identity/account", "identity/matches-metadata", "identity/fields", "identity/region"],
    ),
    (
        "match = { path = '/latest/dynamic/instance-identity/signature' }
        fault = { type = 'replace', body = '-----BEGIN SIGNATURE-----' }",
        &["identity/signature"],
    ),
    (
        "match = { path = '/latest/meta-data/placement/region' }
        fault = { type = 'status', code = 404 }",
        &["instance/region", "listing/every-name-readable"],
    ),
    (
        "match = { path = '/latest/meta-data/placement/availability-zone-id' }
        fault = { type = 'replace', body = 'usw2-az1' }",
        &["instance/zone-id"],
    ),
    (
        "match = { path = '/latest/meta-data/services/partition' }
        fault = { type = 'replace', body = 'aws-iso' }",
        &["instance/partition"],
    ),
    (
        "match = { path = '/latest/meta-data/services/domain' }
        fault = { type = 'replace', body = 'c2s.ic.gov' }",
        &["instance/partition"],
    ),
    (
        "match = { path = '/latest/meta-data/local-hostname' }
        fault = { type = 'replace', body = 'i-0a1b2c3d4e5f67890.us-east-1.compute.internal' }",
        &["instance/local-hostname"],
    ),
    (
        "match = { path = '/latest/meta-data/outpost-arn' }
        fault = { type = 'replace', code = 200, body = 'op-0123456789abcdef0' }",
        &["instance/outpost"],
    ),
    (
        "match = { path = '/latest/meta-data/network/interfaces/macs/*/ipv6s' }
        fault = { type = 'replace', code = 200, body = '' }",
        &["instance/interface-addresses"],
    ),
    (
        "match = { path = '/latest/meta-data/network/interfaces/macs/*/ipv6s' }
        fault = { type = 'replace', code = 200, body = '2001:db8::5' }",
        &["instance/interface-addresses"],
    ),
    (
        "match = { path = '/latest/meta-data/spot/instance-action' }
        fault = { type = 'replace', code = 200, body = '{}' }",
        &["event/spot", "event/spot-listed"],
    ),
    (
        "match = { path = '/latest/meta-data/network/interfaces/macs/*/subnet-ipv6-cidr-blocks' }
        fault = { type = 'replace', code = 200, body = '2600:1f16:67f:f200::/56' }",
        &["instance/ipv6-blocks"],
    ),
    (
        "match = { path = '/latest/meta-data/network/interfaces/macs/*/vpc-ipv6-cidr-blocks' }
        fault = { type = 'replace', code = 200, body = '' }",
        &["instance/ipv6-blocks"],
    ),
    (
        "match = { path = '/latest/meta-data/events/recommendations/rebalance' }
        fault = { type = 'replace', code = 200, body = '{\"noticeTime\": \"2026-01-02T03:04:05.123Z\"}' }",
        &["event/times"],
    ),
    // A leading zero.
    (
        "match = { path = '/latest/meta-data/events/maintenance/scheduled' }
        fault = { type = 'replace', body = \"\"\"
[ {
  \"NotBefore\" : \"02 Jan 2026 03:04:05 GMT\",
  \"Code\" : \"system-reboot\",
  \"Description\" : \"scheduled reboot\",
  \"EventId\" : \"instance-event-0123456789abcdef0\",
  \"State\" : \"active\"
} ]\"\"\" }",
        &["event/maintenance-times"],
    ),
    // An end before the begin, in a list in another layout.
    (
        "match = { path = '/latest/meta-data/events/maintenance/history' }
        fault = { type = 'replace', body = '[{\"NotBefore\":\"2 Jan 2026 03:04:05 GMT\",\"NotAfter\":\"1 Jan 2026 03:04:05 GMT\",\"Code\":\"system-reboot\"}]' }",
        &["event/maintenance-layout", "event/maintenance-times"],
    ),
    (
        "match = { path = '/latest/meta-data/events/maintenance/scheduled' }
        fault = { type = 'replace', body = \"\"\"
[ {
  \"NotBefore\" : \"2 Jan 2026 03:04:05 GMT\",
  \"Code\" : \"instance-stop\",
  \"Description\" : \"The instance is running on degraded hardware\",
  \"EventId\" : \"instance-event-0123456789abcdef0\",
  \"NotAfter\" : \"2 Jan 2026 05:04:05 GMT\",
  \"State\" : \"active\"
} ]\"\"\" }",
        &["event/maintenance-no-end"],
    ),
    (
        "match = { path = '/latest/user-data', token = 'valid' }
        fault = { type = 'status', code = 500 }",
        &["user-data/found-or-404"],
    ),
];
