//! What becomes of a command that is run: its signals, and its end. `imds-emulator run` uses the same code.

#![cfg(target_os = "linux")]

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::support::{command, lines, until};

const SERVE: [&str; 5] = ["serve", "--emulator", "--", "sh", "-c"];

/// The command, which says "ready" when it is, and then what happens to it.
struct Started {
    child: Child,
    said: Receiver<String>,
}

impl Started {
    fn new(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let said = lines(child.stdout.take().unwrap());
        Self { child, said }
    }

    /// A shell script under `serve`.
    fn script(script: &str) -> Self {
        let mut command = with_signals(&SERVE);
        command.arg(script);
        Self::new(command)
    }

    fn next(&self) -> String {
        self.said.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    fn kill(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Our command with the usual signals, even if the tests run under `nohup` or in the background, and
/// in a process group that has a parent outside, without which a SIGTSTP stops nothing.
fn with_signals(arguments: &[&str]) -> Command {
    let inner = command(arguments);
    let mut command = Command::new("env");
    command
        .arg("--default-signal")
        .arg(inner.get_program())
        .args(inner.get_args())
        .env_clear()
        .envs(
            inner
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .process_group(0);
    command
}

fn state(pid: Pid) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

fn pid(line: &str) -> Pid {
    Pid::from_raw(line.parse().unwrap()).unwrap()
}

#[test]
fn every_signal_reaches_the_command() {
    let names = [
        "HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "CONT", "WINCH",
    ];
    let traps: String = names
        .iter()
        .map(|name| format!("trap 'echo {name}' {name}; "))
        .collect();
    let script =
        format!("{traps} trap 'echo TERM; exit 7' TERM; echo ready; while :; do sleep 0.05; done");
    let mut started = Started::script(&script);
    assert_eq!(started.next(), "ready");
    for (name, signal) in names.iter().zip([
        Signal::HUP,
        Signal::INT,
        Signal::QUIT,
        Signal::USR1,
        Signal::USR2,
        Signal::ALARM,
        Signal::CONT,
        Signal::WINCH,
    ]) {
        started.kill(signal);
        assert_eq!(started.next(), *name);
    }
    started.kill(Signal::TERM);
    assert_eq!(started.next(), "TERM");
    assert_eq!(started.child.wait().unwrap().code(), Some(7));
}

#[test]
fn both_stop_and_both_continue() {
    let started = Started::script("echo $$; while :; do sleep 0.05; done");
    let ours = Pid::from_child(&started.child);
    let its = pid(&started.next());
    started.kill(Signal::TSTP);
    until(|| state(ours) == Some('T') && state(its) == Some('T'));
    started.kill(Signal::CONT);
    until(|| state(ours) != Some('T') && state(its) != Some('T'));
}

#[test]
fn the_command_does_not_outlive_its_endpoint() {
    for arguments in [&SERVE[..], &["exec", "--emulator", "--", "sh", "-c"]] {
        let mut command = with_signals(arguments);
        command.arg("trap '' HUP INT TERM; echo $$; while :; do sleep 0.05; done");
        let started = Started::new(command);
        let its = pid(&started.next());
        started.kill(Signal::KILL);
        until(|| test_kill_process(its).is_err() || state(its) == Some('Z'));
    }
}

#[test]
fn what_is_ignored_from_the_start_is_ignored_by_both() {
    let mut command = Command::new("sh");
    let script = "trap '' HUP; exec \"$0\" serve --emulator -- sh -c 'echo ready; read line; sleep 0.3; echo done'";
    command
        .args(["-c", script, env!("CARGO_BIN_EXE_ec2-role-credentials")])
        .env("HOME", "/nonexistent");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let said = lines(child.stdout.take().unwrap());
    let next = || said.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(next(), "ready");
    kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
    drop(child.stdin.take());
    assert_eq!(next(), "done");
    child.wait().unwrap();
}

#[test]
fn what_a_terminal_sends_is_not_forwarded() {
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("skipped: there is no `script` here");
        return;
    }
    // With a session of its own, the command gets nothing from the terminal, only what is forwarded.
    for (own_session, interrupts) in [("", 1), ("setsid ", 0)] {
        let inner = format!(
            "{} serve --emulator -- {own_session}sh -c 'trap \"echo INT\" INT; echo ready; n=0; while [ $n -lt 20 ]; do sleep 0.05; n=$((n + 1)); done; echo done'",
            env!("CARGO_BIN_EXE_ec2-role-credentials")
        );
        // `script` of util-linux runs a command in a terminal of its own.
        let mut child = Command::new("env")
            .args(["--default-signal", "script", "--quiet", "--return"])
            .args(["--command", &inner, "/dev/null"])
            .env("HOME", "/nonexistent")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = lines(child.stdout.take().unwrap());
        let mut keyboard = child.stdin.take().unwrap();
        let mut seen = Vec::new();
        for line in said {
            let line = line.trim().to_owned();
            if line == "ready" {
                // Ctrl-C.
                std::io::Write::write_all(&mut keyboard, b"\x03").unwrap();
            }
            seen.push(line);
        }
        let count = seen.iter().filter(|line| line.ends_with("INT")).count();
        assert_eq!(count, interrupts, "{seen:?}");
        // The terminal echoes `^C` in front of what comes next.
        assert!(seen.iter().any(|line| line.ends_with("done")), "{seen:?}");
        child.wait().unwrap();
    }
}

#[test]
fn the_init_process_of_a_container_reaps_orphans() {
    let mut outer = Command::new("unshare");
    // The orphans end long before the command, which counts zombies.
    let script = "for i in 1 2 3; do (sleep 0.1 & exec true); done; sleep 1; \
                  grep -l '^State:.Z' /proc/[0-9]*/status 2> /dev/null | wc -l; echo $PPID";
    outer
        .args(["--pid", "--fork", "--mount-proc", "--kill-child"])
        .arg(env!("CARGO_BIN_EXE_ec2-role-credentials"))
        .args(SERVE)
        .arg(script)
        .env("HOME", "/nonexistent");
    let output = outer.output();
    let output = match output {
        Ok(output) if output.status.success() => output,
        refused => {
            eprintln!("skipped: unshare is not possible here: {refused:?}");
            return;
        }
    };
    assert_eq!(str::from_utf8(&output.stdout).unwrap(), "0\n1\n");
}

#[test]
fn a_command_that_cannot_be_run_is_named() {
    for (program, code) in [("/nowhere/at-all", 127), ("/", 126)] {
        let mut command = command(&["serve", "--emulator", "--", program]);
        let output = command.arg0("ec2-role-credentials").output().unwrap();
        let text = str::from_utf8(&output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{text}");
        let start = format!("error: cannot run {program}: ");
        assert!(text.starts_with(&start), "{text}");
    }
}
