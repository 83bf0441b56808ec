//! The addresses of IMDS on the loopback interface of a network that exists.

use std::process::Command;

use crate::{EMULATOR, error, run, text};

const BOTH: &str = "169.254.169.254/32\nfd00:ec2::254/128\n";
const ASKED: &str = "i-0a1b2c3d4e5f67890\ni-0a1b2c3d4e5f67890\n";

#[test]
fn programs_of_the_network_reach_the_emulator_until_it_stops() {
    let script = "start --link-local; addresses; ask; stop -TERM; echo $?; addresses";
    let Some(output) = run(script) else { return };
    assert_eq!(text(&output), format!("{BOTH}{ASKED}0\n"));
}

#[test]
fn a_server_of_the_network_is_not_disturbed() {
    let script = "ip link set lo up; ip address show dev lo > $FOLDER/before
        start --link-local; ip link show dev lo | grep -o 'mtu [0-9]*'; stop -TERM
        ip address show dev lo | diff $FOLDER/before -";
    let Some(output) = run(script) else { return };
    assert_eq!(text(&output), "mtu 65536\n");
}

#[test]
fn the_next_start_removes_what_a_killed_emulator_left() {
    let script = "start --link-local; stop -KILL 2> /dev/null; addresses; echo; rm $FOLDER/ready
        start --link-local; ask; stop -TERM; addresses";
    let Some(output) = run(script) else { return };
    assert_eq!(text(&output), format!("{BOTH}\n{ASKED}"));
}

#[test]
fn addresses_that_were_added_by_hand_stay() {
    let script = "ip link set lo up; ip address add 169.254.169.254/32 dev lo
        start --link-local; ask; stop -TERM; addresses";
    let Some(output) = run(script) else { return };
    assert_eq!(text(&output), format!("{ASKED}169.254.169.254/32\n"));
}

#[test]
fn a_second_emulator_fails_and_the_first_keeps_its_addresses() {
    let script = "start --link-local; $EMULATOR --link-local --no-admin; status=$?; ask
        stop -TERM; addresses; exit $status";
    let Some(output) = run(script) else { return };
    assert_eq!(String::from_utf8_lossy(&output.stdout), ASKED);
    let error = error(&output);
    assert!(
        error.contains("(imds-emulator) has addresses of the loopback interface"),
        "{error}"
    );
    assert!(error.contains("remedy: stop that emulator"), "{error}");
}

#[test]
fn a_failed_start_leaves_no_addresses() {
    // The other server listens on all IPv4 addresses.
    let script = "ip link set lo up; $EMULATOR --host 0.0.0.0 --port 80 --no-admin > $FOLDER/other & other=$!
        until [ -s $FOLDER/other ]; do sleep 0.01; done
        $EMULATOR --link-local --no-admin; status=$?; addresses; kill $other; exit $status";
    let Some(output) = run(script) else { return };
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert!(error(&output).contains("on port 80 of all addresses"));
}

#[test]
fn an_address_of_another_interface_is_not_taken_over() {
    let script = "ip link add cloud type veth; ip address add 169.254.169.254/16 dev cloud
        $EMULATOR --link-local; status=$?; addresses; ip -o address show dev cloud; exit $status";
    let Some(output) = run(script) else { return };
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        stdout.contains("cloud    inet 169.254.169.254/16"),
        "{stdout}"
    );
    // Nothing was added to `lo`.
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    let error = error(&output);
    let expected = "169.254.169.254 is an address of the network interface cloud already";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn without_the_capability_the_error_names_it() {
    let script = "exec setpriv --bounding-set=-net_admin $EMULATOR --link-local";
    let Some(output) = run(script) else { return };
    let error = error(&output);
    assert!(
        error.contains("cannot add 169.254.169.254 to the loopback interface"),
        "{error}"
    );
    assert!(error.contains("--cap-add NET_ADMIN"), "{error}");
}

/// The emulator runs without the capability, so it can add no address even if it tries.
#[test]
fn the_network_of_a_machine_is_refused() {
    let mut hardware = std::fs::read_dir("/sys/class/net").unwrap().flatten();
    if !hardware.any(|link| link.path().join("device").exists()) {
        eprintln!("not run, because this network has no hardware interface");
        return;
    }
    let drop = ["--bounding-set=-net_admin", "--no-new-privs"];
    let output = Command::new("timeout")
        .args(["60", "setpriv"])
        .args(drop)
        .args([EMULATOR, "--link-local"])
        .output()
        .unwrap();
    if String::from_utf8_lossy(&output.stderr).starts_with("setpriv:") {
        eprintln!("not run, because capabilities cannot be dropped");
        return;
    }
    let error = error(&output);
    assert!(error.contains("the network of a whole machine"), "{error}");
    assert!(error.contains("run --isolated"), "{error}");
}

#[test]
fn a_network_without_ipv6_has_the_ipv4_address() {
    let script = "ip link set lo up; echo 1 > /proc/sys/net/ipv6/conf/lo/disable_ipv6
        start --link-local; addresses; ask 2> /dev/null; stop -TERM";
    let Some(output) = run(script) else { return };
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        stdout, "169.254.169.254/32\ni-0a1b2c3d4e5f67890\n",
        "{output:?}"
    );
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("warning: fd00:ec2::254 is not available"),
        "{stderr}"
    );
}

#[test]
fn run_needs_no_variables_and_faults_act() {
    let script = "$EMULATOR run --link-local -- sh -c '
            env | grep -c AWS_EC2_METADATA
            curl -sS -m 5 -o /dev/null -w \"%{http_code} \" http://169.254.169.254/latest/meta-data/
            $EMULATOR ctl fault add down down > /dev/null; sleep 0.1
            curl -s -m 5 http://169.254.169.254/latest/meta-data/; echo $?
            $EMULATOR ctl fault remove down > /dev/null; sleep 0.1
            curl -sS -m 5 -o /dev/null -w \"%{http_code}\\n\" http://169.254.169.254/latest/meta-data/
            exit 7'; echo $?; addresses";
    let Some(output) = run(script) else { return };
    // curl: the connection was refused.
    assert_eq!(text(&output), "0\n401 7\n401\n7\n");
}

/// A process with a network of its own, like one of a container.
const OTHER: &str = r#"
ip link set lo up
unshare --net sleep 60 & container=$!
own=$(readlink /proc/self/ns/net)
until [ "$(readlink /proc/$container/ns/net)" != "$own" ]; do sleep 0.01; done
inside() { nsenter --target $container --net "$@"; }
trap 'kill $container' EXIT
"#;

#[test]
fn run_uses_the_network_of_a_process_or_a_file() {
    for option in ["--join $container", "--netns /proc/$container/ns/net"] {
        let script = format!(
            "{OTHER}{}",
            "$EMULATOR run OPTION -- sh -c '
                readlink /proc/self/ns/net
                $EMULATOR ctl verify no_imdsv1 > /dev/null && echo verified
                curl -sS -m 5 -o /dev/null -w \"%{http_code}\\n\" http://169.254.169.254/latest/meta-data/
                exit 7' > $FOLDER/output; echo $?
            [ $(head -1 $FOLDER/output) = $(readlink /proc/$container/ns/net) ] && echo inside
            sed 1d $FOLDER/output
            addresses; inside ip -o address | grep 169.254"
        );
        let Some(output) = run(&script.replace("OPTION", option)) else {
            return;
        };
        assert_eq!(text(&output), "7\ninside\nverified\n401\n", "{option}");
    }
}

#[test]
fn a_running_container_is_served_from_outside() {
    let script = "start --join $container --set journal.process=true
        inside curl -sS -m 5 -o /dev/null -w '%{http_code}\\n' http://169.254.169.254/latest/meta-data/
        $EMULATOR ctl requests count path=/latest/meta-data/
        $EMULATOR ctl requests count process=curl
        inside $EMULATOR ctl health
        addresses
        stop -TERM
        inside ip -o address | grep 169.254";
    let Some(output) = run(&format!("{OTHER}{script}")) else {
        return;
    };
    assert_eq!(text(&output), "401\n1\n1\nok\n");
}

/// The user made the container, and has no capability outside.
#[test]
fn the_owner_of_a_rootless_container_needs_no_capability() {
    let other = OTHER.replace("unshare --net", "unshare --user --map-root-user --net");
    let script = "export container
        setpriv --bounding-set=-all $EMULATOR run --join $container -- sh -c '
            [ $(readlink /proc/self/ns/user) = $(readlink /proc/$container/ns/user) ] && echo user
            curl -sS -m 5 -o /dev/null -w \"%{http_code}\\n\" http://169.254.169.254/latest/meta-data/'
        nsenter --target $container --user --preserve-credentials --net ip -o address | grep 169.254";
    let Some(output) = run(&format!("{other}{script}")) else {
        return;
    };
    assert_eq!(text(&output), "user\n401\n");
}

/// A command with a child, an orphan, and a process of another session.
const FAMILY: &str = r#"
echo $$ > $FOLDER/pids
sleep 60 & echo $! >> $FOLDER/pids
(sleep 60 & echo $! >> $FOLDER/pids)
setsid sh -c 'echo $$ >> $FOLDER/pids; exec sleep 60' &
until [ $(wc -l < $FOLDER/pids) = 4 ]; do sleep 0.01; done
echo > $FOLDER/started
"#;

#[test]
fn nothing_of_the_command_is_left_when_the_emulator_is_killed_or_the_command_ends() {
    for option in [
        "--link-local",
        "--join $container",
        "--netns /proc/$container/ns/net",
    ] {
        for (rest, end, status) in [
            ("sleep 60", "kill -KILL $run", "137"),
            ("sleep 60", "kill -TERM $run", "143"),
            ("exit 7", ":", "7"),
        ] {
            let script = format!(
                "cat > $FOLDER/family; echo '{rest}' >> $FOLDER/family; export FOLDER
                $EMULATOR run {option} -- sh $FOLDER/family & run=$!
                until [ -s $FOLDER/started ]; do sleep 0.01; done
                {end}; wait $run 2> /dev/null; echo $?
                for process in $(cat $FOLDER/pids); do until_dead $process; done"
            );
            let script = script.replacen(
                "cat > $FOLDER/family;",
                &format!("cat > $FOLDER/family <<'END'\n{FAMILY}\nEND\n"),
                1,
            );
            let Some(output) = run(&format!("{OTHER}{script}")) else {
                return;
            };
            let stdout = String::from_utf8_lossy(&output.stdout);
            let expected = format!("{status}\ndead\ndead\ndead\ndead\n");
            assert_eq!(stdout, expected, "{option} {rest} {end}: {output:?}");
        }
    }
}

#[test]
fn packets_are_counted_there_and_not_elsewhere() {
    const SCRIPT: &str = "run OPTION -- sh -c '
        curl -s -o /dev/null http://169.254.169.254/
        $EMULATOR ctl packets'";
    for option in ["--link-local", "--join $container", "--isolated"] {
        let script = SCRIPT.replace("OPTION", option);
        let script = format!("$EMULATOR --set journal.packets=true {script}");
        let Some(output) = run(&format!("{OTHER}{script}")) else {
            return;
        };
        let text = text(&output);
        // SYN, ACK, request, ACK of the response, FIN.
        let sent = text.strip_prefix("packets sent: ").unwrap();
        let sent: u64 = sent.split_once(',').unwrap().0.parse().unwrap();
        assert!((4..=7).contains(&sent), "{option}: {text}");
    }
    let script = "$EMULATOR --set journal.packets=true run -- $EMULATOR ctl packets";
    let Some(output) = run(&format!("{OTHER}{script}")) else {
        return;
    };
    let error = error(&output);
    assert!(error.contains("elsewhere packets are longer"), "{error}");
}

#[test]
fn errors_of_another_network_name_it() {
    for (option, expected) in [
        ("--join 4194304", "cannot open /proc/4194304/ns/net"),
        (
            "--netns no-such-name",
            "cannot open /run/netns/no-such-name",
        ),
        ("--netns /etc/hosts", "the file is not a network namespace"),
        (
            "--netns /proc/self/ns/mnt",
            "the file is not a network namespace",
        ),
    ] {
        let Some(output) = run(&format!("exec $EMULATOR {option}")) else {
            return;
        };
        let error = error(&output);
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("remedy: "), "{error}");
    }
}

#[test]
fn who_may_not_enter_a_network_of_the_same_user_namespace_is_told_to_run_as_root() {
    let drop_capabilities = "setpriv --bounding-set=-all --inh-caps=-all";
    let script = format!(
        "exec unshare --mount sh -c '
            mount -t tmpfs none /run && ip netns add other && {drop_capabilities} true || exit 7
            exec {drop_capabilities} $EMULATOR --netns other'"
    );
    let Some(output) = run(&script) else { return };
    if output.status.code() == Some(7) {
        eprintln!("not run, because a network cannot be made here: {output:?}");
        return;
    }
    let error = error(&output);
    assert!(error.contains("Operation not permitted"), "{error}");
    assert!(error.contains("remedy: run as root"), "{error}");
}

#[test]
fn contradictory_options_are_refused() {
    for arguments in [
        &["--link-local", "--port", "80"][..],
        &["--link-local", "--host", "127.0.0.1"],
        &["--link-local", "--join", "1"],
        &["--join", "1", "--netns", "name"],
        &["--join", "0"],
        &["run", "--join", "1", "--port", "80", "--", "true"],
    ] {
        let output = Command::new(EMULATOR).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
    }
    let arguments = ["run", "--isolated", "--link-local", "--", "true"];
    let output = Command::new(EMULATOR).args(arguments).output().unwrap();
    let error = error(&output);
    assert!(
        error.contains("--isolated makes a network of its own"),
        "{error}"
    );
}
