//! TPC-B over the nodes of a cluster: `tpcb --addrs A,B,C --init --clients 16 --secs 60`.
//!
//! Exit code 0: every promise was kept; 1: one was broken, or the cluster was silent too long.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use shardforge_benches::tpcb::load::{self, Load};
use shardforge_benches::tpcb::schema::{self, Scale};
use shardforge_benches::tpcb::verify;

#[derive(Parser)]
#[command(about = "TPC-B with unique ids, held against what the nodes show afterwards")]
struct Arguments {
    /// SQL addresses of the nodes.
    #[arg(long, value_delimiter = ',', required = true)]
    addrs: Vec<String>,
    #[arg(long, default_value_t = 16)]
    clients: u32,
    #[arg(long, default_value_t = 60)]
    secs: u64,
    /// Branches; ten tellers each.
    #[arg(long, default_value_t = 16)]
    scale: i32,
    #[arg(long, default_value_t = 1_000)]
    accounts_per_branch: i32,
    /// Makes the tables anew first.
    #[arg(long)]
    init: bool,
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
}

async fn run(arguments: Arguments) -> Result<(), String> {
    let scale =
        Scale { branches: arguments.scale, accounts_per_branch: arguments.accounts_per_branch };
    if arguments.init {
        schema::create(&arguments.addrs, scale).await?;
    }
    let load = Load {
        addrs: arguments.addrs.clone(),
        clients: arguments.clients,
        duration: Duration::from_secs(arguments.secs),
        scale,
        patience: Duration::from_millis(arguments.patience_ms),
        isolation: arguments.isolation,
        seed: arguments.seed,
    };
    let tally = load::run(&load).await;
    print!("{tally}");
    let mut breaches = Vec::new();
    for address in &arguments.addrs {
        let picture = verify::picture(address).await?;
        println!("{address} shows {} history rows", picture.history.len());
        let found = verify::breaches(&picture, &tally);
        breaches.extend(found.into_iter().map(|breach| format!("{address}: {breach}")));
    }
    if Duration::from_millis(arguments.gap_ms) < tally.silence.longest {
        breaches.push(format!("nothing acknowledged in {:?}", tally.silence.longest));
    }
    if tally.acknowledged.is_empty() {
        breaches.push("nothing was acknowledged: this proves nothing".to_owned());
    }
    if breaches.is_empty() { Ok(()) } else { Err(breaches.join("\n")) }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(run(arguments)),
        Err(error) => Err(error.to_string()),
    };
    match done {
        Ok(()) => {
            println!("kept");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("BROKEN: {error}");
            ExitCode::FAILURE
        }
    }
}
