//! A real PostgreSQL server of the test's own.

use std::{
    net::TcpListener,
    os::unix::fs::{MetadataExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;

/// `initdb` refuses to run for root, so root borrows the identity of `nobody`.
const NOBODY: u32 = 65534;

/// A server on a free port of the loopback, its data in a temporary directory. Ends with the value.
pub(crate) struct Server {
    binaries: PathBuf,
    directory: TempDir,
    port: u16,
    process: Child,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let binaries = binaries();
        let directory = tempfile::tempdir().unwrap();
        if is_root() {
            chown(directory.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let output = command(&binaries.join("initdb"), directory.path())
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync", "-D"])
            .arg(directory.path().join("data"))
            .output()
            .unwrap();
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let process = launch(&binaries, directory.path(), port);
        let mut server = Self { binaries, directory, port, process };
        server.wait().await;
        server
    }

    /// The URL of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) async fn create_database(&self, name: &str) -> String {
        let mut connection = PgConnection::connect(&self.url("postgres")).await.unwrap();
        let sql = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        self.url(name)
    }

    /// As a crash would.
    pub(crate) fn kill(&mut self) {
        // SIGQUIT is an immediate shutdown: children included, nothing flushed.
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-QUIT", &pid]).status().unwrap().success());
        self.process.wait().unwrap();
    }

    pub(crate) async fn restart(&mut self) {
        self.process = launch(&self.binaries, self.directory.path(), self.port);
        self.wait().await;
    }

    async fn wait(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            match PgConnection::connect(&self.url("postgres")).await {
                Ok(connection) => return connection.close().await.unwrap(),
                Err(error) => {
                    let ended = self.process.try_wait().unwrap();
                    assert!(
                        ended.is_none() && Instant::now() < deadline,
                        "postgres does not answer: {error}; {ended:?}; its log:\n{}",
                        std::fs::read_to_string(self.directory.path().join("log"))
                            .unwrap_or_default()
                    );
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Immediately: an orderly shutdown syncs every file of every database, for half a minute.
        let _ = Command::new("kill").args(["-QUIT", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
}

fn launch(binaries: &Path, directory: &Path, port: u16) -> Child {
    let log = std::fs::File::create(directory.join("log")).unwrap();
    command(&binaries.join("postgres"), directory)
        .arg("-D")
        .arg(directory.join("data"))
        .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-k"])
        .arg(directory)
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

/// A command that runs as somebody other than root, and is told when the test dies before it.
fn command(program: &Path, directory: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.current_dir(directory).args(["--pdeathsig", "QUIT"]);
    if is_root() {
        let (uid, gid) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
        command.args([uid, gid, "--clear-groups".to_owned()]);
    }
    command.arg(program);
    command
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Debian keeps them out of the path, by version; elsewhere they may be in it.
fn binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = versions.map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let everywhere = debian.chain(std::env::split_paths(&path));
    everywhere
        .filter(|directory| directory.join("initdb").exists())
        .max()
        .expect("PostgreSQL's initdb is not here: install the package `postgresql`")
}
