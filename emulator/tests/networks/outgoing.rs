//! Isolated commands that reach the network outside.

use std::process::{Command, Stdio};

use crate::{error, run, text};

/// Two networks: that of a machine with a default route, and that of a server, where another emulator
/// listens.
const MACHINE: &str = r#"
ip link set lo up
unshare --net sleep 60 & server=$!
trap 'kill $server' EXIT
own=$(readlink /proc/self/ns/net)
until [ "$(readlink /proc/$server/ns/net)" != "$own" ]; do sleep 0.01; done
on_server() { nsenter --target $server --net "$@"; }
ip link add eth0 type veth peer name eth0 netns $server
ip address add 192.0.2.1/24 dev eth0
ip link set eth0 up
ip route add default via 192.0.2.2
on_server ip address add 192.0.2.2/24 dev eth0
on_server ip link set eth0 up
nsenter --target $server --net "$EMULATOR" --host 192.0.2.2 --port 8000 --no-admin > "$FOLDER/server" & other=$!
trap 'kill $other $server' EXIT
until [ -s "$FOLDER/server" ]; do sleep 0.01; done
code() { curl -sS -m 5 -o /dev/null -w '%{http_code}\n' "$@"; }
"#;

fn is_missing() -> bool {
    let mut pasta = Command::new("pasta");
    let pasta = pasta.arg("--version").stdout(Stdio::null());
    let is_missing = pasta.stderr(Stdio::null()).status().is_err();
    if is_missing {
        eprintln!("not run, because pasta (package passt) is not installed");
    }
    is_missing
}

#[test]
fn a_host_like_command_reaches_the_emulator_and_the_network_outside() {
    if is_missing() {
        return;
    }
    // The port on the loopback interface of the machine is that of the admin API of another emulator.
    let script = "start --port 0 --admin-port 2000
        $EMULATOR run --isolated --network host-like --set instance.instance-type=m7g.large -- sh -c '
            code() { curl -sS -m 5 -o /dev/null -w \"%{http_code} \" \"$@\"; }
            code http://169.254.169.254/latest/meta-data/
            code http://[fd00:ec2::254]/latest/meta-data/
            code http://192.0.2.2:8000/latest/meta-data/
            $EMULATOR ctl requests count
            curl -s -m 5 http://127.0.0.1:2000/__admin/health || echo $?
            ip -o -4 address show dev eth0 | grep -o 192.0.2.1/24
            cat /sys/class/dmi/id/sys_vendor
            exit 7'
        echo $?; stop -TERM";
    let Some(output) = run(&format!("{MACHINE}{script}")) else {
        return;
    };
    assert_eq!(
        text(&output),
        "401 401 401 2\n7\n192.0.2.1/24\nAmazon EC2\n7\n"
    );
}

#[test]
fn without_host_like_the_command_reaches_nothing_outside() {
    let script = "$EMULATOR run --isolated -- curl -sS -m 5 http://192.0.2.2:8000/ 2>&1; echo $?
        code http://192.0.2.2:8000/latest/meta-data/";
    let Some(output) = run(&format!("{MACHINE}{script}")) else {
        return;
    };
    let text = text(&output);
    assert!(text.contains("Couldn't connect"), "{text}");
    assert!(text.ends_with("\n7\n401\n"), "{text}");
}

#[test]
fn pasta_ends_with_the_command_and_with_an_emulator_that_is_killed() {
    if is_missing() {
        return;
    }
    for end in ["touch $FOLDER/end", "kill -KILL $emulator"] {
        let script = "$EMULATOR run --isolated --network host-like -- sh -c '
                echo > $FOLDER/runs
                until [ -e $FOLDER/end ]; do sleep 0.01; done' & emulator=$!
            until [ -s $FOLDER/runs ]; do sleep 0.01; done
            # Debian's program changes its name to passt.avx2.
            pasta=$(pgrep -P $emulator '^pas')
            lives $pasta && echo alive
            END; wait $emulator 2> /dev/null
            until_dead $pasta";
        let Some(output) = run(&format!("{MACHINE}{}", script.replace("END", end))) else {
            return;
        };
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert_eq!(stdout, "alive\ndead\n", "{end}: {output:?}");
    }
}

#[test]
fn the_error_tells_what_pasta_says() {
    if is_missing() {
        return;
    }
    // There is no route out of this network.
    let script = "exec $EMULATOR run --isolated --network host-like -- echo runs";
    let Some(output) = run(script) else { return };
    assert!(output.stdout.is_empty(), "{output:?}");
    let error = error(&output);
    assert!(
        error.contains("connecting the network to the one outside failed: pasta ended"),
        "{error}"
    );
    assert!(error.contains("default route"), "{error}");
}

#[test]
fn the_remedy_names_the_device_that_pasta_cannot_open() {
    if is_missing() || !std::path::Path::new("/dev/net").is_dir() {
        return;
    }
    let script = "unshare --mount sh -c '
        mount -t tmpfs none /dev/net
        exec $EMULATOR run --isolated --network host-like -- echo runs'";
    let Some(output) = run(&format!("{MACHINE}{script}")) else {
        return;
    };
    assert!(output.stdout.is_empty(), "{output:?}");
    let error = error(&output);
    assert!(
        error.contains("remedy: pasta opens /dev/net/tun"),
        "{error}"
    );
}

#[test]
fn off_ec2_the_network_outside_is_reached_only_if_the_address_is_not() {
    for how in ["unreachable", "silent"] {
        let script = format!(
            "exec $EMULATOR run --isolated --network host-like --off-ec2 {how} -- echo runs"
        );
        let Some(output) = run(&script) else { return };
        assert!(output.stdout.is_empty(), "{output:?}");
        assert!(error(&output).contains("use `refused`"), "{output:?}");
    }
    if is_missing() {
        return;
    }
    let script = "$EMULATOR run --isolated --network host-like --off-ec2 refused -- sh -c '
        curl -s -m 5 http://169.254.169.254/; echo $?
        curl -s -m 5 -o /dev/null http://192.0.2.2:8000/; echo $?'";
    let Some(output) = run(&format!("{MACHINE}{script}")) else {
        return;
    };
    // curl: the connection was refused.
    assert_eq!(text(&output), "7\n0\n");
}

#[test]
fn without_pasta_the_error_names_the_package() {
    let script = "PATH=/nonexistent exec $EMULATOR run --isolated --network host-like -- echo runs";
    let Some(output) = run(script) else { return };
    assert!(output.stdout.is_empty(), "{output:?}");
    let error = error(&output);
    assert!(error.contains("install the package passt"), "{error}");
}
