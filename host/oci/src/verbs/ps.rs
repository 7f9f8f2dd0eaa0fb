use std::process::Command;

use wharf_error::{Error, Kind, ResultExt as _};

use super::list::Format;
use crate::{
    cgroup,
    out::{Stop, outln},
    store::Store,
};

#[derive(clap::Args, Debug)]
pub(crate) struct Flags {
    /// ps's table, or a JSON list of process ids
    #[arg(short, long, value_enum, default_value = "table")]
    format: Format,
    /// The container
    id: String,
    /// Options for ps, instead of -ef; its output must have a column PID
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

pub(crate) fn run(flags: &Flags, store: &Store) -> Result<u8, Stop> {
    let (_, record) = store.container(&flags.id)?;
    let pids = cgroup::open(&record.cgroup)?.pids().step(|| format!("container {}", flags.id))?;
    if matches!(flags.format, Format::Json) {
        outln!("{}", serde_json::to_string(&pids).step(|| "encode the list".into())?)?;
        return Ok(0);
    }
    let options = if flags.options.is_empty() { vec!["-ef".to_owned()] } else { flags.options.clone() };
    let output = Command::new("ps").args(&options).output().step(|| "run ps".into())?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::new(Kind::Internal, format!("ps {}: {text}", options.join(" "))).into());
    }
    let table = String::from_utf8_lossy(&output.stdout);
    let mut lines = table.lines();
    let header = lines.next().unwrap_or_default();
    let column = header.split_whitespace().position(|name| name == "PID");
    let column = column.ok_or_else(|| Error::invalid("the output of ps has no column PID"))?;
    outln!("{header}")?;
    for line in lines {
        let pid = line.split_whitespace().nth(column).and_then(|text| text.parse::<i32>().ok());
        if pid.is_some_and(|pid| pids.contains(&pid)) {
            outln!("{line}")?;
        }
    }
    Ok(0)
}
