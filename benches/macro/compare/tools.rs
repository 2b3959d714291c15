//! pgbench and sysbench: their command lines and what they print.

use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::target::Target;

/// Beyond the time that a tool was given.
const OVERTIME: Duration = Duration::from_secs(60);
/// For making tables.
const PREPARING: Duration = Duration::from_secs(900);

/// One workload.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Cell {
    /// pgbench's transaction, or its SELECT alone.
    Pgbench {
        /// `simple`, `prepared`.
        protocol: String,
        /// At once.
        clients: u32,
        /// `-S`.
        select: bool,
    },
    /// A sysbench script.
    Sysbench {
        /// Without `oltp_`.
        script: String,
        /// At once.
        threads: u32,
    },
}

impl Cell {
    /// In the report.
    pub fn name(&self) -> String {
        match self {
            Self::Pgbench { protocol, clients, select } => {
                let what = if *select { "select" } else { "tpcb" };
                format!("{what}_{protocol}_c{clients}")
            }
            Self::Sysbench { script, threads } => format!("sb_{script}_t{threads}"),
        }
    }
}

/// Sizes and times of a run.
#[derive(Clone, Debug)]
pub struct Sizes {
    /// One measurement.
    pub secs: u64,
    /// pgbench's.
    pub scale: u32,
    /// sysbench's tables.
    pub tables: u32,
    /// Rows of each.
    pub rows: u32,
    /// pgbench's `--max-tries`.
    pub tries_max: u32,
}

/// What one measurement said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Transactions a second; 0 if the tool failed.
    pub tps: f64,
    /// Transactions.
    pub transactions: f64,
    /// Average.
    pub latency_ms: Option<f64>,
    /// Given up by pgbench, or retried by sysbench.
    pub failed: u64,
    /// The first line that speaks of an error.
    pub error: Option<String>,
}

struct Ran {
    good: bool,
    out: String,
    err: String,
    took: Duration,
}

fn collect(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read until then is what there is.
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn run(mut command: Command, target: &Target, isolation: &str, patience: Duration) -> Ran {
    command.env("PGPASSWORD", &target.password).env("PGSSLMODE", "disable");
    command.env("PGCONNECT_TIMEOUT", "10");
    let isolation = isolation.replace(' ', "\\ ");
    command.env("PGOPTIONS", format!("-c default_transaction_isolation={isolation}"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let began = Instant::now();
    let failed = |err: String| Ran { good: false, out: String::new(), err, took: began.elapsed() };
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return failed(format!("{:?}: {error}", command.get_program())),
    };
    let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
        return failed("no pipes".to_owned());
    };
    let (out, err) = (collect(out), collect(err));
    let good = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status.success(),
            Ok(None) if began.elapsed() < patience => thread::sleep(Duration::from_millis(20)),
            Ok(None) | Err(_) => {
                // It may have ended in between.
                let _ = child.kill();
                let _ = child.wait();
                break false;
            }
        }
    };
    let took = began.elapsed();
    let text = |reader: thread::JoinHandle<String>| reader.join().unwrap_or_default();
    Ran { good, out: text(out), err: text(err), took }
}

fn pgbench(target: &Target) -> Command {
    let mut command = Command::new("pgbench");
    command.args(["-h", &target.host, "-p", &target.port.to_string(), "-U", &target.user]);
    command
}

fn sysbench(target: &Target, script: &str, sizes: &Sizes) -> Command {
    let mut command = Command::new("sysbench");
    command.arg(format!("oltp_{script}")).arg("--db-driver=pgsql").args([
        format!("--pgsql-host={}", target.host),
        format!("--pgsql-port={}", target.port),
        format!("--pgsql-user={}", target.user),
        format!("--pgsql-password={}", target.password),
        format!("--pgsql-db={}", target.database),
        format!("--tables={}", sizes.tables),
        format!("--table-size={}", sizes.rows),
        "--report-interval=0".to_owned(),
    ]);
    command
}

/// Makes pgbench's tables; seconds.
///
/// # Errors
///
/// What it said.
pub fn prepare_pgbench(target: &Target, sizes: &Sizes, isolation: &str) -> Result<f64, String> {
    let mut command = pgbench(target);
    command.args(["-i", "-q", "-s", &sizes.scale.to_string(), &target.database]);
    let ran = run(command, target, isolation, PREPARING);
    if ran.good { Ok(ran.took.as_secs_f64()) } else { Err(ran.err) }
}

/// Makes sysbench's tables; seconds.
///
/// # Errors
///
/// What it said.
pub fn prepare_sysbench(target: &Target, sizes: &Sizes, isolation: &str) -> Result<f64, String> {
    let script = "read_write";
    let mut cleaning = sysbench(target, script, sizes);
    cleaning.arg("cleanup");
    // There may be nothing to clean up.
    run(cleaning, target, isolation, PREPARING);
    let mut command = sysbench(target, script, sizes);
    command.arg("prepare");
    let ran = run(command, target, isolation, PREPARING);
    if ran.good { Ok(ran.took.as_secs_f64()) } else { Err(ran.out + &ran.err) }
}

/// Measures one workload once.
pub fn measure(cell: &Cell, target: &Target, sizes: &Sizes, isolation: &str) -> Measured {
    let patience = Duration::from_secs(sizes.secs) + OVERTIME;
    match cell {
        Cell::Pgbench { protocol, clients, select } => {
            let mut command = pgbench(target);
            command.args(["-n", "-M", protocol, "-c", &clients.to_string()]);
            command.args(["-j", &clients.min(&2).to_string(), "-T", &sizes.secs.to_string()]);
            command.args(["--max-tries", &sizes.tries_max.to_string()]);
            if *select {
                command.arg("-S");
            }
            command.arg(&target.database);
            let ran = run(command, target, isolation, patience);
            read_pgbench(&ran.out, &ran.err)
        }
        Cell::Sysbench { script, threads } => {
            let mut command = sysbench(target, script, sizes);
            command.args([format!("--threads={threads}"), format!("--time={}", sizes.secs)]);
            command.args(["--rand-type=uniform", "run"]);
            let ran = run(command, target, isolation, patience);
            read_sysbench(&ran.out, &ran.err)
        }
    }
}

/// The number after a label.
fn number(text: &str, label: &str) -> Option<f64> {
    let at = text.find(label)? + label.len();
    let digits: String =
        text[at..].trim_start().chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    digits.parse().ok()
}

fn first_error(text: &str, marks: &[&str]) -> Option<String> {
    let line = text.lines().find(|line| marks.iter().any(|mark| line.contains(mark)))?;
    Some(line.to_owned())
}

fn read_pgbench(out: &str, err: &str) -> Measured {
    let marks = ["ERROR", "FATAL", "error", "aborted"];
    Measured {
        tps: number(out, "tps = ").unwrap_or(0.0),
        transactions: number(out, "transactions actually processed: ").unwrap_or(0.0),
        latency_ms: number(out, "latency average = "),
        failed: number(out, "failed transactions: ").unwrap_or(0.0) as u64,
        error: first_error(err, &marks),
    }
}

fn read_sysbench(out: &str, err: &str) -> Measured {
    let line = out.lines().find(|line| line.trim_start().starts_with("transactions:"));
    let line = line.unwrap_or_default();
    Measured {
        tps: number(line, "(").unwrap_or(0.0),
        transactions: number(line, "transactions:").unwrap_or(0.0),
        latency_ms: number(out, "avg:"),
        failed: number(out, "ignored errors:").unwrap_or(0.0) as u64,
        error: first_error(out, &["FATAL"]).or_else(|| first_error(err, &["FATAL"])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_tools_print_is_read() {
        let pgbench = "number of transactions actually processed: 1234\n\
            number of failed transactions: 5 (0.4%)\nlatency average = 3.250 ms\n\
            initial connection time = 3 ms\ntps = 307.692308 (without initial connection time)\n";
        let read = read_pgbench(pgbench, "pgbench: error: client 3 aborted\n");
        assert_eq!((read.tps, read.transactions, read.failed), (307.692_308, 1_234.0, 5));
        assert_eq!(read.latency_ms, Some(3.25));
        assert!(read.error.is_some());
        let sysbench = "    transactions:        4521   (903.12 per sec.)\n\
            queries: 4521 (903.12 per sec.)\n    ignored errors:   7   (1.4 per sec.)\n\
            Latency (ms):\n   min: 0.1\n   avg:   17.70\n";
        let read = read_sysbench(sysbench, "");
        assert_eq!((read.tps, read.transactions, read.failed), (903.12, 4_521.0, 7));
        assert_eq!((read.latency_ms, read.error), (Some(17.7), None));
    }
}
