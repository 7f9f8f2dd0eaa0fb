use anyhow::Result;
use comfy_table::{Table, presets};
use serde_json::{Map, json};
use wharf_admin::proto::{InfoReply, InfoRequest};

use super::{Endpoint, client, out::outln, table::table};

#[derive(clap::Args)]
pub(super) struct Flags {
    /// For programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(super) endpoint: Endpoint,
}

pub(super) fn run(flags: &Flags) -> Result<()> {
    client::block_on(show(flags))
}

async fn show(flags: &Flags) -> Result<()> {
    let mut admin = client::admin(&flags.endpoint).await?;
    let reply = admin.info(InfoRequest {}).await.map_err(client::said)?.into_inner();
    if flags.json {
        return outln!("{:#}", to_json(&reply));
    }
    let mut facts = Table::new();
    *facts.style_mut() = presets::NOTHING;
    for fact in &reply.facts {
        facts.add_row([&fact.name, &fact.value]);
    }
    outln!("{facts}\n")?;
    let (there, missing): (Vec<_>, Vec<_>) = reply.features.iter().partition(|feature| feature.there);
    let names: Vec<_> = there.iter().map(|feature| feature.name.as_str()).collect();
    outln!("This node has: {}.", names.join(", "))?;
    if !missing.is_empty() {
        let mut rows = table(["IT LACKS", "AND SO"]);
        for feature in missing {
            rows.add_row([&feature.name, &feature.note]);
        }
        outln!("\n{rows}")?;
    }
    Ok(())
}

fn to_json(reply: &InfoReply) -> serde_json::Value {
    let facts: Map<_, _> = reply.facts.iter().map(|fact| (fact.name.clone(), fact.value.clone().into())).collect();
    let features: Vec<_> = reply
        .features
        .iter()
        .map(|feature| json!({ "name": feature.name, "there": feature.there, "note": feature.note }))
        .collect();
    json!({ "facts": facts, "features": features })
}
