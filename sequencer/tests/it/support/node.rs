//! A real `millrace dev`, started as a child process, and a client to talk to it.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// How long anything may take before a test gives up. Generous: CI machines are slow and shared.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A running node. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Node {
    child: Child,
    /// Where it serves JSON-RPC.
    pub(crate) rpc: Rpc,
    /// Where it serves metrics and health.
    pub(crate) ops_url: String,
    log: Arc<Mutex<String>>,
}

impl Node {
    /// Starts a node on free ports with its chain in `data_dir`, and waits until it serves.
    pub(crate) fn start(data_dir: &Path, args: &[&str]) -> Self {
        Self::try_start(data_dir, args)
            .unwrap_or_else(|log| panic!("the node did not start:\n{log}"))
    }

    /// The same; a node that ends instead of serving is an error with everything it said.
    pub(crate) fn try_start(data_dir: &Path, args: &[&str]) -> Result<Self, String> {
        Self::spawn(Command::new(env!("CARGO_BIN_EXE_millrace")).arg("dev"), data_dir, args)
    }

    /// Starts the node by a command prepared by the caller, who may have wrapped it or set its environment.
    pub(crate) fn spawn(
        command: &mut Command,
        data_dir: &Path,
        args: &[&str],
    ) -> Result<Self, String> {
        let mut child = command
            .args(["--rpc-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir)
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start the node");
        let log = Arc::new(Mutex::new(String::new()));
        let errors = child.stderr.take().expect("piped");
        let sink = log.clone();
        thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                let mut log = sink.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });

        let mut urls = (None, None);
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        for line in lines.by_ref().map_while(Result::ok) {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("JSON-RPC") => urls.0 = words.next().map(String::from),
                Some("Metrics") => {
                    urls.1 =
                        words.next().and_then(|url| url.strip_suffix("/metrics")).map(String::from)
                }
                Some("Ready") => break,
                // A node of a rollup says all in one line: "Ready. JSON-RPC <url>, metrics <url>/metrics".
                Some("Ready.") => {
                    let mut found = words.filter(|word| word.starts_with("http://"));
                    urls.0 = found.next().map(|url| url.trim_end_matches(',').to_owned());
                    urls.1 =
                        found.next().and_then(|url| url.strip_suffix("/metrics")).map(String::from);
                    break;
                }
                _ => {}
            }
        }
        // Whatever else it prints must not fill the pipe and stop it.
        thread::spawn(move || lines.for_each(drop));
        match urls {
            (Some(rpc), Some(ops_url)) => Ok(Self { child, rpc: Rpc::new(rpc), ops_url, log }),
            _ => {
                let status = child.wait().expect("wait for the node");
                thread::sleep(Duration::from_millis(50));
                let log = log.lock().unwrap().clone();
                Err(format!("{status}\n{log}"))
            }
        }
    }

    /// Starts a node and kills it after a while, whether it got up or not.
    pub(crate) fn interrupt_start(data_dir: &Path, after: Duration) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_millrace"))
            .args(["dev", "--rpc-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start the node");
        thread::sleep(after);
        child.kill().expect("kill -9");
        child.wait().expect("wait for the node");
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("kill -9");
        self.child.wait().expect("wait for the node");
    }

    /// Ends it as an operator would, and waits for it.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait_for_exit()
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.expect("run kill").success());
    }

    /// Waits until the process ends by itself.
    pub(crate) fn wait_for_exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("wait for the node") {
                return status;
            }
            assert!(Instant::now() < deadline, "the node does not end:\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory, in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let statm =
            std::fs::read_to_string(format!("/proc/{}/statm", self.pid())).expect("read statm");
        let pages: u64 = statm
            .split_whitespace()
            .nth(1)
            .and_then(|field| field.parse().ok())
            .expect("parse statm");
        pages * 4096
    }

    /// What it says about a path of its operators' port.
    pub(crate) fn ops(&self, path: &str) -> String {
        self.ops_answer(path).1
    }

    /// The same with the status, which decides whether it gets users.
    pub(crate) fn ops_answer(&self, path: &str) -> (u16, String) {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build();
        let agent: ureq::Agent = agent.into();
        let mut response = agent.get(format!("{}{path}", self.ops_url)).call().expect("ops answer");
        (response.status().as_u16(), response.body_mut().read_to_string().expect("a text"))
    }

    /// The value of a metric.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let metrics = self.ops("/metrics");
        let mut lines = metrics.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = value.unwrap_or_else(|| panic!("no metric {name} in {metrics}"));
        value.parse().expect("a number")
    }

    /// Everything that it logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already, which is fine.
        self.child.kill().ok();
        self.child.wait().ok();
        if thread::panicking() {
            eprintln!("--- the node's log ---\n{}", self.log());
        }
    }
}

/// A JSON-RPC client over HTTP that keeps its connections.
#[derive(Debug, Clone)]
pub(crate) struct Rpc {
    /// The node's URL.
    pub(crate) url: String,
    agent: ureq::Agent,
}

impl Rpc {
    pub(crate) fn new(url: String) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .build();
        Self { url, agent: config.into() }
    }

    /// Posts a body as it is and returns status and answer; an error when the node is gone.
    pub(crate) fn post(&self, body: &[u8]) -> Result<(u16, String), ureq::Error> {
        let mut response =
            self.agent.post(&self.url).content_type("application/json").send(body)?;
        let text = response.body_mut().with_config().limit(256 << 20).read_to_string()?;
        Ok((response.status().as_u16(), text))
    }

    /// Calls a method; the whole answer, or `None` when the node is gone.
    pub(crate) fn answer(&self, method: &str, params: Value) -> Option<Value> {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let (_, text) = self.post(request.to_string().as_bytes()).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Calls a method that must succeed.
    pub(crate) fn call(&self, method: &str, params: Value) -> Value {
        let answer =
            self.answer(method, params.clone()).unwrap_or_else(|| panic!("{method}: no answer"));
        match answer.get("result") {
            Some(result) => result.clone(),
            None => panic!("{method} {params}: {answer}"),
        }
    }

    /// Calls a method that must fail: its code and message.
    pub(crate) fn error(&self, method: &str, params: Value) -> (i64, String) {
        let answer =
            self.answer(method, params.clone()).unwrap_or_else(|| panic!("{method}: no answer"));
        let error =
            answer.get("error").unwrap_or_else(|| panic!("{method} {params} succeeded: {answer}"));
        (
            error["code"].as_i64().expect("a code"),
            error["message"].as_str().expect("a message").into(),
        )
    }

    /// Calls a method whose result is a quantity.
    pub(crate) fn quantity(&self, method: &str, params: Value) -> u64 {
        quantity(&self.call(method, params))
    }

    /// The newest block's number.
    pub(crate) fn block_number(&self) -> u64 {
        self.quantity("eth_blockNumber", json!([]))
    }

    /// Waits for a transaction's receipt.
    pub(crate) fn receipt(&self, hash: &str) -> Value {
        wait_for(&format!("receipt of {hash}"), || {
            Some(self.call("eth_getTransactionReceipt", json!([hash])))
                .filter(|receipt| !receipt.is_null())
        })
    }

    /// Waits until the chain is at least this long.
    pub(crate) fn wait_for_block(&self, number: u64) {
        wait_for(&format!("block {number}"), || (self.block_number() >= number).then_some(()));
    }
}

/// A quantity of JSON-RPC.
pub(crate) fn quantity(value: &Value) -> u64 {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is not a quantity"));
    u64::from_str_radix(text.trim_start_matches("0x"), 16)
        .unwrap_or_else(|_| panic!("{text} is not a quantity"))
}

/// Polls until there is an answer.
pub(crate) fn wait_for<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = poll() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
