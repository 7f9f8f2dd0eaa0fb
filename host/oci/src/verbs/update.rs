use std::{fs, io::Read as _, path::Path};

use oci_spec::runtime::LinuxResources;
use serde_json::{Map, Value, json};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::{
    cgroup,
    report::Report,
    status::{Status, look},
    store::Store,
};

#[derive(clap::Args, Debug)]
#[command(allow_negative_numbers = true)]
pub(crate) struct Flags {
    /// The file with the limits as the specification has them, or - for standard input; other options are ignored then
    #[arg(short, long, value_name = "FILE", allow_hyphen_values = true)]
    resources: Option<String>,
    /// Share of block I/O, from 10 to 1000
    #[arg(long)]
    blkio_weight: Option<u16>,
    /// Period of the CPU quota, µs
    #[arg(long)]
    cpu_period: Option<u64>,
    /// CPU time in a period, µs
    #[arg(long)]
    cpu_quota: Option<i64>,
    /// CPU time that may be saved up beyond the quota, µs
    #[arg(long)]
    cpu_burst: Option<u64>,
    /// Run only when others are idle: 1, or 0
    #[arg(long)]
    cpu_idle: Option<i64>,
    /// Share of CPU time
    #[arg(long)]
    cpu_share: Option<u64>,
    /// Period of the real-time quota, µs
    #[arg(long)]
    cpu_rt_period: Option<u64>,
    /// Real-time CPU time in a period, µs
    #[arg(long)]
    cpu_rt_runtime: Option<i64>,
    /// Processors
    #[arg(long)]
    cpuset_cpus: Option<String>,
    /// Memory nodes
    #[arg(long)]
    cpuset_mems: Option<String>,
    /// Not supported: no classes of resctrl are made
    #[arg(long, value_name = "SCHEMA")]
    l3_cache_schema: Option<String>,
    /// Not supported: no classes of resctrl are made
    #[arg(long, value_name = "SCHEMA")]
    mem_bw_schema: Option<String>,
    /// Memory, bytes
    #[arg(long)]
    memory: Option<i64>,
    /// Memory below which nothing is taken away, bytes
    #[arg(long)]
    memory_reservation: Option<i64>,
    /// Memory and swap, bytes; -1: no limit on swap
    #[arg(long)]
    memory_swap: Option<i64>,
    /// Processes; -1: no limit
    #[arg(long)]
    pids_limit: Option<i64>,
    /// The container
    id: String,
}

pub(crate) fn run(flags: &Flags, store: &Store, report: &Report) -> Result<u8> {
    let step = || format!("container {}", flags.id);
    for (flag, given) in [("--l3-cache-schema", &flags.l3_cache_schema), ("--mem-bw-schema", &flags.mem_bw_schema)] {
        if given.is_some() {
            return Err(Error::new(Kind::Unsupported, format!("{flag}: linux.intelRdt is not supported"))
                .hint("make a class in /sys/fs/resctrl and put the container's processes into its tasks"));
        }
    }
    let resources = match &flags.resources {
        Some(source) => read(source)?,
        None => flags.resources()?,
    };
    let (folder, record) = store.locked(&flags.id)?;
    let status = look(&folder, &record)?.status;
    if status == Status::Stopped {
        return Err(status.refuses(&flags.id, "update"));
    }
    let group = cgroup::open(&record.cgroup)?;
    for warning in cgroup::limit(&group, &resources).step(step)? {
        report.warning(&warning);
    }
    Ok(0)
}

fn read(source: &str) -> Result<LinuxResources> {
    let step = || format!("read limits from {source}");
    let mut bytes = Vec::new();
    if source == "-" {
        std::io::stdin().read_to_end(&mut bytes).step(step)?;
    } else {
        bytes = fs::read(Path::new(source)).step(step)?;
    }
    serde_json::from_slice(&bytes).step_as(Kind::InvalidArgument, step)
}

// === impl Flags ===

impl Flags {
    /// What was given, as the specification has it.
    fn resources(&self) -> Result<LinuxResources> {
        let mut resources = Map::new();
        let mut set = |kind: &str, values: &[(&str, Option<Value>)]| {
            let given: Map<_, _> =
                values.iter().filter_map(|(key, value)| Some(((*key).to_owned(), value.clone()?))).collect();
            if !given.is_empty() {
                resources.insert(kind.to_owned(), Value::Object(given));
            }
        };
        set("blockIO", &[("weight", self.blkio_weight.map(Value::from))]);
        set(
            "cpu",
            &[
                ("period", self.cpu_period.map(Value::from)),
                ("quota", self.cpu_quota.map(Value::from)),
                ("burst", self.cpu_burst.map(Value::from)),
                ("idle", self.cpu_idle.map(Value::from)),
                ("shares", self.cpu_share.map(Value::from)),
                ("realtimePeriod", self.cpu_rt_period.map(Value::from)),
                ("realtimeRuntime", self.cpu_rt_runtime.map(Value::from)),
                ("cpus", self.cpuset_cpus.clone().map(Value::from)),
                ("mems", self.cpuset_mems.clone().map(Value::from)),
            ],
        );
        set(
            "memory",
            &[
                ("limit", self.memory.map(Value::from)),
                ("reservation", self.memory_reservation.map(Value::from)),
                ("swap", self.memory_swap.map(Value::from)),
            ],
        );
        set("pids", &[("limit", self.pids_limit.map(Value::from))]);
        if resources.is_empty() {
            return Err(Error::invalid("no limit to change is named"));
        }
        serde_json::from_value(json!(resources)).step_as(Kind::InvalidArgument, || "the limits".into())
    }
}
