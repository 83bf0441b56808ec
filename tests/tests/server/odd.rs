//! Responses that the emulator never sends, and what the checks report of them.

/// The response to the request for a token.
const TOKEN: &str = "200 OK||AQAE0123456789";

/// A check, the responses after the first, and what the check reports.
pub(crate) const ODD: &[(&str, &[&str], &str)] = &[
    ("token/put", &["404 Not Found||"], "404 Not Found"),
    ("token/put", &["200 OK||"], "empty body"),
    ("token/put", &["no HTTP at all"], "not an HTTP response"),
    ("token/put", &[""], "closed without a response"),
    (
        "token/valid-header-value",
        &["200 OK||AQAE0123456789\n"],
        "byte 0x0a",
    ),
    (
        "token/repeated-slashes",
        &[TOKEN, "301 Moved|Location: /latest/api/token|"],
        "301 Moved",
    ),
    (
        "token/form",
        &[TOKEN],
        "a token of 14 bytes in another form",
    ),
    (
        "token/expect-continue",
        &[TOKEN, "417 Expectation Failed||no"],
        "417 Expectation Failed, \"no\"",
    ),
    ("token/distinct", &[TOKEN, TOKEN, TOKEN], "only 1 different"),
    (
        "path/no-newline",
        &[TOKEN, "200 OK||i-01234567\n"],
        "\"i-01234567\\n\"",
    ),
    (
        "path/repeated-slashes",
        &[
            TOKEN,
            "200 OK||i-01234567",
            "301 Moved|Location: /latest/meta-data/instance-id|",
        ],
        "301 Moved",
    ),
    (
        "path/query",
        &[TOKEN, "200 OK||i-01234567", "404 Not Found||"],
        "404 Not Found",
    ),
    (
        "path/percent-escapes",
        &[TOKEN, "200 OK||i-01234567", "404 Not Found||"],
        "404 Not Found",
    ),
    // The response contains the token, which is not shown.
    (
        "path/value",
        &[TOKEN, "500 Oh||no good: AQAE0123456789!"],
        "500 Oh, \"no good: [secret]!\"",
    ),
    // Neither a key by itself nor a command to a terminal is shown.
    (
        "path/value",
        &[TOKEN, "500 Oh||wJalrXUtnFEMI1K7MDENGbPxRfiCYEXAMPLEKEY9"],
        "500 Oh, \"..\"",
    ),
    ("path/value", &[TOKEN, "500 \u{1b}[31mOh||"], "500  [31mOh"),
    (
        "response/connection-close",
        &[TOKEN, "200 OK|Connection: keep-alive|i-01234567"],
        "keep-alive",
    ),
    (
        "identity/stable",
        &[TOKEN, "200 OK||{}", "200 OK||{ }"],
        "no signature can match",
    ),
    (
        "instance/availability-zone",
        &[TOKEN, "200 OK||us-east-1a", "404 Not Found||"],
        "404 Not Found",
    ),
    ("instance/id", &[TOKEN, "200 OK||i-0123456z"], "i-0123456z"),
    ("event/maintenance", &[TOKEN, "200 OK||none"], "none"),
    ("tags/keys", &[TOKEN, "200 OK||Name\na b"], "a b"),
    (
        "tags/disabled",
        &[TOKEN, "404 Not Found||", "200 OK||"],
        "200 OK, empty body",
    ),
    (
        "path/dot-segment",
        &[TOKEN, "200 OK||i-01234567", "404 Not Found||"],
        "404 Not Found",
    ),
    (
        "response/http-version",
        &[TOKEN, "no HTTP"],
        "not an HTTP response",
    ),
    (
        "response/no-duplicate-headers",
        &[
            TOKEN,
            "200 OK||AQAE9876543210",
            "200 OK|Server: a\r\nserver: b|i-01234567",
            "200 OK||",
            "404 Not Found||",
            "401 Unauthorized||",
            "405 Not Allowed||",
        ],
        "server twice",
    ),
    (
        "credentials/same-for-all",
        &[
            TOKEN,
            "200 OK||role",
            "200 OK||{\"AccessKeyId\": \"1\"}",
            "404 Not Found||",
            "200 OK||{\"AccessKeyId\": \"2\"}",
            "200 OK||{\"AccessKeyId\": \"3\"}",
            "404 Not Found||",
            "200 OK||{\"AccessKeyId\": \"4\"}",
        ],
        "with the keys 3 and 4",
    ),
    (
        "identity/pending-time",
        &[TOKEN, "200 OK||{\"pendingTime\": \"yesterday\"}"],
        "yesterday",
    ),
    (
        "instance-credentials/differ-from-role",
        &[
            TOKEN,
            "200 OK||{\"AccessKeyId\": \"1\"}",
            "200 OK||role",
            "200 OK||{\"AccessKeyId\": \"1\"}",
        ],
        "the same access key",
    ),
    (
        "listing/no-duplicates",
        &[TOKEN, "200 OK||iam\niam/"],
        "iam",
    ),
    ("listing/public-keys", &[TOKEN, "200 OK||0/"], "0/"),
    (
        "listing/public-key-newline",
        &[
            TOKEN,
            "200 OK||0=mine",
            "200 OK||ssh-ed25519 AAAAC3Nza mine",
        ],
        "none",
    ),
    (
        "listing/public-keys",
        &[TOKEN, "200 OK||0=mine", "200 OK||ssh-ed25519 AAAA"],
        "a different ending",
    ),
    (
        "token/no-remaining-ttl",
        &["200 OK|X-aws-ec2-metadata-token-ttl-seconds: 60|i-01234567"],
        "60",
    ),
    (
        "token/optional-everywhere",
        &[
            "200 OK||i-01234567",
            TOKEN,
            "200 OK||a",
            "401 Unauthorized||",
        ],
        "without a token, GET /: 401 Unauthorized",
    ),
];
