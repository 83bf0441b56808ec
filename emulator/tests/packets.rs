//! How many packets isolated commands send to IMDS.

#![expect(clippy::unwrap_used, reason = "a test")]
#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use imds_emulator::config::{Config, Content, HttpTokens};
use imds_emulator::fault::{Fault, ResetAfter, Rule};
use imds_emulator::journal::{Assertion, Exchange, Filter, Packets};
use imds_emulator::{Emulator, Isolated, Isolation};
use tokio::process::Command;

/// Runs a program, and prints how many packets it has sent over the loopback interface to port 80. A
/// packet socket sees each of them twice: when it leaves, and when it arrives (type 0).
const OBSERVER: &str = r#"
use Fcntl;
use Socket;
socket(my $packets, 17, SOCK_DGRAM, unpack("S", pack("n", 0x0003))) or die "socket: $!";
setsockopt($packets, SOL_SOCKET, SO_RCVBUF, 8 << 20);
system(@ARGV);
select(undef, undef, undef, 0.2);
fcntl($packets, F_SETFL, O_NONBLOCK);
my $count = 0;
while (defined(my $from = recv $packets, my $packet, 65536, 0)) {
    my ($type) = unpack "x10 C", $from;
    my ($version, $protocol) = unpack "C x8 C", $packet;
    next unless $type == 0 && $version >> 4 == 4 && $protocol == 6;
    $count++ if unpack("n", substr($packet, 4 * ($version & 15) + 2, 2)) == 80;
}
print "\n$count\n";
"#;

const URL: &str = "http://169.254.169.254/latest/meta-data/";

async fn emulator(change: impl FnOnce(&mut Config)) -> Emulator {
    let counted = |config: &mut Config| {
        config.journal.packets = true;
        config.journal.process = true;
        change(config);
    };
    Emulator::builder().with(counted).start().await.unwrap()
}

/// Runs the program, and returns how many packets it has sent. `None` where namespaces are
/// forbidden, which is said.
async fn observed(imds: &Emulator, program: &[&str]) -> Option<u64> {
    let mut command = std::process::Command::new("perl");
    command.args(["-e", OBSERVER]).args(program);
    let mut isolation = Isolation::default();
    // Packet sockets are for root.
    isolation.map_root = true;
    let mut reports = imds.isolate(&mut command, &isolation).unwrap();
    let output = Command::from(command).output().await;
    if let Isolated::Failed(error) = reports.recv().await.unwrap() {
        eprintln!("not run, because namespaces are forbidden: {error}");
        return None;
    }
    let output = output.unwrap();
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    Some(printed.lines().last().unwrap().parse().unwrap())
}

async fn curl(imds: &Emulator, arguments: &[&str]) -> Option<u64> {
    let program = ["curl", "-s", "-m", "5", "-o", "/dev/null"];
    observed(imds, &[&program, arguments].concat()).await
}

/// What the emulator has counted once it knows that all connections are closed.
async fn counted(imds: &Emulator, expected: u64) -> Packets {
    let began = Instant::now();
    loop {
        let packets = imds.packets().unwrap();
        if packets.sent >= expected || began.elapsed() > Duration::from_secs(5) {
            return packets;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn every_packet_that_a_client_sends_is_counted() {
    let scenarios: [(&str, bool, Option<Fault>, &[&str]); 6] = [
        ("a connection for each request", false, None, &[URL, URL]),
        ("one connection", true, None, &[URL, URL, URL]),
        (
            "a response above the MTU",
            false,
            None,
            &["http://169.254.169.254/latest/user-data"],
        ),
        (
            "no response",
            false,
            Some(Fault::blackhole()),
            &["-m", "1", URL],
        ),
        (
            "a reset",
            false,
            Some(Fault::reset_peer(ResetAfter::Request)),
            &[URL],
        ),
        (
            "no HTTP",
            false,
            Some(Fault::random_data_then_close()),
            &[URL],
        ),
    ];
    for (what, keep_alive, fault, arguments) in scenarios {
        let imds = emulator(|config| {
            config.server.keep_alive = keep_alive;
            config.metadata_options.http_tokens = HttpTokens::Optional;
            config
                .data
                .insert("user-data".into(), Content::Text("x".repeat(16_000)));
        })
        .await;
        let _fault = fault.map(|fault| imds.fault(Rule::new("fault", fault)).unwrap());
        let Some(sent) = curl(&imds, arguments).await else {
            return;
        };
        let packets = counted(&imds, sent).await;
        assert_eq!(packets.sent, sent, "{what}: {packets}");
        assert!(sent >= 3, "{what}: {packets}");
        let connections = if keep_alive || arguments.len() != 2 {
            1
        } else {
            2
        };
        assert_eq!(packets.connections.len(), connections, "{what}: {packets}");
        let sum: u64 = packets.connections.iter().map(|of| of.sent).sum();
        assert_eq!(sum, sent);
    }
}

#[tokio::test]
async fn packets_belong_to_connections_and_their_processes() {
    let imds = emulator(|_| ()).await;
    let Some(sent) = curl(&imds, &[URL]).await else {
        return;
    };
    let packets = counted(&imds, sent).await;
    let exchanges = imds.find(&Filter::default()).unwrap().exchanges;
    let of: Vec<&Exchange> = exchanges.iter().map(AsRef::as_ref).collect();
    let ([connection], [exchange]) = (packets.connections.as_slice(), of.as_slice()) else {
        panic!("{packets} {exchanges:?}")
    };
    assert_eq!(exchange.connection, Some(connection.connection));
    assert_eq!(exchange.process, connection.process);
    let pid = exchange.process.as_ref().unwrap().pid;
    assert_eq!(
        packets.to_string(),
        format!(
            "packets sent: {sent}, within one second at most {sent} of the 1024 that EC2 allows\n\
             connection 1 of curl[{pid}]: {sent}"
        )
    );
    imds.clear_journal();
    assert_eq!(imds.packets().unwrap().sent, 0);
}

#[tokio::test]
async fn a_maximum_is_for_the_busiest_second() {
    let imds = emulator(|_| ()).await;
    let max = Assertion::MaxPacketsPerSecond;
    let verdict = |max| {
        let report = imds.verify(&[max]).unwrap();
        let verdict = report.verdicts.into_iter().next().unwrap();
        let numbers: Vec<u64> = verdict.exchanges.iter().map(|one| one.number).collect();
        (verdict.holds, verdict.why, numbers)
    };
    let Some(two) = curl(&imds, &[URL, URL]).await else {
        return;
    };
    counted(&imds, two).await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let from_now_on = imds.expect(max(two - 1));
    let one = curl(&imds, &[URL]).await.unwrap();
    let packets = counted(&imds, two + one).await;
    assert_eq!((packets.sent, packets.most_per_second), (two + one, two));

    let why = format!("{two} packets in the busiest second");
    assert_eq!(verdict(max(two)), (true, why.clone(), vec![]));
    assert_eq!(verdict(max(two - 1)), (false, why, vec![1, 2]));
    assert_eq!(
        max(two).to_string(),
        format!("at most {two} packets to IMDS in any second")
    );
    let json = serde_json::json!({ "max_packets_per_second": two });
    assert_eq!(serde_json::to_value(max(two)).unwrap(), json);
    from_now_on.verify();
}

/// As in the documentation of isolated commands.
#[tokio::test]
async fn the_command_shows_the_packets() {
    const COMMAND: &str = env!("CARGO_BIN_EXE_imds-emulator");
    let run = async |settings: &[&str], ctl: &str| {
        let script = format!("curl -s -o /dev/null {URL}; {COMMAND} ctl packets {ctl}");
        let mut command = Command::new(COMMAND);
        let settings = settings.iter().flat_map(|setting| ["--set", setting]);
        command
            .args(["--port", "0", "--admin-port", "0"])
            .args(settings);
        command.args(["run", "--isolated", "--", "sh", "-c", &script]);
        command.output().await.unwrap()
    };
    let both = ["journal.packets=true", "journal.process=true"];
    let shown = run(&both, "").await;
    let error = String::from_utf8(shown.stderr).unwrap();
    if error.contains("cannot isolate") {
        eprintln!("not run, because namespaces are forbidden: {error}");
        return;
    }
    let text = String::from_utf8(shown.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let [summary, connection] = lines.as_slice() else {
        panic!("{text} {error}")
    };
    assert!(summary.ends_with("of the 1024 that EC2 allows"), "{text}");
    let (who, sent) = connection.split_once("]: ").unwrap();
    assert!(who.starts_with("connection 1 of curl["), "{text}");
    assert!(
        summary.starts_with(&format!("packets sent: {sent}, ")),
        "{text}"
    );

    let json = run(&["journal.packets=true"], "--json").await.stdout;
    let packets: Packets = serde_json::from_slice(&json).unwrap();
    assert_eq!(packets.connections[0].process, None);
    assert_eq!(packets.connections[0].sent, packets.sent);

    let off = run(&[], "").await;
    assert_eq!(off.status.code(), Some(1));
    let error = String::from_utf8(off.stderr).unwrap();
    assert!(
        error.contains("start it with journal.packets = true"),
        "{error}"
    );
}

#[tokio::test]
async fn packets_are_counted_only_on_demand_and_in_namespaces() {
    let imds = Emulator::builder().start().await.unwrap();
    let curl = async |imds: &Emulator| {
        let mut command = Command::new("curl");
        command.args(["-s", "-m", "5", imds.url()]);
        command.status().await.unwrap();
    };
    curl(&imds).await;
    assert_eq!(imds.packets(), None);
    let assertion = Assertion::MaxPacketsPerSecond(1024);
    let error = imds.verify(std::slice::from_ref(&assertion)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "assertions[0].max_packets_per_second: \"1024\" is not accepted; accepted: no maximum, \
         unless `journal.packets` is true: otherwise the emulator does not count packets"
    );

    let imds = emulator(|_| ()).await;
    assert!(imds.verify(std::slice::from_ref(&assertion)).unwrap().holds);
    curl(&imds).await;
    assert_eq!(imds.packets().unwrap().sent, 0);
    let report = imds.verify(&[assertion]).unwrap();
    let why = "no packets were counted, because the requests came from none of the networks";
    assert!(
        !report.holds && report.to_string().contains(why),
        "{report}"
    );
}
