//! Processor time of servers, from `/proc`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

/// Clock ticks of `/proc`, on every Linux that we run on.
const TICKS_PER_SECOND: u64 = 100;

/// Who listens on a TCP port, as far as this user may see.
pub fn listeners(port: u16) -> Vec<u32> {
    let mut sockets = BTreeSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = fs::read_to_string(table).unwrap_or_default();
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let local = words.get(1).and_then(|address| address.rsplit_once(':'));
            let here = local.is_some_and(|(_, hex)| u16::from_str_radix(hex, 16) == Ok(port));
            if here
                && words.get(3) == Some(&"0A")
                && let Some(inode) = words.get(9)
            {
                sockets.insert(format!("socket:[{inode}]"));
            }
        }
    }
    processes().into_iter().filter(|pid| holds(*pid, &sockets)).collect()
}

fn holds(pid: u32, sockets: &BTreeSet<String>) -> bool {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    entries.flatten().any(|entry| {
        let link = fs::read_link(entry.path());
        link.is_ok_and(|link| link.to_str().is_some_and(|link| sockets.contains(link)))
    })
}

fn processes() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let name = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    entries.flatten().filter_map(name).collect()
}

/// Processor time of these processes and their descendants so far, those that have ended too.
pub fn used(roots: &[u32]) -> Duration {
    let stats: BTreeMap<u32, (u32, u64)> = processes()
        .into_iter()
        .filter_map(|pid| {
            let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, parse(&text)?))
        })
        .collect();
    let ours = |mut pid: u32| {
        for _ in 0..8 {
            if roots.contains(&pid) {
                return true;
            }
            match stats.get(&pid) {
                Some((parent, _)) => pid = *parent,
                None => return false,
            }
        }
        false
    };
    let ticks: u64 = stats.iter().filter(|(pid, _)| ours(**pid)).map(|(_, (_, ticks))| ticks).sum();
    Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND)
}

/// Parent and ticks (user, system, and those of children waited for) of a `stat` line.
fn parse(stat: &str) -> Option<(u32, u64)> {
    // The name may hold spaces and parentheses.
    let (_, rest) = stat.rsplit_once(") ")?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let ticks = (11..15).map(|at| words.get(at)?.parse::<u64>().ok()).sum::<Option<u64>>()?;
    Some((words.get(1)?.parse().ok()?, ticks))
}

/// Share of all processors that was busy over a moment, in percent.
pub fn busy_percent() -> u64 {
    let sample = || {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        let line = text.lines().next().unwrap_or_default().to_owned();
        let all = line.split_whitespace().skip(1).take(8).filter_map(|word| word.parse().ok());
        all.collect::<Vec<u64>>()
    };
    let before = sample();
    std::thread::sleep(Duration::from_millis(400));
    let spent: Vec<u64> = sample().iter().zip(&before).map(|(b, a)| b.saturating_sub(*a)).collect();
    let (all, idle): (u64, u64) = (spent.iter().sum(), spent.iter().skip(3).take(2).sum());
    100 * (all - idle) / all.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_does_not_confuse() {
        let line = "7 (a b) c) S 3 7 7 0 -1 4 1 2 3 4 10 20 30 40 20 0 1 0 5 6 7";
        assert_eq!(parse(line), Some((3, 100)));
    }

    #[test]
    fn our_own_time_is_seen() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(listeners(port), [std::process::id()]);
    }
}
