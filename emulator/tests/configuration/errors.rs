//! Errors: all at once, each with its source, its key, the value, and what is accepted.

use imds_emulator::config::{Config, Layers};

#[test]
fn everything_that_is_wrong_is_reported_at_once() {
    let mut layers = Layers::new();
    layers.toml(
        "a.toml",
        "
        [server]
        port = 70000
        prot = 1
        [instance]
        account-id = '12'
        image-id = 'ami'
        tags = { 'a/b' = 'x' }
        [[instance.network-interfaces]]
        interface-id = 'eni-1'
        [[instance.network-interfaces]]
        mac = '0a:00:00:00:00:02'
        interface-id = 'eni-00000002'
        private-ipv4s = ['10.0.0.5', 'x']
        ipv6s = ['y', '2001:db8::5', 'z']
        [[faults]]
        name = 'x/y'
        when = { count = 0, probability = 2.0 }
        fault = { type = 'status', code = 9 }
        [[faults]]
        name = 'z'
        fault = { type = 'statu' }
        [[faults]]
        name = 'w'
        fault = { type = 'status', code = 'x' }
        [[timeline]]
        name = 'v'
        do = ['heal_all', { fault = { name = 'u', fault = { type = 'stall', after = 'x' } } }]
        [data]
        'meta-data/x/' = 'a'
        'meta-data/y' = 5
        ",
    );
    layers.environment([
        ("IMDS_EMULATOR_INSTANCE__IAM__LEAD".into(), "1day".into()),
        ("IMDS_EMULATOR_INSTANCE__LIFE_CYCLE".into(), "spott".into()),
        ("IMDS_EMULATOR_".into(), "x".into()),
    ]);
    layers.assign("--set", "events.spot-interruption.action=stop");
    layers.assign("--set", "journal.capacity=-1");
    layers.assign("--set", "nothing");
    let error = layers.config().unwrap_err().to_string();
    let mut lines = error.lines();
    let expected = [
        "IMDS_EMULATOR_: \"\" is not a key",
        "--set: \"nothing\" is not a setting",
        "a.toml: server.port: invalid value: integer `70000`, expected a whole number from 0 to 65535",
        "a.toml: server.prot: unknown field `prot`",
        "a.toml: instance.network-interfaces[0]: missing field `mac`",
        "a.toml: instance.network-interfaces[1].private-ipv4s[1]: \"x\" is not accepted; accepted: an IPv4 address",
        "a.toml: instance.network-interfaces[1].ipv6s[0]: \"y\" is not accepted; accepted: an IPv6 address",
        "a.toml: instance.network-interfaces[1].ipv6s[2]: ",
        "a.toml: faults[1].fault.type: unknown variant `statu`",
        "a.toml: faults[2].fault.code: \"x\" is not accepted; accepted: a status from 200 to 999",
        "a.toml: timeline[0].do[1].fault.fault.after: invalid type: string \"x\", expected a whole number",
        "a.toml: data.\"meta-data/y\": 5 is not accepted; accepted: a text",
        "IMDS_EMULATOR_INSTANCE__LIFE_CYCLE: instance.life-cycle: unknown variant `spott`",
        "--set: journal.capacity: invalid value: integer `-1`",
        "a.toml: instance.account-id: \"12\" is not accepted; accepted: 12 digits",
        "a.toml: instance.image-id: \"ami\" is not accepted",
        "a.toml: instance.network-interfaces[0].interface-id: \"eni-1\" is not accepted",
        "a.toml: instance.tags.\"a/b\": \"a/b\" is not accepted",
        "IMDS_EMULATOR_INSTANCE__IAM__LEAD: instance.iam.lead: \"1day\" is not accepted; accepted: less than",
        "a.toml: faults[0].name: \"x/y\" is not accepted",
        "a.toml: faults[0].when.probability: \"2\" is not accepted",
        "a.toml: faults[0].when.count: \"0\" is not accepted",
        "a.toml: faults[0].fault.code: \"9\" is not accepted",
        "a.toml: data.\"meta-data/x/\": ",
    ];
    assert_eq!(
        lines.next().unwrap(),
        format!("{} errors in the configuration:", expected.len()),
        "{error}"
    );
    for expected in expected {
        assert!(
            error
                .lines()
                .any(|line| line.trim_start().starts_with(expected)),
            "{expected} in {error}"
        );
    }
    assert!(error.contains("did you mean `port`?"), "{error}");
    assert!(error.contains("did you mean `spot`?"), "{error}");
    // What follows from another error is not reported.
    assert!(!error.contains("spot-interruption"), "{error}");
}

#[test]
fn everything_that_is_wrong_with_a_rule_a_step_and_a_change_is_reported() {
    let error = Config::from_toml(
        "
        [[faults]]
        name = 'x/y'
        match = { method = 'get', path = 'x' }
        when = { count = 0, probability = 2.0 }
        fault = { type = 'throttle', rate = 0, burst = 0 }
        [[timeline]]
        name = ''
        do = [
          { change = { instance = { account-id = '1', image-id = '2' } } },
          { change = { metadata-options = { HttpTokens = 'x', HttpEndpoint = 'y' } } },
          { fault = { name = '/', fault = { type = 'down' }, match = { method = 'GET' } } },
        ]
        ",
    )
    .unwrap_err()
    .to_string();
    for key in [
        "faults[0].name",
        "faults[0].match.method",
        "faults[0].match.path",
        "faults[0].when.count",
        "faults[0].when.probability",
        "faults[0].fault.rate",
        "faults[0].fault.burst",
        "timeline[0].name",
        "timeline[0].do[1].change.metadata-options.HttpTokens",
        "timeline[0].do[1].change.metadata-options.HttpEndpoint",
        "timeline[0].do[2].fault.name",
        "timeline[0].do[2].fault.match",
    ] {
        assert!(error.contains(&format!(": {key}: ")), "{key} in {error}");
    }
    let error = Config::from_toml(
        "
        [[timeline]]
        name = 'x'
        do = [{ change = { instance = { account-id = '1', image-id = '2' } } }]
        ",
    )
    .unwrap_err()
    .to_string();
    for key in ["account-id", "image-id"] {
        let key = format!("timeline[0].do[0].change.instance.{key}");
        assert!(error.contains(&format!(": {key}: ")), "{key} in {error}");
    }
}

#[test]
fn blocks_that_cannot_be_read_are_named_and_a_seed_is_not_shown() {
    let error = Config::from_toml(
        "
        server.seed = 987654321
        server.hosts = ['::x']
        instance.vpc.ipv4-cidr-blocks = ['10.0.0.0']
        instance.user-data = 7
        ",
    )
    .unwrap_err()
    .to_string();
    for part in [
        "server.seed: the value is not accepted; accepted: a text",
        "server.hosts[0]: \"::x\" is not accepted; accepted: an IP address",
        "instance.vpc.ipv4-cidr-blocks[0]: \"10.0.0.0\" is not accepted; accepted: ",
        "instance.user-data: 7 is not accepted; accepted: a text",
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
    assert!(!error.contains("987654321"), "{error}");
}

#[test]
fn a_source_that_cannot_be_read_is_the_only_thing_reported_of_what_it_may_have_set() {
    let mut layers = Layers::new();
    layers.toml("a.toml", "[instance\nlife-cycle = 'spot'");
    layers.file(std::path::Path::new("/there/is/none.toml"));
    layers.assign("--set", "events.spot-interruption.action=stop");
    layers.assign("--set", "server.port=x");
    let error = layers.config().unwrap_err().to_string();
    assert!(
        error.starts_with("3 errors in the configuration:\n  a.toml: "),
        "{error}"
    );
    assert!(
        error.contains("\n  /there/is/none.toml: cannot read the configuration: No such file"),
        "{error}"
    );
    assert!(error.contains("\n  --set: server.port: "), "{error}");
}

/// The keys of the errors, in their order.
fn keys(document: &str) -> Vec<String> {
    let error = Config::from_toml(document).unwrap_err().to_string();
    let mut lines: Vec<&str> = error.lines().collect();
    if lines.len() > 1 {
        lines.remove(0);
    }
    let lines = lines.into_iter().map(|line| {
        let line = line.trim_start().strip_prefix("the TOML document: ");
        let key = line.and_then(|line| line.split_once(": "));
        key.map_or_else(|| error.clone(), |(key, _)| key.to_owned())
    });
    lines.collect()
}

#[test]
fn an_entry_keeps_its_index_if_one_before_it_cannot_be_read() {
    assert_eq!(
        keys(
            "
            server.peers = [{ network = 'x', hops = 1 }, 5, { network = '10.0.0.0/8', hops = 99 }]
            [instance]
            product-codes = ['a', 1, '', 2, 3, '']
            tags = { 'x[0]' = '' }
            [[faults]]
            name = 'a'
            fault = { type = 'nope' }
            [[faults]]
            name = 'b'
            fault = { type = 'status', code = 9999 }
            [[faults]]
            name = 'b'
            fault = { type = 'down' }
            [[timeline]]
            name = 'c'
            do = ['nope', { fault = { name = 'd', fault = { type = 'status', code = 9999 } } }]
            [[timeline]]
            [[timeline]]
            name = 'c'
            do = []
            "
        ),
        [
            "faults[0].fault.type",
            "instance.product-codes[1]",
            "instance.product-codes[3]",
            "instance.product-codes[4]",
            "server.peers[0].network",
            "server.peers[1]",
            "timeline[0].do[0]",
            "timeline[1]",
            "timeline[1]",
            "server.peers[2].hops",
            "instance.product-codes[2]",
            "instance.product-codes[5]",
            "instance.tags.\"x[0]\"",
            "faults[1].fault.code",
            "faults[2].name",
            "timeline[0].do[1].fault.fault.code",
            "timeline[2].name",
        ]
    );
}

#[test]
fn an_entry_that_cannot_be_read_hides_no_other_error() {
    for (document, expected) in [
        (
            "
            [[instance.network-interfaces]]
            interface-id = 'eni-00000001'
            private-ipv4s = ['10.0.0.5']
            [[instance.network-interfaces]]
            mac = 'yy'
            interface-id = 'eni-00000002'
            private-ipv4s = ['10.0.0.5']
            ",
            &[
                "instance.network-interfaces[0]",
                "instance.network-interfaces[1].mac",
                "instance.network-interfaces[1].private-ipv4s",
            ][..],
        ),
        (
            "
            [[instance.network-interfaces]]
            mac = 'zz'
            private-ipv4s = ['10.0.0.5']
            ",
            &[
                "instance.network-interfaces[0]",
                "instance.network-interfaces[0].mac",
            ],
        ),
        (
            "
            [[faults]]
            name = 'a'
            fault = { type = 'status', code = 9999 }
            [[faults]]
            name = 'b/'
            match = { method = 'get' }
            fault = { type = 'nope' }
            [[faults]]
            name = 'c'
            fault = { type = 'replace', code = 9999 }
            [[faults]]
            name = 'd/'
            fault = { type = 'quota', window = '0s' }
            ",
            &[
                "faults[1].fault.type",
                "faults[3].fault",
                "faults[0].fault.code",
                "faults[1].name",
                "faults[1].match.method",
                "faults[2].fault.code",
                "faults[3].name",
                "faults[3].fault.window",
            ],
        ),
        (
            "
            [[timeline]]
            do = [{ fault = { name = '/', fault = { type = 'stall', after = 'x' } } }]
            [[events.maintenance]]
            event-id = 'x'
            [[server.peers]]
            hops = 99
            [[instance.public-keys]]
            name = ''
            ",
            &[
                "events.maintenance[0]",
                "instance.public-keys[0]",
                "server.peers[0]",
                "timeline[0]",
                "timeline[0].do[0].fault.fault.after",
                "server.peers[0].hops",
                "instance.public-keys[0].name",
                "events.maintenance[0].event-id",
                "timeline[0].do[0].fault.name",
            ],
        ),
        (
            "
            instance.account-id = '1'
            [[timeline]]
            name = 'a'
            do = [{ change = { instance = { image-id = '2' } } }]
            ",
            &[
                "instance.account-id",
                "timeline[0].do[0].change.instance.image-id",
            ],
        ),
    ] {
        let mut found = keys(document);
        let mut expected = expected.to_vec();
        found.sort();
        expected.sort_unstable();
        assert_eq!(found, expected, "{document}");
    }
}

#[test]
fn what_follows_from_an_entry_that_cannot_be_read_is_not_reported() {
    for (document, expected) in [
        (
            // Some kinds of faults accept no conditions.
            "
            [[faults]]
            name = 'a'
            match = { method = 'GET' }
            when = { count = 1 }
            fault = { type = 'nope', code = 5, boby = 'x' }
            ",
            &["faults[0].fault.type"][..],
        ),
        (
            // The primary interface needs an address, and the index is a default.
            "
            [instance]
            network-interfaces = [
              5,
              { mac = '0a:00:00:00:00:01', interface-id = 'eni-00000001' },
              { mac = '0a:00:00:00:00:02', interface-id = 'eni-00000002', device-number = 3 },
            ]
            ",
            &["instance.network-interfaces[0]"],
        ),
        (
            "
            [[instance.network-interfaces]]
            mac = '0a:00:00:00:00:01'
            interface-id = 'eni-00000001'
            private-ipv4s = ['10.0.0.500']
            public-ipv4s = { '192.0.2.1' = '10.0.0.5' }
            ",
            &["instance.network-interfaces[0].private-ipv4s[0]"],
        ),
        (
            "
            [[timeline]]
            name = 'a'
            do = [
              { chang = { instance = { life-cycle = 'spot' } } },
              { change = { events = { spot-interruption = { action = 'stop' } } } },
            ]
            ",
            &["timeline[0].do[0]"],
        ),
        (
            // No value is compared with one that is missing.
            "
            journal.process = 1
            [[faults]]
            name = 'a'
            fault = { type = 'slicer', variation = 50, delay = '1s' }
            [[faults]]
            name = 'b'
            fault = { type = 'latency', distribution = { type = 'uniform', upper = '0s' } }
            [[timeline]]
            name = 'c'
            on = { request = { of = { process = 'x' } } }
            do = []
            ",
            &[
                "faults[0].fault",
                "faults[1].fault.distribution",
                "journal.process",
            ],
        ),
    ] {
        assert_eq!(keys(document), expected, "{document}");
    }
}

#[test]
fn the_id_of_a_zone_has_a_format() {
    let with = |id: &str| format!("instance.placement.availability-zone-id = '{id}'");
    for id in ["use1-az1", "usw2-lax1-az1", "use1-wl1-bos-wlz1"] {
        Config::from_toml(&with(id)).unwrap();
    }
    for id in ["!!", "us-east-1a", ""] {
        let error = Config::from_toml(&with(id)).unwrap_err().to_string();
        let expected = format!(
            "the TOML document: instance.placement.availability-zone-id: {id:?} is not accepted; \
             accepted: the ID of an Availability Zone like use1-az1"
        );
        assert!(error.starts_with(&expected), "{error}");
    }
}

#[test]
fn a_file_that_is_not_json_is_told_what_is_expected() {
    let path = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("not-json.json");
    std::fs::write(&path, "name: x").unwrap();
    for read in [Layers::file, Layers::aemm_file] {
        let mut layers = Layers::new();
        read(&mut layers, &path);
        let error = layers.config().unwrap_err().to_string();
        let expected = format!(
            "{}: not valid JSON, which is expected here: ",
            path.display()
        );
        assert!(error.starts_with(&expected), "{error}");
        assert!(error.ends_with(" at line 1 column 2"), "{error}");
    }
}
