//! Three real nodes, broken under load: `chaos --bin target/release/shardforge --mode kill --secs 120`.
//!
//! Exit code 0: every promise was kept; 1: one was broken; 2: the run was none. The directory of a
//! run that did not end with 0 stays for inspection.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use shardforge_benches::chaos::plan::{Mode, Plan};
use shardforge_benches::chaos::run;
use shardforge_benches::tpcb::load::Load;
use shardforge_benches::tpcb::schema::Scale;

#[derive(Parser)]
#[command(about = "Breaks three real nodes under TPC-B and holds them to their promises")]
struct Arguments {
    /// The program.
    #[arg(long)]
    bin: PathBuf,
    #[arg(long, value_enum)]
    mode: Mode,
    #[arg(long, default_value_t = 120)]
    secs: u64,
    /// From one fault to the next.
    #[arg(long, default_value_t = 10_000)]
    every_ms: u64,
    /// How long a node stays down or stopped.
    #[arg(long, default_value_t = 1_000)]
    down_ms: u64,
    /// Drops what was not synced at each kill.
    #[arg(long)]
    shim: bool,
    #[arg(long, default_value_t = 16)]
    clients: u32,
    /// Branches; ten tellers each.
    #[arg(long, default_value_t = 16)]
    scale: i32,
    #[arg(long, default_value_t = 1_000)]
    accounts_per_branch: i32,
    #[arg(long, default_value = "serializable")]
    isolation: String,
    /// How long a client waits for one answer.
    #[arg(long, default_value_t = 10_000)]
    patience_ms: u64,
    /// The longest time in which the whole cluster may acknowledge nothing.
    #[arg(long, default_value_t = 2_000)]
    gap_ms: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the nodes live; a new directory for temporary files by default.
    #[arg(long)]
    dir: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let plan = Plan {
        mode: arguments.mode,
        every: Duration::from_millis(arguments.every_ms),
        down: Duration::from_millis(arguments.down_ms),
        duration: Duration::from_secs(arguments.secs),
        shim: arguments.shim.then(PathBuf::new),
    };
    let load = Load {
        addrs: Vec::new(),
        clients: arguments.clients,
        duration: plan.duration,
        scale: Scale {
            branches: arguments.scale,
            accounts_per_branch: arguments.accounts_per_branch,
        },
        patience: Duration::from_millis(arguments.patience_ms),
        isolation: arguments.isolation,
        seed: arguments.seed,
    };
    let directory = arguments.dir.unwrap_or_else(|| {
        std::env::temp_dir().join(format!("shardforge-chaos-{}", std::process::id()))
    });
    let gap_max = Duration::from_millis(arguments.gap_ms);
    match run::run(&arguments.bin, &directory, plan, load, gap_max) {
        Ok(found) if found.is_empty() => {
            println!("kept");
            if let Err(error) = run::clean_up(&directory) {
                eprintln!("{}: {error}", directory.display());
            }
            ExitCode::SUCCESS
        }
        Ok(found) => {
            eprintln!("BROKEN ({}):\n{}", directory.display(), found.join("\n"));
            ExitCode::from(1)
        }
        Err(error) => {
            eprintln!("no run ({}): {error}", directory.display());
            ExitCode::from(2)
        }
    }
}
