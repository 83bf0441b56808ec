//! The start after an emulator was killed, and beside one that runs.

use crate::{error, run, text};

/// `left` prints what an emulator can leave behind in the network: addresses, routes, queueing
/// disciplines and packet filters. Tools that are not installed print nothing. `get` asks at both
/// addresses, and `again` starts an emulator where there was one.
const FUNCTIONS: &str = r#"
left() {
    $inside ip -o address show dev lo | grep -oE '(169\.254\.169\.254|fd00:ec2::254)/[0-9]+'
    for version in 4 6; do
        $inside ip -$version route show table all | grep -oE '^[a-z]+ (169\.254\.169\.254|fd00:ec2::254)'
    done
    command -v tc > /dev/null && $inside tc qdisc show dev lo | grep -v noqueue
    command -v nft > /dev/null && $inside nft list tables
}
get() {
    for address in 169.254.169.254 '[fd00:ec2::254]'; do
        $inside curl -sS -m 5 -w '\n' "http://$address/latest/meta-data/instance-id"
    done
}
again() { rm -f "$FOLDER/ready"; start "$@"; }
ip link set lo up
unshare --net sleep 60 & other=$!; trap 'kill $other' EXIT; sleep 0.1
"#;

const FAULTS: [&str; 5] = [
    "down",
    "prohibited",
    "packet_loss fraction=1",
    "bandwidth rate=1000",
    "packet_delay delay=1s",
];

/// The networks, and the command that enters them.
const NETWORKS: [(&str, &str); 3] = [
    ("--link-local", ""),
    (
        "--netns /proc/$other/ns/net",
        "nsenter --net=/proc/$other/ns/net",
    ),
    ("--join $other", "nsenter --net=/proc/$other/ns/net"),
];

const ANSWERS: &str = "i-0a1b2c3d4e5f67890\ni-0a1b2c3d4e5f67890\n";

/// Kills an emulator while a fault is in force, runs `between`, starts another emulator, asks that, and
/// stops it. Returns what it has answered, and what is left. `None` where this cannot be done.
fn start_again(
    (network, inside): (&str, &str),
    fault: &str,
    before: &str,
    between: &str,
) -> Option<String> {
    let output = run(&format!(
        "{FUNCTIONS}
        inside=\"{inside}\"; $inside ip link set lo up
        {before}
        start {network}
        $EMULATOR ctl fault add x {fault} 2> $FOLDER/error || cat $FOLDER/error
        sleep 0.1; stop -KILL 2> /dev/null
        {between}
        again {network} --http-tokens optional; get; stop -TERM; left"
    ))?;
    let text = text(&output);
    if text.contains("because it lacks a module") {
        eprintln!("not run for {fault}: {text}");
        return None;
    }
    Some(text)
}

#[test]
fn the_next_start_works_and_leaves_nothing() {
    // Somebody removes the addresses of a killed emulator, and with it the routes of the kernel.
    let removed = "$inside ip address flush dev lo; $inside ip address add 127.0.0.1/8 dev lo";
    for (network, between) in NETWORKS
        .into_iter()
        .chain([NETWORKS[1]])
        .zip(["", "", "", removed])
    {
        for fault in FAULTS {
            let seen = start_again(network, fault, "", between);
            let context = format!("{} {fault} {between}", network.0);
            assert_eq!(seen.as_deref().unwrap_or(ANSWERS), ANSWERS, "{context}");
        }
    }
}

#[test]
fn the_next_start_works_at_addresses_that_were_added_by_hand() {
    let before = "for address in 169.254.169.254/32 fd00:ec2::254/128; do
        $inside ip address add $address dev lo
    done
    sleep 0.1";
    let left = "169.254.169.254/32\nfd00:ec2::254/128\n\
                local 169.254.169.254\nlocal fd00:ec2::254\n";
    for network in NETWORKS {
        for fault in FAULTS {
            if let Some(seen) = start_again(network, fault, before, "") {
                assert_eq!(seen, format!("{ANSWERS}{left}"), "{} {fault}", network.0);
            }
        }
    }
}

#[test]
fn an_emulator_that_lives_keeps_its_addresses_whatever_its_faults() {
    for (network, inside) in NETWORKS {
        for fault in FAULTS {
            let script = format!(
                "{FUNCTIONS}
                inside=\"{inside}\"
                start {network} --http-tokens optional
                $EMULATOR ctl fault add x {fault} > $FOLDER/error 2>&1; sleep 0.1
                $EMULATOR {network} --no-admin; status=$?
                $EMULATOR ctl fault clear; sleep 0.1
                get; echo $emulator; stop -TERM; left; exit $status"
            );
            let Some(output) = run(&script) else { return };
            let stdout = String::from_utf8_lossy(&output.stdout);
            let error = error(&output);
            let id = stdout.strip_prefix(ANSWERS).unwrap_or_default().trim_end();
            let expected = format!("process {id} (imds-emulator) has addresses");
            assert!(
                !id.is_empty() && error.contains(&expected),
                "{network} {fault}: {stdout} {error}"
            );
        }
    }
}
