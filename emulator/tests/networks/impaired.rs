//! Faults that act on packets: `packet_loss`, `packet_delay` and `bandwidth`.

use crate::{error, run, text};

/// The networks in which the emulator can act on packets.
const NETWORKS: [&str; 3] = ["--isolated", "--link-local", "--netns /proc/$other/ns/net"];
/// The length of the response that `get` asks for, in bytes.
const LENGTH: u32 = 16_000;

/// `get` asks for a long response at both addresses, like a program that has them compiled in, and
/// prints the status and how long connecting and everything took. `resent` prints how many packets
/// TCP has sent again, and `fault` changes the rules and waits until that has taken effect.
const FUNCTIONS: &str = r#"
get() {
    for address in 169.254.169.254 "[fd00:ec2::254]"; do
        curl -s -m ${1:-30} -o /dev/null -w "%{http_code} %{time_connect} %{time_total}\n" "http://$address/latest/user-data"
    done
}
both() {
    for address in 169.254.169.254 "[fd00:ec2::254]"; do
        curl -s -m 30 -o /dev/null -w "%{http_code} %{time_connect} %{time_total}\n" "http://$address/latest/user-data" &
    done
    wait
}
resent() { awk "/^Tcp: [0-9]/ { print \$13 }" /proc/net/snmp; }
fault() { $EMULATOR ctl fault "$@" > /dev/null && sleep 0.2; }
"#;

/// Runs a script in one of the networks, as a command of an emulator that serves the long response.
fn run_in(options: &str, network: &str, script: &str) -> Option<String> {
    let mut functions = String::from(FUNCTIONS);
    functions.push_str(script);
    let body = "x".repeat(LENGTH as usize);
    let script = format!(
        r#"
        unshare --net sleep 60 & other=$!; trap 'kill $other' EXIT; sleep 0.1
        cat > $FOLDER/script <<'END'
{functions}
END
        export FOLDER
        $EMULATOR --http-tokens optional --set "data = {{ user-data = '{body}' }}" {options} run {network} -- sh $FOLDER/script"#
    );
    Some(text(&run(&script)?))
}

/// The lines of `get`: status, seconds until the connection was open, and until the end.
fn seen(line: &str) -> (u32, f64, f64) {
    let mut numbers = line.split(' ');
    let mut next = || numbers.next().unwrap();
    (
        next().parse().unwrap(),
        next().parse().unwrap(),
        next().parse().unwrap(),
    )
}

#[test]
fn a_body_takes_as_long_as_the_bandwidth_makes_it_take() {
    const RATE: u32 = 10_000;
    // Of the packets of a response, the last one does not have to wait for others. It is as long as
    // the MTU at most.
    let least = f64::from(LENGTH - 9_001) / f64::from(RATE);
    for network in NETWORKS {
        let script =
            format!("get; fault add slow bandwidth rate={RATE}; get; fault remove slow; get");
        let Some(printed) = run_in("", network, &script) else {
            return;
        };
        let seen: Vec<_> = printed.lines().map(seen).collect();
        assert_eq!(seen.len(), 6, "{network}: {printed}");
        for (at, (status, _, took)) in seen.into_iter().enumerate() {
            assert_eq!(status, 200, "{network}: {printed}");
            let is_slow = (2..4).contains(&at);
            assert_eq!(took >= least, is_slow, "{network}: {printed}");
        }
    }
}

#[test]
fn both_addresses_share_the_bandwidth() {
    const RATE: u32 = 10_000;
    // The last packet and those after a pause do not have to wait for others.
    let least = f64::from(2 * LENGTH - 9_001 - 1_600) / f64::from(RATE);
    for network in NETWORKS {
        let script = format!("fault add slow bandwidth rate={RATE}; both; fault remove slow; both");
        let Some(printed) = run_in("", network, &script) else {
            return;
        };
        let seen: Vec<_> = printed.lines().map(seen).collect();
        assert_eq!(seen.len(), 4, "{network}: {printed}");
        for (pair, is_slow) in seen.chunks(2).zip([true, false]) {
            assert!(pair.iter().all(|(status, ..)| *status == 200), "{printed}");
            let slower = pair[0].2.max(pair[1].2);
            assert_eq!(slower >= least, is_slow, "{network}: {printed}");
        }
    }
}

#[test]
fn lost_packets_are_sent_again() {
    const MANY: &str = "for i in 1 2 3 4 5 6 7 8; do get > /dev/null & done; wait; resent";
    for network in NETWORKS {
        let script = format!(
            "{MANY}; fault add lossy packet_loss fraction=0.1; {MANY}; fault remove lossy; get"
        );
        let Some(printed) = run_in("", network, &script) else {
            return;
        };
        let lines: Vec<&str> = printed.lines().collect();
        let [before, after, ipv4, ipv6] = lines[..] else {
            panic!("{network}: {printed}")
        };
        assert_eq!(before, "0", "{network}: {printed}");
        // Of the packets of 16 connections, about 16 are lost.
        assert!(after.parse::<u32>().unwrap() >= 1, "{network}: {printed}");
        for line in [ipv4, ipv6] {
            // The first packet that is lost costs 0.2 seconds.
            let (status, _, took) = seen(line);
            assert!(status == 200 && took < 0.2, "{network}: {printed}");
        }
    }
}

#[test]
fn the_clock_the_timeline_and_the_journal_know_these_faults() {
    let rule = r#"{ "name": "cut", "fault": { "type": "packet_loss", "fraction": 1 }, "when": { "after": "1h", "duration": "1h" } }"#;
    let script = format!(
        "fault add '{rule}'; get 1
        for hour in 1 2; do $EMULATOR ctl clock advance 1h > /dev/null; sleep 0.2; get 1; done
        $EMULATOR ctl timeline take slow > /dev/null; sleep 0.2; get | cut -c -3
        $EMULATOR ctl fault list
        $EMULATOR ctl requests list | sed -n 's/.*\\[\\(.*\\)\\].*/\\1/p'"
    );
    let step = r#"--set 'timeline = [{ name = "slow", do = [{ fault = { name = "slow", fault = { type = "bandwidth", rate = 50000 } } }] }]'"#;
    let Some(printed) = run_in(step, "--isolated", &script) else {
        return;
    };
    let lines: Vec<&str> = printed.lines().collect();
    let status: Vec<&str> = lines.iter().take(6).map(|line| &line[..3]).collect();
    assert_eq!(
        status,
        ["200", "200", "000", "000", "200", "200"],
        "{printed}"
    );
    let rest = [
        "200",
        "200",
        r#"cut: {"type":"packet_loss","fraction":1.0} (applied to 0)"#,
        r#"slow: {"type":"bandwidth","rate":50000} (applied to 2)"#,
        "slow",
        "slow",
    ];
    assert_eq!(lines[6..], rest, "{printed}");
}

#[test]
fn packets_are_late() {
    let script = "fault add late packet_delay delay=40ms jitter=1ms 2> $FOLDER/error || cat $FOLDER/error; get; fault remove late 2> /dev/null; get";
    for network in NETWORKS {
        let Some(printed) = run_in("", network, script) else {
            return;
        };
        if printed.contains("not possible here") {
            let expected = "the kernel cannot delay packets, because it lacks a module; it needs sch_netem, \
                            sch_htb and cls_u32; use `latency`";
            assert!(printed.contains(expected), "{printed}");
            eprintln!("not run, because the kernel has no netem: {printed}");
            continue;
        }
        let connected: Vec<f64> = printed.lines().map(|line| seen(line).1).collect();
        assert_eq!(connected.len(), 4, "{printed}");
        assert!(
            connected[..2].iter().all(|took| *took >= 0.078),
            "{printed}"
        );
        assert!(connected[2..].iter().all(|took| *took < 0.078), "{printed}");
    }
}

#[test]
fn the_next_start_removes_what_a_killed_emulator_did_to_packets() {
    let faults = r#"--set 'faults = [
        { name = "cut", fault = { type = "packet_loss", fraction = 1 } },
        { name = "slow", fault = { type = "bandwidth", rate = 1000 } },
    ]'"#;
    let script = format!(
        "start --link-local {faults}; sleep 0.2
        curl -s -m 1 http://169.254.169.254/ || echo $?
        stop -KILL 2> /dev/null; rm $FOLDER/ready
        start --link-local --http-tokens optional; ask; stop -TERM; addresses"
    );
    let Some(output) = run(&script) else { return };
    let id = "i-0123456789abcdef0";
    let printed = text(&output);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[0], "28", "{printed}");
    assert_eq!(lines[1..].len(), 2, "{printed}");
    assert!(
        lines[1..].iter().all(|line| line.len() == id.len()),
        "{printed}"
    );
}

#[test]
fn where_the_emulator_owns_no_network_these_faults_are_refused() {
    for (fault, instead) in [
        (
            "packet_loss fraction=0.1",
            "use `blackhole` with `when.probability`",
        ),
        ("packet_delay delay=1s", "use `latency`"),
        ("bandwidth rate=1000", "use `slow_body`"),
    ] {
        let script =
            format!("ip link set lo up; exec $EMULATOR run -- $EMULATOR ctl fault add x {fault}");
        let Some(output) = run(&script) else { return };
        let error = error(&output);
        assert!(error.contains("only for isolated commands"), "{error}");
        assert!(error.contains(instead), "{error}");
    }
}

#[test]
fn a_queueing_discipline_of_another_program_stays_and_is_the_reason_of_the_error() {
    for network in ["--link-local", "--netns /proc/$other/ns/net"] {
        let script = format!(
            "unshare --net sleep 60 & other=$!; trap 'kill $other' EXIT; sleep 0.1
            for enter in '' \"nsenter --net=/proc/$other/ns/net\"; do
                $enter tc qdisc add dev lo root handle 1: pfifo || exit 7
            done
            $EMULATOR run {network} -- $EMULATOR ctl fault add slow bandwidth rate=5000
            for enter in '' \"nsenter --net=/proc/$other/ns/net\"; do
                $enter tc qdisc show dev lo root
            done
            exit 1"
        );
        let Some(output) = run(&script) else { return };
        if output.status.code() == Some(7) {
            eprintln!("not run, because tc is missing: {output:?}");
            return;
        }
        let error = error(&output);
        let expected = "a queueing discipline of another program, which the emulator does not replace \
                        (`tc qdisc delete dev lo root` removes it); use `slow_body`";
        assert!(error.contains(expected), "{network}: {error}");
        let stays = String::from_utf8_lossy(&output.stdout);
        assert_eq!(stays.matches("pfifo 1:").count(), 2, "{network}: {stays}");
    }
}

#[test]
fn the_list_says_that_a_queueing_discipline_of_the_command_is_in_the_way() {
    let script = "exec $EMULATOR run --isolated --map-root -- sh -c '
        tc qdisc add dev lo root handle 1: pfifo || exit 7
        $EMULATOR ctl fault add slow bandwidth rate=5000
        sleep 0.2; $EMULATOR ctl fault list
        tc qdisc delete dev lo root
        sleep 0.2; $EMULATOR ctl fault list'";
    let Some(output) = run(script) else { return };
    if output.status.code() == Some(7) {
        eprintln!("not run, because tc is missing: {output:?}");
        return;
    }
    let rule = r#"slow: {"type":"bandwidth","rate":5000} (applied to 0)"#;
    let text = text(&output);
    let (first, second) = text.trim_end().split_once('\n').unwrap();
    let problem = first.strip_prefix(rule).unwrap();
    let expected = "; not in effect: the kernel cannot limit the bandwidth, because the loopback \
                    interface has a queueing discipline of another program";
    assert!(problem.starts_with(expected), "{problem}");
    assert_eq!(second, rule);
}

#[test]
fn off_ec2_these_faults_are_refused() {
    for off_ec2 in ["refused", "unreachable", "silent"] {
        for fault in [
            "packet_loss fraction=0.1",
            "packet_delay delay=1s",
            "bandwidth rate=1000",
            "prohibited",
        ] {
            let script = format!(
                "exec $EMULATOR run --isolated --off-ec2 {off_ec2} -- $EMULATOR ctl fault add x {fault}"
            );
            let Some(output) = run(&script) else { return };
            let error = error(&output);
            assert!(error.contains("omit --off-ec2"), "{off_ec2}: {error}");
        }
    }
    let rule = r#"faults = [{ name = "cut", fault = { type = "packet_loss", fraction = 1 } }]"#;
    let script = format!(
        "exec $EMULATOR --set '{rule}' run --isolated --off-ec2 silent -- touch $FOLDER/ran"
    );
    let Some(output) = run(&script) else { return };
    let error = error(&output);
    assert!(error.contains("omit --off-ec2"), "{error}");
}
