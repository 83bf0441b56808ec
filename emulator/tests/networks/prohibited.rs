//! The fault `prohibited`.

use std::process::Command;

use crate::{EMULATOR, error, run, text};

/// Connects to both addresses, and prints what becomes of that.
const FUNCTIONS: &str = r#"
cat > "$FOLDER/try" <<'END'
for address in 169.254.169.254 fd00:ec2::254; do
    bash -c "exec 3<>/dev/tcp/$address/80" 2>&1 | grep -m1 -oE 'Permission denied|Connection refused' || echo open
done
END
export FOLDER
"#;

const INJECT_AND_REMOVE: &str = r#"
    sh $FOLDER/try
    $EMULATOR ctl fault add off prohibited FAMILY > /dev/null; sleep 0.2; sh $FOLDER/try
    $EMULATOR ctl fault remove off > /dev/null; sleep 0.2; sh $FOLDER/try
    curl -sS -m 5 -o /dev/null -w "%{http_code}\n" http://169.254.169.254/latest/meta-data/
    curl -sS -m 5 -o /dev/null -w "%{http_code}\n" "http://[fd00:ec2::254]/latest/meta-data/"
"#;

#[test]
fn connecting_fails_as_under_a_prohibit_route() {
    for network in ["--isolated", "--link-local", "--netns /proc/$other/ns/net"] {
        for (family, expected) in [
            ("", "Permission denied\nPermission denied\n"),
            ("family=ipv4", "Permission denied\nopen\n"),
            ("family=ipv6", "open\nPermission denied\n"),
        ] {
            let script = INJECT_AND_REMOVE.replace("FAMILY", family);
            let script = format!(
                "{FUNCTIONS}
                unshare --net sleep 60 & other=$!; trap 'kill $other' EXIT; sleep 0.1
                $EMULATOR run {network} -- sh -c '{script}'"
            );
            let Some(output) = run(&script) else { return };
            let expected = format!("open\nopen\n{expected}open\nopen\n401\n401\n");
            assert_eq!(text(&output), expected, "{network} {family}");
        }
    }
}

#[test]
fn open_connections_stall_until_the_route_is_back() {
    let script = r#"
        $EMULATOR run --isolated -- bash -c '
            for address in 169.254.169.254 fd00:ec2::254; do
                exec 3<>/dev/tcp/$address/80
                $EMULATOR ctl fault add off prohibited > /dev/null; sleep 0.2
                printf "GET /latest/meta-data/ HTTP/1.1\r\nHost: imds\r\n\r\n" >&3
                timeout 0.5 head -1 <&3 || echo stalls
                $EMULATOR ctl fault remove off > /dev/null
                timeout 10 head -1 <&3 | cut -c -12
                exec 3>&-
            done'"#;
    let Some(output) = run(script) else { return };
    let expected = "stalls\nHTTP/1.1 401\nstalls\nHTTP/1.1 401\n";
    assert_eq!(text(&output), expected);
}

#[test]
fn no_route_stays_prohibited() {
    for how in ["-TERM", "-KILL"] {
        let script = format!(
            "{FUNCTIONS}
            start --link-local --set 'faults = [{{ name = \"off\", fault = {{ type = \"prohibited\" }} }}]'; sleep 0.2; sh $FOLDER/try
            stop {how} 2> /dev/null; rm $FOLDER/ready
            start --link-local; sh $FOLDER/try; stop -TERM
            for version in 4 6; do ip -$version route show table local type prohibit; done; addresses"
        );
        let Some(output) = run(&script) else { return };
        assert_eq!(
            text(&output),
            "Permission denied\nPermission denied\nopen\nopen\n",
            "{how}"
        );
    }
}

#[test]
fn elsewhere_the_fault_is_refused() {
    let expected = "use `down`, or one of these options";
    let script = "exec $EMULATOR run -- $EMULATOR ctl fault add off prohibited";
    let Some(output) = run(&format!("ip link set lo up; {script}")) else {
        return;
    };
    assert!(error(&output).contains(expected), "{output:?}");

    const RULE: &str = r#"faults = [{ name = "off", fault = { type = "prohibited" } }]"#;
    for arguments in [&["--port", "0"][..], &["run", "--", "true"]] {
        let output = Command::new(EMULATOR)
            .args(["--set", RULE])
            .args(arguments)
            .output()
            .unwrap();
        assert!(error(&output).contains(expected), "{output:?}");
    }
}
