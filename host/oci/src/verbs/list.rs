use serde_json::Value;
use wharf_error::ResultExt as _;

use crate::{
    out::{Stop, outln},
    report::Report,
    status::{look, state},
    store::Store,
};

#[derive(clap::Args, Debug)]
pub(crate) struct Flags {
    /// As a table or as JSON
    #[arg(short, long, value_enum, default_value = "table")]
    format: Format,
    /// Only ids
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
}

/// Lists what can be read; a container that cannot is named as an error, and hides none of the others.
pub(crate) fn run(flags: &Flags, store: &Store, report: &Report) -> Result<u8, Stop> {
    let all = store.all()?;
    let mut states = Vec::with_capacity(all.readable.len());
    all.broken.iter().for_each(|error| report.error(&error.to_string()));
    for (folder, record) in all.readable {
        match look(&folder, &record) {
            Ok(found) => states.push(state(&record, &found)),
            Err(error) => report.error(&format!("container {}: {error}", record.id)),
        }
    }
    let text = |state: &Value, key: &str| state.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    match flags.format {
        _ if flags.quiet => states.iter().try_for_each(|state| outln!("{}", text(state, "id")))?,
        Format::Json => outln!("{}", serde_json::to_string(&states).step(|| "encode the list".into())?)?,
        Format::Table => {
            let header = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
            let mut rows = vec![header];
            rows.extend(states.iter().map(|state| {
                let pid = state.get("pid").map(ToString::to_string).unwrap_or_default();
                [
                    text(state, "id"),
                    pid,
                    text(state, "status"),
                    text(state, "bundle"),
                    text(state, "created"),
                    "root".into(),
                ]
            }));
            print(&rows)?;
        }
    }
    Ok(0)
}

/// Columns as wide as their widest entry, at least 10, and two spaces between them.
fn print(rows: &[[String; 6]]) -> Result<(), Stop> {
    let width = |column: usize| {
        let lengths = rows.iter().filter_map(|row| row.get(column)).map(|entry| entry.chars().count());
        lengths.max().unwrap_or(0).max(10)
    };
    let widths: Vec<usize> = (0..6).map(width).collect();
    for row in rows {
        let entries = row.iter().zip(&widths).map(|(entry, width)| format!("{entry:width$}"));
        outln!("{}", entries.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}
