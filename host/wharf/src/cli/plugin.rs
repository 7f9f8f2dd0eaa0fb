use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::Subcommand;
use comfy_table::{Table, presets};
use serde_json::json;
use wharf_admin::proto::{PluginsReply, PluginsRequest};
use wharf_plugins::Inspection;

use super::{Endpoint, client, out::outln, table::table};
use crate::config::{self, Config};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// List the daemon's plugins, what they may do, and what they were asked
    Ls {
        /// For programs
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        endpoint: Endpoint,
    },
    /// Show what a component is, imports and asks for, without a daemon
    Inspect {
        /// The component, a .wasm file
        file: PathBuf,
        /// The configuration that names the compiler
        #[arg(long, default_value = config::DEFAULT_FILE)]
        config: PathBuf,
        /// For programs
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(verb: Verb) -> Result<()> {
    match verb {
        Verb::Ls { json, endpoint } => client::block_on(ls(json, &endpoint)),
        Verb::Inspect { file, config, json } => inspect(&file, &config, json),
    }
}

async fn ls(as_json: bool, endpoint: &Endpoint) -> Result<()> {
    let mut admin = client::admin(endpoint).await?;
    let reply = admin.plugins(PluginsRequest {}).await.map_err(client::said)?.into_inner();
    if as_json {
        return outln!("{:#}", to_json(&reply));
    }
    let mut plugins = table(["NAME", "KIND", "CONTRACT", "SOURCE", "STATE", "POWERS", "DIGEST"]);
    for plugin in reply.plugins {
        let powers = plugin.powers.join(" ");
        let digest = plugin.digest.chars().take(19).collect();
        plugins.add_row([plugin.name, plugin.kind, plugin.contract, plugin.source, plugin.state, powers, digest]);
    }
    outln!("{plugins}\n")?;
    let mut calls = table(["PLUGIN", "FUNCTION", "CALLS", "ERRORS", "MEAN", "MAX", "LAST"]);
    for call in reply.calls {
        let mean = time(call.total_nanos / call.calls.max(1));
        let (count, errors) = (call.calls.to_string(), call.errors.to_string());
        let (max, last) = (time(call.max_nanos), time(call.last_nanos));
        calls.add_row([call.plugin, call.function, count, errors, mean, max, last]);
    }
    outln!("{calls}")
}

fn to_json(reply: &PluginsReply) -> serde_json::Value {
    let plugins = reply.plugins.iter().map(|plugin| {
        json!({
            "name": plugin.name, "kind": plugin.kind, "digest": plugin.digest, "source": plugin.source,
            "state": plugin.state, "contract": plugin.contract, "powers": plugin.powers,
        })
    });
    let calls = reply.calls.iter().map(|call| {
        json!({
            "plugin": call.plugin, "function": call.function, "calls": call.calls, "errors": call.errors,
            "totalNanos": call.total_nanos, "maxNanos": call.max_nanos, "lastNanos": call.last_nanos,
        })
    });
    json!({ "plugins": plugins.collect::<Vec<_>>(), "calls": calls.collect::<Vec<_>>() })
}

fn inspect(file: &Path, config: &Path, as_json: bool) -> Result<()> {
    let wasm = std::fs::read(file).with_context(|| format!("read {}", file.display()))?;
    let config = Config::load_or_default(config)?;
    let seen = wharf_plugins::inspect(&config.runtime.compiler()?, &wasm);
    let seen = seen.with_context(|| format!("inspect {}", file.display()))?;
    if as_json {
        return outln!("{:#}", inspection_json(&seen));
    }
    let listed = |words: &[String]| if words.is_empty() { "none".to_owned() } else { words.join(" ") };
    let mut rows = Table::new();
    *rows.style_mut() = presets::NOTHING;
    rows.add_row(["kind", &seen.kind.to_string()]);
    rows.add_row(["contract", &seen.version]);
    rows.add_row(["digest", &seen.digest]);
    rows.add_row(["size", &format!("{} bytes", seen.size)]);
    rows.add_row(["powers it imports", &listed(&seen.powers)]);
    rows.add_row(["else it asks for", &listed(&seen.asks)]);
    rows.add_row(["optional exports", &listed(&seen.abilities)]);
    rows.add_row(["WASI, inert", &listed(&seen.wasi)]);
    rows.add_row(["configuration", seen.config_schema.as_deref().unwrap_or("none")]);
    for (key, value) in &seen.extra {
        rows.add_row([key, value]);
    }
    outln!("{rows}")?;
    if !seen.powers.is_empty() {
        outln!("\nTo grant: [plugins.NAME] grant = {:?}", seen.powers)?;
    }
    Ok(())
}

fn inspection_json(seen: &Inspection) -> serde_json::Value {
    json!({
        "kind": seen.kind.to_string(), "contract": seen.version, "digest": seen.digest, "size": seen.size,
        "powers": seen.powers, "asks": seen.asks, "abilities": seen.abilities, "wasi": seen.wasi,
        "configSchema": seen.config_schema, "extra": seen.extra,
    })
}

fn time(nanos: u64) -> String {
    format!("{:.1?}", Duration::from_nanos(nanos))
}
