//! The proof that the simulator works: every planted bug is found by an oracle, the clean tree by none.
//!
//! `planted --all | --required | --clean | B07 B12 … [--seeds N] [--base B] [--jobs J] [--deep]
//! [--trace DIR]`. Exits 1 if a required bug is missed or found too late, or if the clean tree is
//! flagged over the same seeds. `--clean` runs the clean tree over `--seeds` seeds in any case.

use std::process::ExitCode;

use sim_tests::planted::{BUGS, Campaign, run};

const USAGE: &str = "usage: planted --all | --required | --clean | B07 B12 ... \
     [--seeds N] [--base B] [--jobs J] [--deep] [--trace DIR]";

fn parse() -> Result<(Vec<u16>, Campaign), String> {
    let jobs = std::env::var("SIM_JOBS").ok().and_then(|jobs| jobs.parse().ok()).unwrap_or(2);
    let mut campaign =
        Campaign { base: 1, seeds: 50, jobs, deep: false, clean: false, traces: None };
    let mut bugs = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        let mut number = || -> Result<u64, String> {
            let text = value()?;
            text.parse().map_err(|_| format!("{arg} needs a number, not {text:?}"))
        };
        match arg.as_str() {
            "--all" => bugs.extend(BUGS.iter().map(|bug| bug.number)),
            "--required" => {
                bugs.extend(BUGS.iter().filter(|bug| bug.required).map(|bug| bug.number));
            }
            "--clean" => campaign.clean = true,
            "--deep" => campaign.deep = true,
            "--trace" => campaign.traces = Some(value()?.into()),
            "--seeds" => campaign.seeds = number()?,
            "--base" => campaign.base = number()?,
            "--jobs" => campaign.jobs = usize::try_from(number()?).unwrap_or(1),
            name => {
                let known = BUGS.iter().find(|bug| format!("B{:02}", bug.number) == name);
                bugs.push(known.ok_or(format!("{name} is no planted bug\n{USAGE}"))?.number);
            }
        }
    }
    if bugs.is_empty() && !campaign.clean {
        return Err(USAGE.to_owned());
    }
    Ok((bugs, campaign))
}

fn main() -> ExitCode {
    let (bugs, campaign) = match parse() {
        Ok(parsed) => parsed,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    if let Some(Err(error)) = campaign.traces.as_deref().map(std::fs::create_dir_all) {
        eprintln!("--trace: {error}");
        return ExitCode::from(2);
    }
    // A panic of the core is counted, not told: the bug's oracle is what matters.
    std::panic::set_hook(Box::new(|_| {}));
    let began = std::time::Instant::now();
    let results = run(&bugs, &campaign, |line| println!("{line}"));
    print!("\n{}", results.tables());
    println!("{:.0} s", began.elapsed().as_secs_f64());
    if results.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
