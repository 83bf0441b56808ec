//! Programs that have the address of IMDS compiled in, with the library.
//!
//! Their requests stay in the network namespace of each command, whose loopback interface has the
//! address. A command that cannot be isolated is not run.

#![expect(clippy::unwrap_used, reason = "a test")]
#![cfg(target_os = "linux")]

use std::io;
use std::process::Output;

use imds_emulator::fault::{Fault, Rule};
use imds_emulator::journal::{Assertion, Filter};
use imds_emulator::{Clock, Emulator, Isolated, Isolation, OffEc2};
use tokio::process::Command;

/// A program that knows only the address.
const PROGRAM: &str = r#"
token=$(curl -sS -m 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' $1/latest/api/token) &&
curl -sS -m 5 -H "X-aws-ec2-metadata-token: $token" $1/latest/$2
"#;

const IPV4: &str = "http://169.254.169.254";
const IPV6: &str = "http://[fd00:ec2::254]";

/// Runs the program. `None` where namespaces are forbidden, which is said.
async fn get(imds: &Emulator, address: &str, path: &str) -> Option<Output> {
    run(imds, PROGRAM, &[address, path]).await
}

async fn run(imds: &Emulator, script: &str, arguments: &[&str]) -> Option<Output> {
    run_in(imds, &Isolation::default(), script, arguments).await
}

async fn run_in(
    imds: &Emulator,
    isolation: &Isolation,
    script: &str,
    arguments: &[&str],
) -> Option<Output> {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script, "sh"]).args(arguments);
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

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

async fn emulator() -> Emulator {
    let builder = Emulator::builder().clock(Clock::adjustable());
    builder.role("backup").start().await.unwrap()
}

#[tokio::test]
async fn both_addresses_are_the_emulator_and_the_journal_knows() {
    let imds = emulator().await;
    for address in [IPV4, IPV6] {
        let Some(output) = get(&imds, address, "meta-data/instance-id").await else {
            return;
        };
        assert_eq!(text(&output), "i-0a1b2c3d4e5f67890");
    }
    assert!(imds.verify(&[Assertion::NoImdsv1]).unwrap().holds);
    let all = imds.find(&Filter::default()).unwrap().exchanges;
    let clients: Vec<String> = all
        .iter()
        .map(|exchange| exchange.client.to_string())
        .collect();
    // As on EC2, the client is the instance.
    assert_eq!(
        clients,
        [
            "172.31.16.10",
            "172.31.16.10",
            "fd00:ec2::254",
            "fd00:ec2::254"
        ]
    );
}

#[tokio::test]
async fn faults_and_the_clock_act_on_it() {
    let imds = emulator().await;
    let path = "meta-data/iam/security-credentials/backup";
    let Some(before) = get(&imds, IPV4, path).await else {
        return;
    };
    imds.clock().advance(chrono::TimeDelta::hours(2)).unwrap();
    let after = get(&imds, IPV4, path).await.unwrap();
    assert_ne!(text(&before), text(&after));

    let down = imds.fault(Rule::new("down", Fault::down())).unwrap();
    // The port closes a moment later; until then a connection is reset.
    let mut refused = get(&imds, IPV4, path).await.unwrap();
    if refused.status.code() == Some(56) {
        refused = get(&imds, IPV4, path).await.unwrap();
    }
    assert_eq!(refused.status.code(), Some(7), "{refused:?}");
    drop(down);
    text(&get(&imds, IPV4, path).await.unwrap());
}

#[tokio::test]
async fn a_command_can_be_away_from_ec2_in_three_ways() {
    let imds = emulator().await;
    let script = "python3 -c 'import socket, sys
s = socket.socket(socket.AF_INET6 if \":\" in sys.argv[1] else socket.AF_INET)
s.settimeout(1)
try: s.connect((sys.argv[1], 80))
except OSError as error: print(type(error).__name__, error)' $1";
    for (off, error) in [
        (
            OffEc2::Refused,
            "ConnectionRefusedError [Errno 111] Connection refused",
        ),
        (
            OffEc2::Unreachable,
            "OSError [Errno 101] Network is unreachable",
        ),
        (OffEc2::Silent, "TimeoutError timed out"),
    ] {
        let mut isolation = Isolation::default();
        isolation.off_ec2 = Some(off);
        for address in ["169.254.169.254", "fd00:ec2::254"] {
            let Some(output) = run_in(&imds, &isolation, script, &[address]).await else {
                return;
            };
            assert_eq!(text(&output).trim_end(), error, "{off:?} {address}");
        }
        let machine = "cat /sys/class/dmi/id/board_asset_tag /etc/hosts 2> /dev/null || true";
        let machine = run_in(&imds, &isolation, machine, &[]).await.unwrap();
        let machine = text(&machine);
        assert!(
            !machine.contains("i-0a1b") && !machine.contains("instance-data"),
            "{machine}"
        );
    }
    assert_eq!(imds.count(&Filter::default()), Ok(0));
}

#[tokio::test]
async fn a_port_is_reached_only_if_it_is_forwarded() {
    let imds = emulator().await;
    let outside = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = outside.local_addr().unwrap().port();
    let script = format!("curl -s -m 5 --http0.9 http://127.0.0.1:{port}/");
    let Some(output) = run(&imds, &script, &[]).await else {
        return;
    };
    assert_eq!(output.status.code(), Some(7), "{output:?}");

    let served = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        let (mut stream, _) = outside.accept().await?;
        stream.write_all(b"outside").await?;
        io::Result::Ok(())
    });
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &script]);
    let mut isolation = Isolation::default();
    isolation.forward.push(port);
    imds.isolate(&mut command, &isolation).unwrap();
    let output = Command::from(command).output().await.unwrap();
    assert_eq!(text(&output), "outside");
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_command_ends_with_its_emulator() {
    let imds = emulator().await;
    let mut command = imds.command("sleep").unwrap();
    command.arg("60");
    let Ok(mut child) = Command::from(command).spawn() else {
        eprintln!("not run, because namespaces are forbidden");
        return;
    };
    drop(imds);
    let status = tokio::time::timeout(std::time::Duration::from_secs(10), child.wait()).await;
    assert!(!status.unwrap().unwrap().success());
}

/// A client that drops packets with a lower time to live than it is told (IP_MINTTL, option 21). It
/// sends a PUT and, if there is a response, a GET that must come with 64, on the same connection.
const HOPS: &str = r#"
use IO::Socket::INET;
my $imds = IO::Socket::INET->new("169.254.169.254:80") or die "connect: $!";
sub at_least { setsockopt($imds, 0, 21, pack("i", shift)) or die "setsockopt: $!" }
sub ask {
    syswrite $imds, "$_[0]\r\nHost: imds\r\n\r\n";
    vec(my $ready = "", fileno $imds, 1) = 1;
    select($ready, undef, undef, 1) or return;
    sysread $imds, my $response, 4096;
    print substr($response, 9, 3), "\n";
}
at_least(shift);
ask("PUT /latest/api/token HTTP/1.1\r\nX-aws-ec2-metadata-token-ttl-seconds: 60") or exit;
at_least(64);
ask("GET /latest/meta-data/ HTTP/1.1");
"#;

/// As on EC2, where the limit makes responses unreachable for a container behind a bridge.
#[tokio::test]
async fn responses_to_put_leave_with_the_hop_limit_and_others_do_not() {
    let builder = Emulator::builder().with(|config| config.server.keep_alive = true);
    let imds = builder.start().await.unwrap();
    for (limit, at_least, expected) in
        [(1, "1", "200\n401\n"), (1, "2", ""), (2, "2", "200\n401\n")]
    {
        imds.change(|config| config.metadata_options.http_put_response_hop_limit = limit)
            .unwrap();
        let Some(output) = run(&imds, "perl -e \"$1\" \"$2\"", &[HOPS, at_least]).await else {
            return;
        };
        assert_eq!(text(&output), expected, "{limit} {at_least}: {output:?}");
    }
}

/// The command runs on an instance, and then in a container on it.
const CONTAINER: &str = include_str!("container.sh");

/// Asks for a token and for data, over IPv4 and IPv6.
const BOTH: &str = r#"
for imds in http://169.254.169.254 "http://[fd00:ec2::254]"; do
    curl -sS -m 2 -o /dev/null -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' $imds/latest/api/token &&
        echo token || echo "no token: $?"
    curl -sS -m 2 -o /dev/null $imds/latest/meta-data/ && echo data || echo "no data: $?"
done
"#;

#[tokio::test]
async fn the_hop_limit_keeps_tokens_from_a_container_and_nothing_else() {
    let imds = emulator().await;
    let (both, data) = ("token\ndata\n".repeat(2), "no token: 28\ndata\n".repeat(2));
    // In the container; 28 is a timeout of curl.
    for (limit, expected) in [(1, data), (2, both.clone())] {
        imds.change(|config| config.metadata_options.http_put_response_hop_limit = limit)
            .unwrap();
        let mut isolation = Isolation::default();
        isolation.map_root = true;
        let arguments = ["sh", "-c", BOTH];
        let Some(output) = run_in(&imds, &isolation, CONTAINER, &arguments).await else {
            return;
        };
        let stderr = String::from_utf8_lossy(&output.stderr);
        if stderr.contains("not found") || stderr.contains("Unknown device type") {
            eprintln!("not run, because the system has no veth or no iproute2: {stderr}");
            return;
        }
        assert_eq!(
            text(&output),
            format!("{both}{expected}"),
            "{limit}: {stderr}"
        );
    }
}

/// Variables of the caller that would lead a program elsewhere.
#[tokio::test]
async fn a_command_does_not_inherit_endpoints_and_proxies() {
    let imds = emulator().await;
    let inherited = [
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
        "AWS_EC2_METADATA_DISABLED",
        "http_proxy",
        "HTTPS_PROXY",
        "all_proxy",
    ];
    let mut command = std::process::Command::new("env");
    command.envs(inherited.map(|name| (name, "http://127.0.0.1:9")));
    let mut reports = imds.isolate(&mut command, &Isolation::default()).unwrap();
    let output = Command::from(command).output().await;
    if let Isolated::Failed(error) = reports.recv().await.unwrap() {
        eprintln!("not run, because namespaces are forbidden: {error}");
        return;
    }
    let environment = text(&output.unwrap());
    assert!(environment.contains("PATH="), "{environment}");
    assert!(!environment.contains("127.0.0.1:9"), "{environment}");
}
