//! The driver against a real node: anvil, which knows nothing of us.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod anvil;

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Output, Stdio},
};

use anvil::Anvil;

fn driver(url: &str, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace-load"));
    command.args(["--url", url, "--seed", "5"]).args(arguments.split_whitespace());
    command
}

/// A driver that has begun to send.
fn sending(url: &str, arguments: &str) -> Child {
    let mut command = driver(url, arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut progress = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(progress.any(|line| line == "sending"));
    child
}

/// The keys and values of the last line.
fn result(stdout: &str) -> HashMap<String, String> {
    let last = stdout.lines().last().unwrap_or_default();
    lines(last, "RESULT ").pop().unwrap_or_else(|| panic!("no RESULT: {stdout}"))
}

/// The keys and values of all lines that begin so.
fn lines(stdout: &str, start: &str) -> Vec<HashMap<String, String>> {
    let lines = stdout.lines().filter_map(|line| line.strip_prefix(start));
    let pairs = |line: &str| -> HashMap<String, String> {
        let pairs = line.split(' ').map(|pair| pair.split_once('=').expect("key=value"));
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    };
    lines.map(pairs).collect()
}

fn number(result: &HashMap<String, String>, key: &str) -> f64 {
    result.get(key).unwrap_or_else(|| panic!("no {key} in {result:?}")).parse().unwrap()
}

fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn every_workload_is_included() {
    let anvil = Anvil::start(&[]);
    let pid = anvil.pid();
    for (name, arguments) in [
        ("transfers", "--workload transfers"),
        ("hot-transfers", "--workload transfers --recipients hot --batch 50 --connections 1"),
        ("tokens", "--workload tokens --recipients hot --batch 20"),
        ("swaps", "--workload swaps --batch 7 --connections 4"),
        ("hot-swaps", "--workload swaps --recipients hot --in-flight 10"),
        ("mixed", "--workload mixed --batch 3 --rate 600"),
        ("sync", "--workload mixed --sync"),
    ] {
        let common = format!("--name {name} --count 300 --senders 11 --server-pid {pid}");
        let output = driver(&anvil.url, &format!("{common} {arguments}")).output().unwrap();
        let (stdout, stderr) = text(&output);
        assert!(output.status.success(), "{name}: {stdout}{stderr}");
        let result = result(&stdout);
        assert_eq!(result["name"], name);
        for (key, expected) in
            [("submitted", 300.0), ("accepted", 300.0), ("included", 300.0), ("errors", 0.0)]
        {
            assert_eq!(number(&result, key), expected, "{name} {key}: {stdout}");
        }
        assert_eq!(number(&result, "reverted"), 0.0, "{name}: {stdout}");
        assert!(number(&result, "sampled") >= 100.0, "{name}: {stdout}");
        for kind in ["accept", "include"] {
            let [p50, p99, p999] =
                ["p50", "p99", "p999"].map(|p| number(&result, &format!("{kind}_{p}_ms")));
            assert!(0.0 < p50 && p50 <= p99 && p99 <= p999, "{name}: {stdout}");
        }
        let gas = number(&result, "gas");
        assert!((6_300_000.0..60_000_000.0).contains(&gas), "{name}: {stdout}");
        for key in ["server_cpu_us_per_tx", "driver_cpu_us_per_tx", "blocks"] {
            assert!(number(&result, key) >= 0.0, "{name}: {stdout}");
        }
        if name == "mixed" {
            // 600 a second for half a second: not sooner than they were due.
            assert!(number(&result, "submitted_per_s") < 700.0, "{stdout}");
        }
    }
}

#[test]
fn a_block_at_a_time_is_what_latency_waits_for() {
    let anvil = Anvil::start(&["--block-time", "1"]);
    // Not from the mnemonic's first account, so that the key's file is read.
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    let second = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d\n";
    std::fs::write(&key, second).unwrap();
    let pid = anvil.pid();
    let arguments = format!(
        "--rate 100 --count 300 --senders 5 --every 1 --server-pid {pid} --key-file {}",
        key.display()
    );
    let (stdout, stderr) = text(&driver(&anvil.url, &arguments).output().unwrap());
    // Of three seconds, at least two are over before all is sent.
    let intervals = lines(&stdout, "INTERVAL ");
    assert!(intervals.len() >= 2, "{stdout}{stderr}");
    for (place, interval) in intervals.iter().enumerate() {
        assert!(number(interval, "end_s") >= (place + 1) as f64, "{stdout}");
        assert!(number(interval, "server_rss_mib") > 0.0, "{stdout}");
    }
    let sum = |key| intervals.iter().map(|interval| number(interval, key)).sum::<f64>();
    assert!(sum("included") > 0.0 && sum("blocks") >= 1.0, "{stdout}");
    let result = result(&stdout);
    assert!(sum("included") <= number(&result, "included"), "{stdout}");
    assert_eq!(number(&result, "included"), 300.0, "{stdout}{stderr}");
    // Sent evenly and gathered once a second: half waits for half a second, and most wait longer than acceptance takes.
    assert!(number(&result, "include_p99_ms") > 500.0, "{stdout}");
    assert!(number(&result, "include_p50_ms") > number(&result, "accept_p50_ms"), "{stdout}");
    assert!((2.0..=10.0).contains(&number(&result, "blocks")), "{stdout}");
}

#[test]
fn an_interrupted_run_reports_what_it_has() {
    let anvil = Anvil::start(&[]);
    let mut child = sending(&anvil.url, "--rate 50 --count 5000 --duration 100 --senders 5");
    anvil.wait_for_blocks(20);
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    child.wait().unwrap();
    let result = result(&stdout);
    let [submitted, included] = ["submitted", "included"].map(|key| number(&result, key));
    // On each connection the last request may have been cut off before its answer, where the machine is busy.
    let under_way = number(&result, "connections");
    assert!(submitted < 5_000.0 && included >= 10.0, "{stdout}");
    assert!(included >= submitted - under_way, "{stdout}");
}

#[test]
fn what_cannot_be_measured_is_said() {
    let anvil = Anvil::start(&["--balance", "1"]);
    for (url, arguments, expected) in [
        (anvil.url.as_str(), "--count 1000000", "and the run may cost"),
        // What a node refuses is passed on with its code.
        (anvil.url.as_str(), "--max-fee 1", "preparing the chain: eth_sendRawTransaction: "),
        (anvil.url.as_str(), "--max-fee 1", "(code -32"),
        (anvil.url.as_str(), "--batch 0", "--batch: 0 is not between 1 and 1000"),
        ("http://127.0.0.1:1", "", "preparing the chain: http://127.0.0.1:1: Connection refused"),
    ] {
        let output = driver(url, arguments).output().unwrap();
        let (stdout, stderr) = text(&output);
        assert_eq!((output.status.code(), stdout.as_str()), (Some(2), ""), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    }
}

#[test]
fn time_that_is_over_cuts_nothing_off() {
    let anvil = Anvil::start(&[]);
    let output = driver(&anvil.url, "--count 40000 --duration 0.3 --senders 20").output().unwrap();
    let (stdout, stderr) = text(&output);
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(stdout.contains("transactions were signed and not sent"), "{stdout}");
    let result = result(&stdout);
    assert!((16.0..40_000.0).contains(&number(&result, "included")), "{stdout}");
}

#[test]
fn accounts_of_an_earlier_run_go_on() {
    let anvil = Anvil::start(&[]);
    for _ in 0..2 {
        let output = driver(&anvil.url, "--count 40 --senders 2 --batch 20").output().unwrap();
        assert!(output.status.success(), "{:?}", text(&output));
    }
}

#[test]
fn a_server_that_dies_ends_the_run() {
    let mut anvil = Anvil::start(&[]);
    let mut child = sending(&anvil.url, "--rate 50 --count 5000 --duration 100 --connections 2");
    anvil.wait_for_blocks(20);
    anvil.kill();
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{stdout}");
    let result = result(&stdout);
    // Each connection failed three times, with one transaction each time.
    assert_eq!(number(&result, "errors"), 6.0, "{stdout}");
    assert!(number(&result, "included") >= 10.0, "{stdout}");
    assert!(stdout.contains("Connection refused"), "{stdout}");
    assert!(stdout.contains("blocks may be missing"), "{stdout}");
}

#[test]
fn reads_find_what_was_sent_ahead() {
    const METHODS: [&str; 4] =
        ["eth_call", "eth_getBalance", "eth_getLogs", "eth_getTransactionReceipt"];
    let anvil = Anvil::start(&[]);
    let arguments = format!(
        "reads --name read --transactions 60 --senders 7 --connections 3 --duration 0.2 --server-pid {}",
        anvil.pid()
    );
    // The subcommand's name comes first, and the flags behind it are its own.
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace-load"));
    command.args(arguments.split_whitespace()).args(["--url", &anvil.url]);
    let output = command.output().unwrap();
    let (stdout, stderr) = text(&output);
    assert!(output.status.success(), "{stdout}{stderr}");
    let results = lines(&stdout, "RESULT ");
    assert!(results.iter().map(|result| result["method"].as_str()).eq(METHODS), "{stdout}");
    for result in results {
        assert_eq!((result["name"].as_str(), result["errors"].as_str()), ("read", "0"), "{stdout}");
        // Each connection made a call at least, and every latency lies within the time.
        let [reads, p50, p99, max] =
            ["reads", "p50_ms", "p99_ms", "max_ms"].map(|key| number(&result, key));
        assert!(reads >= 3.0 && 0.0 < p50 && p50 <= p99 && p99 <= max, "{stdout}");
        assert!(number(&result, "reads_per_s") <= reads / 0.2, "{stdout}");
        assert!(number(&result, "server_cpu_us_per_read") >= 0.0, "{stdout}");
    }
}
