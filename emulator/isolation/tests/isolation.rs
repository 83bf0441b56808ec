//! Commands in namespaces. If root runs the tests, an ordinary user runs them as well.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test")]
#![cfg(target_os = "linux")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use imds_isolation::{Facet, Isolation, Launch, Launches};

const NOBODY: u32 = 65_534;

fn isolation() -> Isolation {
    Isolation::new()
        .address("169.254.169.254".parse().unwrap())
        .address("fd00:ec2::254".parse().unwrap())
        .listen("169.254.169.254:80".parse().unwrap())
        .listen("[fd00:ec2::254]:80".parse().unwrap())
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", script]).current_dir("/");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn started(command: &mut Command, isolation: &Isolation) -> Option<(Child, Launch)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut launches: Launches = isolation.install(command).unwrap();
        let child = command.spawn();
        match launches
            .next()
            .await
            .unwrap()
            .expect("the command was started")
        {
            Ok(launch) => Some((child.unwrap(), launch)),
            Err(failure) => {
                eprintln!(
                    "not run: {failure}: {:?}",
                    std::error::Error::source(&failure)
                );
                None
            }
        }
    })
}

#[test]
fn a_compiled_in_address_is_the_callers_socket() {
    for address in ["169.254.169.254", "fd00:ec2::254"] {
        let script = format!("exec 3<>/dev/tcp/{address}/80; echo question >&3; cat <&3");
        let source = "10.0.1.5".parse().unwrap();
        let isolation = isolation().source(source);
        let Some((child, launch)) = started(&mut shell(&script), &isolation) else {
            return;
        };
        let (_, listener) = launch
            .listeners
            .iter()
            .find(|(at, _)| at.ip().to_string() == address)
            .unwrap();
        listener.set_nonblocking(false).unwrap();
        let (mut stream, peer) = listener.accept().unwrap();
        let mut question = [0; 9];
        stream.read_exact(&mut question).unwrap();
        // The connection exists in the command's network only.
        let ours = stream.local_addr().unwrap();
        let inside = launch.sockets.as_ref().unwrap();
        assert!(inside.inode(peer, ours).unwrap().is_some());
        let here = imds_isolation::Sockets::here().unwrap();
        assert_eq!(here.inode(peer, ours).unwrap(), None);
        stream.write_all(b"answer").unwrap();
        drop(stream);
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "answer",
            "{output:?}"
        );
        if peer.is_ipv4() {
            assert_eq!(peer.ip(), source);
        }
    }
}

#[test]
fn an_ordinary_user_can_do_all_of_this() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // The ordinary user may have no access to the folder of the build.
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let tests = folder.path().join("tests");
    std::fs::copy(std::env::current_exe().unwrap(), &tests).unwrap();
    let mut command = Command::new(tests);
    command.current_dir("/").uid(NOBODY).gid(NOBODY);
    let output = loop {
        match command.output() {
            // A test that forked at that moment still has the copy open.
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {}
            // Root of a user namespace that has no other user.
            Err(error) if error.raw_os_error() == Some(22) => return,
            output => break output.unwrap(),
        }
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn nothing_else_is_reachable() {
    // The address belongs to nobody: documentation, RFC 5737.
    let script = "exec 3<>/dev/tcp/192.0.2.1/80";
    let Some((child, _launch)) = started(&mut shell(script), &isolation()) else {
        return;
    };
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("unreachable"), "{stderr}");
}

#[test]
fn the_status_is_the_commands() {
    let Some((mut child, _launch)) = started(&mut shell("exit 7"), &isolation()) else {
        return;
    };
    assert_eq!(child.wait().unwrap().code(), Some(7));
    let (mut child, _launch) = started(&mut shell("kill -USR1 $$; sleep 9"), &isolation()).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(10));
}

#[test]
fn the_command_sees_its_own_processes_user_and_machine() {
    let script = "id -u; ls /proc | grep -c '^[0-9]'; cat /sys/class/dmi/id/sys_vendor \
                  /sys/devices/virtual/dmi/id/sys_vendor /sys/hypervisor/uuid; ls /sys/class/net; \
                  grep instance-data /etc/hosts";
    let isolation = isolation()
        .dmi("sys_vendor", "Amazon EC2")
        .hypervisor_uuid("ec2-1")
        .host("169.254.169.254".parse().unwrap(), "instance-data");
    let Some((child, launch)) = started(&mut shell(script), &isolation) else {
        return;
    };
    assert!(launch.refused.is_empty(), "{:?}", launch.refused);
    let output = child.wait_with_output().unwrap();
    let id = rustix::process::geteuid().as_raw();
    let text = String::from_utf8_lossy(&output.stdout);
    let (first, rest) = text.split_once('\n').unwrap();
    assert_eq!(first, id.to_string());
    let (processes, rest) = rest.split_once('\n').unwrap();
    assert!(processes.parse::<u32>().unwrap() < 6, "{output:?}");
    assert_eq!(
        rest, "Amazon EC2\nAmazon EC2\nec2-1\nlo\n169.254.169.254 instance-data\n",
        "{output:?}"
    );
    assert_eq!(Facet::Proc.description(), "a /proc of the command's own");
}

#[test]
fn the_command_gets_no_descriptors_of_ours() {
    let script = "ls /proc/self/fd";
    let outside = shell(script).output().unwrap();
    let Some((child, _launch)) = started(&mut shell(script), &isolation()) else {
        return;
    };
    let inside = child.wait_with_output().unwrap();
    assert!(inside.status.success(), "{inside:?}");
    assert_eq!(inside.stdout, outside.stdout);
}

#[test]
fn signals_reach_the_command() {
    let script = "trap 'echo got; exit 3' USR2; echo ready; while :; do sleep 0.01; done";
    let Some((mut child, _launch)) = started(&mut shell(script), &isolation()) else {
        return;
    };
    let mut stdout = child.stdout.take().unwrap();
    let mut ready = [0; 6];
    stdout.read_exact(&mut ready).unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::USR2).unwrap();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "got\n");
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[test]
fn a_program_that_does_not_exist_is_an_error_of_spawn() {
    if started(&mut shell("true"), &isolation()).is_none() {
        return;
    }
    let mut command = Command::new("/no/such/program");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _guard = runtime.enter();
    let _launches = isolation().install(&mut command).unwrap();
    let error = command.spawn().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[test]
fn nothing_is_left_when_the_supervisor_is_killed_or_the_launch_dropped() {
    for how in ["kill", "drop"] {
        let marker = format!("86{}{}", std::process::id(), u8::from(how == "kill"));
        let script = format!("sleep {marker} & setsid sleep {marker}");
        let Some((mut child, launch)) = started(&mut shell(&script), &isolation()) else {
            return;
        };
        while running(&marker) < 2 {
            std::thread::sleep(Duration::from_millis(5));
        }
        match how {
            "kill" => child.kill().unwrap(),
            _ => drop(launch),
        }
        child.wait().unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        while running(&marker) > 0 {
            assert!(Instant::now() < deadline, "processes are left");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The number of processes `sleep SECONDS`.
fn running(seconds: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let wanted = format!("sleep\0{seconds}\0");
    processes
        .filter(|process| {
            std::fs::read(process.path().join("cmdline"))
                .is_ok_and(|line| line == wanted.as_bytes())
        })
        .count()
}
