//! pgbench and sysbench against several servers in turn: medians, ratios to the first target, and the
//! servers' processor time a transaction.
//!
//! ```text
//! compare --target pg=127.0.0.1:15431 --target sf=127.0.0.1:5432 --clients 1,16,64 --secs 5 --reps 5
//! ```

use std::process::ExitCode;

use clap::Parser;
use shardforge_benches::compare::cpu;
use shardforge_benches::compare::report::{Report, Sample};
use shardforge_benches::compare::target::Target;
use shardforge_benches::compare::tools::{self, Cell, Sizes};

const SCRIPTS: [&str; 5] =
    ["point_select", "read_only", "write_only", "read_write", "update_index"];

#[derive(Parser)]
#[command(about = "The same workloads against several PostgreSQL-compatible servers")]
struct Arguments {
    /// `name=host:port[,user=U][,db=D][,password=P][,also=PORT]`; the first is what the others are
    /// compared with. The processor time of who listens on the `also` ports counts too.
    #[arg(long = "target", required = true)]
    targets: Vec<Target>,
    #[arg(long, value_delimiter = ',', default_value = "tpcb,select,sysbench")]
    suite: Vec<String>,
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    clients: Vec<u32>,
    #[arg(long, default_value_t = 5)]
    secs: u64,
    #[arg(long, default_value_t = 5)]
    reps: u32,
    #[arg(long, default_value_t = 10)]
    scale: u32,
    #[arg(long, value_delimiter = ',', default_value = "simple,prepared")]
    protocols: Vec<String>,
    #[arg(long, value_delimiter = ',', default_value = "read committed,serializable")]
    isolation: Vec<String>,
    #[arg(long, default_value_t = 16)]
    sb_threads: u32,
    #[arg(long, default_value_t = 4)]
    sb_tables: u32,
    #[arg(long, default_value_t = 10_000)]
    sb_rows: u32,
    #[arg(long, default_value_t = 20)]
    max_tries: u32,
    /// The tables are there.
    #[arg(long)]
    skip_init: bool,
    /// Where the JSON goes.
    #[arg(long)]
    out: Option<std::path::PathBuf>,
}

impl Arguments {
    fn wants(&self, suite: &str) -> bool {
        self.suite.iter().any(|wanted| wanted == suite)
    }

    fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for (suite, select) in [("tpcb", false), ("select", true)] {
            if !self.wants(suite) {
                continue;
            }
            for protocol in &self.protocols {
                for clients in &self.clients {
                    let protocol = protocol.clone();
                    cells.push(Cell::Pgbench { protocol, clients: *clients, select });
                }
            }
        }
        if self.wants("sysbench") {
            let cell = |script: &str| Cell::Sysbench {
                script: script.to_owned(),
                threads: self.sb_threads,
            };
            cells.extend(SCRIPTS.map(cell));
        }
        cells
    }
}

fn prepare(arguments: &Arguments, sizes: &Sizes) -> Result<(), String> {
    for target in &arguments.targets {
        let name = &target.name;
        if arguments.wants("tpcb") || arguments.wants("select") {
            let took = tools::prepare_pgbench(target, sizes, "read committed")?;
            println!("{name}: pgbench -i -s {}: {took:.2} s", sizes.scale);
        }
        if arguments.wants("sysbench") {
            let took = tools::prepare_sysbench(target, sizes, "read committed")?;
            println!("{name}: sysbench prepare: {took:.2} s");
        }
    }
    Ok(())
}

fn sample(cell: &Cell, target: &Target, sizes: &Sizes, isolation: &str) -> Sample {
    let busy_percent = cpu::busy_percent();
    let ports = std::iter::once(target.port).chain(target.also.iter().copied());
    let servers: Vec<u32> = ports.flat_map(cpu::listeners).collect();
    let before = cpu::used(&servers);
    let measured = tools::measure(cell, target, sizes, isolation);
    let used = cpu::used(&servers).saturating_sub(before);
    let known = !servers.is_empty() && 0.0 < measured.transactions;
    let cpu_us = known.then(|| used.as_micros() as f64 / measured.transactions);
    Sample { measured, cpu_us, busy_percent }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let sizes = Sizes {
        secs: arguments.secs,
        scale: arguments.scale,
        tables: arguments.sb_tables,
        rows: arguments.sb_rows,
        tries_max: arguments.max_tries,
    };
    if !arguments.skip_init {
        prepare(arguments, &sizes)?;
    }
    let mut report = Report::default();
    for repetition in 1..=arguments.reps {
        for cell in arguments.cells() {
            for isolation in &arguments.isolation {
                let name = format!("{}_{}", cell.name(), short(isolation));
                for target in &arguments.targets {
                    let sample = sample(&cell, target, &sizes, isolation);
                    let (tps, busy) = (sample.measured.tps, sample.busy_percent);
                    eprintln!("{repetition} {name} {}: {tps:.0} tps, {busy} % before", target.name);
                    report.add(&name, &target.name, sample);
                }
            }
        }
        if let Some(path) = &arguments.out {
            let text = format!("{:#}\n", report.json());
            std::fs::write(path, text).map_err(|error| error.to_string())?;
        }
    }
    print!("{}", report.table());
    Ok(())
}

/// `read committed` is `rc`.
fn short(isolation: &str) -> String {
    isolation.split_whitespace().filter_map(|word| word.chars().next()).collect()
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
