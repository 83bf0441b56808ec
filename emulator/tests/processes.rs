//! Which process sends which request.

#![expect(clippy::unwrap_used, reason = "a test")]
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;
use std::sync::Arc;

use imds_emulator::config::Config;
use imds_emulator::fault::{Fault, ResetAfter, Rule};
use imds_emulator::journal::{Exchange, Filter, MinRequests, Requests};
use imds_emulator::{Emulator, Isolated, Isolation};
use tokio::process::Command;

/// Three programs: curl, over IPv4 and IPv6, Perl and Bash. The last command is there because a shell
/// may become its last command.
const PROGRAMS: &str = r#"
curl -s -m 5 -o /dev/null http://169.254.169.254/latest/meta-data/; echo $?
curl -s -m 5 -o /dev/null -g 'http://[fd00:ec2::254]/latest/meta-data/'; echo $?
perl -MIO::Socket::INET -e '
    my $imds = IO::Socket::INET->new("169.254.169.254:80") or die "connect: $!";
    syswrite $imds, "GET / HTTP/1.1\r\nHost: imds\r\n\r\n";
    sysread $imds, my $response, 4096;
    print substr($response, 9, 3), "\n";
'
bash -c '
    exec 3<>/dev/tcp/169.254.169.254/80
    printf "GET / HTTP/1.1\r\nHost: imds\r\n\r\n" >&3
    read -r _ status _ <&3
    echo "$status"
'
:
"#;

/// What the programs print if all get a response.
const ANSWERED: &str = "0\n0\n401\n401\n";

async fn emulator(change: impl FnOnce(&mut Config)) -> Emulator {
    Emulator::builder().with(change).start().await.unwrap()
}

async fn told() -> Emulator {
    emulator(|config| config.journal.process = true).await
}

/// Runs the command in namespaces. `None` where they are forbidden, which is said.
async fn run(imds: &Emulator, command: std::process::Command) -> Option<Output> {
    run_with(imds, command, &Isolation::default()).await
}

async fn run_with(
    imds: &Emulator,
    mut command: std::process::Command,
    isolation: &Isolation,
) -> Option<Output> {
    let mut reports = imds.isolate(&mut command, isolation).unwrap();
    let output = Command::from(command).output().await;
    match reports.recv().await.unwrap() {
        Isolated::Failed(error) => {
            eprintln!("not run, because namespaces are forbidden: {error}");
            None
        }
        _ => Some(output.unwrap()),
    }
}

async fn run_programs(imds: &Emulator) -> Option<String> {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", PROGRAMS]);
    let output = run(imds, command).await?;
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

fn all(imds: &Emulator) -> Vec<Arc<Exchange>> {
    imds.find(&Filter::default()).unwrap().exchanges
}

fn of(process: &str) -> Filter {
    serde_json::from_value(serde_json::json!({ "process": process })).unwrap()
}

#[tokio::test]
async fn the_processes_of_an_isolated_command_are_told_apart() {
    let imds = told().await;
    let Some(printed) = run_programs(&imds).await else {
        return;
    };
    assert_eq!(printed, ANSWERED);
    let exchanges = all(&imds);
    let processes: Vec<_> = exchanges
        .iter()
        .map(|exchange| exchange.process.as_deref().unwrap())
        .collect();
    let names: Vec<&str> = processes.iter().map(|process| &*process.name).collect();
    assert_eq!(names, ["curl", "curl", "perl", "bash"]);
    assert_ne!(processes[0].pid, processes[1].pid);
    for process in &processes {
        let parent = process.parent.as_ref().unwrap();
        assert_eq!(parent.name, "sh");
        assert_eq!(process.parent, processes[0].parent);
        assert_ne!(parent.pid, process.pid);
    }
    assert!(
        exchanges[0]
            .to_string()
            .contains(&format!(" by {}", processes[0]))
    );

    for (glob, count) in [("curl", 2), ("CU*", 2), ("{perl,bash}", 2), ("sh", 0)] {
        assert_eq!(imds.count(&of(glob)).unwrap(), count, "{glob}");
    }
    let assertions = [
        requests(2, "curl").into(),
        MinRequests::new(2).of(of("perl")).into(),
    ];
    let report = imds.verify(&assertions).unwrap();
    assert_eq!(
        (report.verdicts[0].holds, report.verdicts[1].holds),
        (true, false)
    );
    assert_eq!(
        report.verdicts[1].assertion.to_string(),
        "at least 2 requests with process=perl"
    );
}

fn requests(number: usize, process: &str) -> Requests {
    Requests::new(number).of(of(process))
}

#[tokio::test]
async fn an_isolated_command_itself_has_no_parent() {
    let imds = told().await;
    let mut command = std::process::Command::new("curl");
    command.args(["-s", "-m", "5", "http://169.254.169.254/latest/meta-data/"]);
    if run(&imds, command).await.is_none() {
        return;
    }
    let exchanges = all(&imds);
    let process = exchanges[0].process.as_deref().unwrap();
    assert_eq!((&*process.name, &process.parent), ("curl", &None));
}

/// A process in a network of its own, which is connected to that of the command.
const CONTAINER: &str = r#"
set -e
unshare --net sleep 60 & container=$!
own=$(readlink /proc/self/ns/net)
until [ "$(readlink /proc/$container/ns/net)" != "$own" ]; do sleep 0.01; done
inside() { nsenter --target $container --net "$@"; }
ip link add bridge type veth peer name eth0 netns $container
ip address add 10.0.0.1/24 dev bridge
ip link set bridge up
inside ip address add 10.0.0.2/24 dev eth0
inside ip link set eth0 up
inside ip route add default via 10.0.0.1
inside curl -sS -m 5 -o /dev/null http://169.254.169.254/latest/meta-data/
kill $container
"#;

#[tokio::test]
async fn a_process_in_a_container_of_the_command_is_known() {
    let imds = told().await;
    let mut command = std::process::Command::new("sh");
    command.args(["-c", CONTAINER]);
    let mut isolation = Isolation::default();
    isolation.map_root = true;
    let Some(output) = run_with(&imds, command, &isolation).await else {
        return;
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains("not found") || stderr.contains("Unknown device type") {
        eprintln!("not run, because the system has no veth or no iproute2: {stderr}");
        return;
    }
    assert!(output.status.success(), "{output:?}");
    let exchanges = all(&imds);
    assert_eq!(exchanges[0].client.to_string(), "10.0.0.2");
    let process = exchanges[0].process.as_deref().unwrap();
    let parent = process.parent.as_ref().unwrap();
    assert_eq!((&*process.name, &*parent.name), ("curl", "sh"));
}

#[tokio::test]
async fn a_fault_can_be_for_one_program_only() {
    let imds = emulator(|_| ()).await;
    let rule = Rule::new("unavailable", Fault::status(503)).process("perl");
    let unavailable = imds.fault(rule).unwrap();
    let Some(printed) = run_programs(&imds).await else {
        return;
    };
    assert_eq!(printed, "0\n0\n503\n401\n");
    // The rule needs to know, so the journal knows as well.
    assert!(all(&imds).iter().all(|exchange| exchange.process.is_some()));

    drop(unavailable);
    let reset = Fault::reset_peer(ResetAfter::Accept);
    let _reset = imds
        .fault(Rule::new("reset", reset).process("CURL"))
        .unwrap();
    imds.clear_journal();
    assert_eq!(run_programs(&imds).await.unwrap(), "56\n56\n401\n401\n");
    let applied: Vec<usize> = all(&imds)
        .iter()
        .map(|exchange| exchange.rules.len())
        .collect();
    assert_eq!(applied, [1, 1, 0, 0]);
}

#[tokio::test]
async fn a_process_on_this_machine_is_known_too() {
    let imds = told().await;
    let mut command = Command::new("curl");
    command.args(["-s", "-m", "5", imds.url()]);
    let mut child = command.spawn().unwrap();
    let pid = child.id();
    child.wait().await.unwrap();
    let exchanges = all(&imds);
    let process = exchanges[0].process.as_deref().unwrap();
    assert_eq!((Some(process.pid), &*process.name), (pid, "curl"));
    let parent = process.parent.as_ref().unwrap();
    assert_eq!(parent.pid, std::process::id());

    let stream = tokio::net::TcpStream::connect(imds.address())
        .await
        .unwrap();
    stream.writable().await.unwrap();
    stream
        .try_write(b"GET / HTTP/1.1\r\nHost: imds\r\n\r\n")
        .unwrap();
    stream.readable().await.unwrap();
    let exchanges = all(&imds);
    let process = exchanges[1].process.as_deref().unwrap();
    assert_eq!(process.pid, std::process::id());
}

/// The kernel truncates names to 15 bytes.
#[tokio::test]
async fn a_script_has_its_own_name_however_long() {
    let imds = told().await;
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("ec2-metadata-report");
    let client = format!(
        "#!/bin/bash\nexec 3<>/dev/tcp/{}/{}\nprintf 'GET / HTTP/1.1\\r\\nHost: imds\\r\\n\\r\\n' >&3\nread -r line <&3\n",
        imds.address().ip(),
        imds.address().port()
    );
    fs::write(&script, client).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(Command::new(&script).status().await.unwrap().success());
    let exchanges = all(&imds);
    let process = exchanges[0].process.as_deref().unwrap();
    assert_eq!(process.name, "ec2-metadata-report");
    assert_eq!(imds.count(&of("ec2-metadata-*")).unwrap(), 1);
}

#[tokio::test]
async fn processes_are_looked_up_only_on_demand() {
    let imds = emulator(|_| ()).await;
    let curl = async || {
        let mut command = Command::new("curl");
        command.args(["-s", "-m", "5", imds.url()]);
        command.status().await.unwrap();
    };
    curl().await;
    assert_eq!(all(&imds)[0].process, None);
    for error in [
        imds.find(&of("curl")).unwrap_err(),
        imds.verify(&[requests(1, "curl").into()]).unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(text.contains("process: \"curl\" is not accepted"), "{text}");
        assert!(text.contains("unless `journal.process` is true"), "{text}");
    }
    imds.change(|config| config.journal.process = true).unwrap();
    curl().await;
    assert_eq!(imds.count(&of("curl")).unwrap(), 1);
}

#[test]
fn patterns_of_processes_are_checked() {
    let step =
        "[[timeline]]\nname = \"x\"\non = { request = { of = { process = \"x\" } } }\ndo = []";
    let rule = "[[faults]]\nname = \"x\"\nmatch = { process = \"[\" }\nfault = { type = \"down\" }";
    for (toml, key) in [
        (step, "timeline[0].on.request.of.process: \"x\""),
        (rule, "faults[0].match.process: \"[\""),
    ] {
        let error = Config::from_toml(toml).unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
    let told = format!("journal.process = true\n{step}");
    assert!(Config::from_toml(&told).is_ok());
}
