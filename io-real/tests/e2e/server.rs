//! Starting, watching, killing the program.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Long enough for the slowest machine; a test that reaches it fails.
const PATIENCE: Duration = Duration::from_secs(30);

static DIRECTORIES: AtomicU32 = AtomicU32::new(0);

/// A directory that goes with the test.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        let number = DIRECTORIES.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sf-e2e-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn data(&self) -> String {
        self.0.join("data").display().to_string()
    }

    /// The first segment of the log.
    pub(crate) fn segment(&self) -> PathBuf {
        let folder = self.0.join("data/cluster/metadata/raft");
        let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        let is_segment = |path: &PathBuf| path.extension().is_some_and(|it| it == "log");
        files.filter(is_segment).min().expect("there is a log")
    }

    /// Flips a bit of a text that a durable entry of the log holds.
    pub(crate) fn damage(&self, text: &str) {
        let path = self.segment();
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.windows(text.len()).position(|window| window == text.as_bytes());
        bytes[at.expect("the log holds the text")] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The program with arguments, in a directory of the test's, without the tester's configuration.
pub(crate) fn shardforge(directory: &Directory, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shardforge"));
    command.args(arguments).current_dir(directory.path()).env("HOME", directory.path());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SHARDFORGE_")) {
        command.env_remove(name);
    }
    command
}

/// Runs the program to its end, which must come by itself.
pub(crate) fn run(directory: &Directory, arguments: &[&str]) -> Output {
    let mut child = shardforge(directory, arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if PATIENCE < began.elapsed() {
            child.kill().unwrap();
            panic!("{arguments:?} does not end: {:?}", child.wait_with_output());
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

/// A node that serves SQL, or did.
pub(crate) struct Server {
    child: Child,
    log: Arc<Mutex<String>>,
    /// `host:port` of each port, as the ready line has them.
    pub(crate) sql: String,
    pub(crate) http: String,
    pub(crate) peer: String,
}

impl Server {
    /// A single node without passwords.
    pub(crate) fn single(directory: &Directory) -> Self {
        let data = directory.data();
        Self::start(
            directory,
            &[
                "start",
                "--single-node",
                "--insecure",
                "--data",
                &data,
                "--sql-addr",
                "127.0.0.1:0",
                "--peer-addr",
                "127.0.0.1:0",
                "--http-addr",
                "127.0.0.1:0",
            ],
        )
    }

    /// Starts and waits until it is ready.
    pub(crate) fn start(directory: &Directory, arguments: &[&str]) -> Self {
        Starting::new(directory, arguments).ready()
    }

    pub(crate) fn port(&self) -> u16 {
        self.sql.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    /// What it has said on stderr.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the log holds a text.
    pub(crate) fn wait_for_log(&self, text: &str) {
        let began = Instant::now();
        while !self.log().contains(text) {
            assert!(began.elapsed() < PATIENCE, "no {text:?} in the log:\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// kill -9.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; the exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(began.elapsed() < PATIENCE, "it does not drain:\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// psql's output for a script, which must succeed.
    pub(crate) fn psql(&self, script: &str) -> String {
        let output = self.psql_output(script);
        assert!(
            output.status.success(),
            "{script}\n{}\n{}",
            String::from_utf8_lossy(&output.stderr),
            self.log()
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// psql's output for a script.
    pub(crate) fn psql_output(&self, script: &str) -> Output {
        let (host, port) = self.sql.rsplit_once(':').unwrap();
        Command::new("psql")
            .args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", host, "-p", port])
            .args(["-U", "postgres", "-d", "postgres", "-c", script])
            .env("PGCONNECT_TIMEOUT", "10")
            .output()
            .expect("psql is installed by scripts/setup.sh")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A node that was started and may not be ready for a while.
pub(crate) struct Starting {
    child: Child,
    log: Arc<Mutex<String>>,
    lines: mpsc::Receiver<String>,
}

impl Starting {
    pub(crate) fn new(directory: &Directory, arguments: &[&str]) -> Self {
        let mut child = shardforge(directory, arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = collect(child.stderr.take().unwrap());
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, log, lines }
    }

    /// Waits for the line that says so.
    pub(crate) fn ready(mut self) -> Server {
        let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
            let _ = self.child.kill();
            let status = self.child.wait();
            panic!("not ready; {status:?}\n{}", self.log.lock().unwrap());
        };
        let field = |name: &str| {
            let mut words = line.split_whitespace();
            words.find_map(|word| word.strip_prefix(name)).unwrap_or_else(|| panic!("{line}"))
        };
        assert!(line.starts_with("shardforge ready "), "{line}");
        assert_eq!(field("pid="), self.child.id().to_string());
        let (sql, http, peer) =
            (field("sql=").into(), field("http=").into(), field("peer=").into());
        Server { child: self.child, log: self.log, sql, http, peer }
    }
}

fn collect(mut stderr: ChildStderr) -> Arc<Mutex<String>> {
    let log = Arc::new(Mutex::new(String::new()));
    let shared = Arc::clone(&log);
    thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(len @ 1..) = stderr.read(&mut chunk) {
            shared.lock().unwrap().push_str(&String::from_utf8_lossy(&chunk[..len]));
        }
    });
    log
}
