//! Medians and ratios, for people and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::tools::Measured;

/// One measurement and its circumstances.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What the tool said.
    pub measured: Measured,
    /// The server's processor time a transaction, if its process was found.
    pub cpu_us: Option<f64>,
    /// Of all processors just before.
    pub busy_percent: u64,
}

/// Samples by cell and target, in the order of their first appearance.
#[derive(Clone, Debug, Default)]
pub struct Report {
    cells: Vec<String>,
    targets: Vec<String>,
    samples: BTreeMap<(String, String), Vec<Sample>>,
}

/// The middle one, or the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        len if len % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

impl Report {
    /// Takes in a sample.
    pub fn add(&mut self, cell: &str, target: &str, sample: Sample) {
        for (list, name) in [(&mut self.cells, cell), (&mut self.targets, target)] {
            if !list.iter().any(|known| known == name) {
                list.push(name.to_owned());
            }
        }
        self.samples.entry((cell.to_owned(), target.to_owned())).or_default().push(sample);
    }

    fn of(&self, cell: &str, target: &str) -> &[Sample] {
        let found = self.samples.get(&(cell.to_owned(), target.to_owned()));
        found.map_or(&[], |samples| samples)
    }

    fn tps(&self, cell: &str, target: &str) -> Option<f64> {
        median(self.of(cell, target).iter().map(|sample| sample.measured.tps).collect())
    }

    /// The median against the first target's.
    fn ratio(&self, cell: &str, target: &str) -> Option<f64> {
        let base = self.tps(cell, self.targets.first()?)?;
        (0.0 < base).then(|| self.tps(cell, target).map(|tps| tps / base))?
    }

    fn cpu_us(&self, cell: &str, target: &str) -> Option<f64> {
        median(self.of(cell, target).iter().filter_map(|sample| sample.cpu_us).collect())
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let head = ["cell", "target", "tps", "min", "max", "ratio", "ms", "cpu us", "failed"];
        let widths = [28, 8, 10, 10, 10, 7, 9, 9, 7];
        let line = |cells: &[String]| {
            let padded: Vec<String> =
                cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            padded.join(" ").trim_end().to_owned()
        };
        text += &line(&head.map(str::to_owned));
        for cell in &self.cells {
            for target in &self.targets {
                let all = self.of(cell, target);
                let tps = all.iter().map(|sample| sample.measured.tps);
                let (least, most) = (tps.clone().fold(f64::MAX, f64::min), tps.fold(0.0, f64::max));
                let some = |value: Option<f64>, digits: usize| {
                    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
                };
                let latency = all.iter().filter_map(|sample| sample.measured.latency_ms).collect();
                let failed: u64 = all.iter().map(|sample| sample.measured.failed).sum();
                let row = [
                    cell.clone(),
                    target.clone(),
                    some(self.tps(cell, target), 0),
                    some(Some(least), 0),
                    some(Some(most), 0),
                    some(self.ratio(cell, target), 2),
                    some(median(latency), 3),
                    some(self.cpu_us(cell, target), 0),
                    failed.to_string(),
                ];
                let _ = write!(text, "\n{}", line(&row));
                if let Some(error) = all.iter().find_map(|sample| sample.measured.error.as_ref()) {
                    let _ = write!(text, "\n    {error}");
                }
            }
        }
        text + "\n"
    }

    /// For scripts.
    pub fn json(&self) -> Value {
        let cells = self.cells.iter().map(|cell| {
            let targets = self.targets.iter().map(|target| {
                let all = self.of(cell, target);
                let tps: Vec<f64> = all.iter().map(|sample| sample.measured.tps).collect();
                let busy: Vec<u64> = all.iter().map(|sample| sample.busy_percent).collect();
                let failed: Vec<u64> = all.iter().map(|sample| sample.measured.failed).collect();
                let value = json!({
                    "tps": self.tps(cell, target), "all": tps, "ratio": self.ratio(cell, target),
                    "cpu_us": self.cpu_us(cell, target), "failed": failed, "busy_percent": busy,
                    "error": all.iter().find_map(|sample| sample.measured.error.clone()),
                });
                (target.clone(), value)
            });
            (cell.clone(), Value::Object(targets.collect()))
        });
        Value::Object(cells.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_medians_and_to_the_first_target() {
        let mut report = Report::default();
        for (target, tps) in [("pg", 10.0), ("sf", 3.0), ("pg", 30.0), ("sf", 40.0), ("pg", 20.0)] {
            let measured = Measured { tps, ..Measured::default() };
            report.add("tpcb", target, Sample { measured, cpu_us: None, busy_percent: 0 });
        }
        assert_eq!(report.ratio("tpcb", "pg"), Some(1.0));
        assert_eq!(report.ratio("tpcb", "sf"), Some(21.5 / 20.0));
        assert!(report.table().contains("tpcb"), "{}", report.table());
        assert_eq!(report.json()["tpcb"]["pg"]["tps"], 20.0);
    }
}
