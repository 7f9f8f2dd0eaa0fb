use std::{collections::BTreeMap, fmt};

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};
use serde_json::json;

use crate::{
    rows::Row,
    targets::{Verdict, judge},
};

/// All that was measured: a table for people, JSON for programs.
pub struct Report {
    machine: String,
    versions: BTreeMap<String, String>,
    rows: Vec<Row>,
    verdicts: Vec<Verdict>,
}

// === impl Report ===

impl Report {
    pub fn new(machine: String) -> Self {
        Self { machine, versions: BTreeMap::new(), rows: Vec::new(), verdicts: Vec::new() }
    }

    pub fn name(&mut self, subject: &str, version: &str) {
        self.versions.insert(subject.to_owned(), version.to_owned());
    }

    pub fn add(&mut self, rows: Vec<Row>) {
        self.rows.extend(rows);
    }

    pub fn judge(&mut self) {
        self.verdicts = judge(&self.rows);
    }

    /// The promises that this run breaks.
    pub fn broken(&self) -> Vec<&str> {
        self.verdicts.iter().filter(|verdict| verdict.breaks()).map(|verdict| verdict.promise.as_str()).collect()
    }

    /// `{machine, versions, rows: [{id, what, unit, of: {subject: {count, median, p90, p99, min}}, ratios}], targets}`;
    /// a ratio is a column's median divided by the first column's.
    pub fn json(&self) -> Result<String> {
        let row = |row: &Row| {
            let of: BTreeMap<_, _> = row.of.iter().map(|(name, summary)| (name, summary)).collect();
            let ratios: BTreeMap<_, _> = ratios(row).collect();
            json!({ "id": row.id, "what": row.what, "unit": row.unit, "of": of, "ratios": ratios })
        };
        let all = json!({
            "machine": self.machine,
            "versions": self.versions,
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "targets": self.verdicts,
        });
        Ok(serde_json::to_string_pretty(&all)?)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.machine)?;
        for (name, version) in &self.versions {
            writeln!(f, "{name}: {version}")?;
        }
        let mut table = Table::new();
        table.load_style(UTF8_HORIZONTAL_ONLY);
        table.set_header(["what", "of", "median", "p90", "p99", "min", "unit", "times", "n"]);
        for row in &self.rows {
            let ratios: BTreeMap<_, _> = ratios(row).collect();
            for (at, (name, summary)) in row.of.iter().enumerate() {
                let what = if at == 0 { row.what } else { "" };
                let ratio = ratios.get(name.as_str()).map_or_else(String::new, |ratio| format!("{ratio:.1}"));
                let number =
                    |value: f64| if value.abs() < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") };
                table.add_row([
                    what.to_owned(),
                    name.clone(),
                    number(summary.median),
                    number(summary.p90),
                    number(summary.p99),
                    number(summary.min),
                    row.unit.to_owned(),
                    ratio,
                    summary.count.to_string(),
                ]);
            }
        }
        right_aligned(&mut table, &[2, 3, 4, 5, 7, 8]);
        writeln!(f, "\n{table}\n")?;
        let mut table = Table::new();
        table.load_style(UTF8_HORIZONTAL_ONLY);
        table.set_header(["promise", "what", "here", ""]);
        for verdict in &self.verdicts {
            let measured = verdict.measured.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
            let met = match verdict.met {
                Some(true) => "met",
                Some(false) if verdict.target.open => "not met yet",
                Some(false) => "NOT MET",
                None => "not measured",
            };
            table.add_row([verdict.target.number, &verdict.promise, &measured, met]);
        }
        right_aligned(&mut table, &[2]);
        write!(f, "{table}")
    }
}

fn right_aligned(table: &mut Table, columns: &[usize]) {
    for column in columns {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// Of each column but the first and a difference: how many times the first.
fn ratios(row: &Row) -> impl Iterator<Item = (&str, f64)> {
    let first = row.of.first().map_or(f64::NAN, |(_, summary)| summary.median);
    let others = row.of.iter().skip(1).filter(|(name, _)| name != "difference");
    others.map(move |(name, summary)| (name.as_str(), summary.median / first))
}
