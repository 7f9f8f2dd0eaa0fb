use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// How a spec ended.
#[derive(Debug)]
pub enum Outcome {
    Passed,
    /// With what it said.
    Failed(String),
    /// With the reason it gave; empty when a filter left it out.
    Skipped(String),
}

// Ginkgo's JSON report, as much of it as is looked at.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    #[serde(default)]
    spec_reports: Option<Vec<Spec>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Spec {
    #[serde(default)]
    container_hierarchy_texts: Option<Vec<String>>,
    leaf_node_type: String,
    #[serde(default)]
    leaf_node_text: String,
    state: String,
    #[serde(default)]
    failure: Failure,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    #[serde(default)]
    message: String,
    #[serde(default)]
    location: Location,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Location {
    #[serde(default)]
    file_name: String,
    #[serde(default)]
    line_number: u32,
}

/// Every spec by its whole name; a set-up of the suite counts when it failed.
pub fn read(path: &Path) -> Result<Vec<(String, Outcome)>> {
    let text = fs::read(path).with_context(|| format!("read critest's report {}", path.display()))?;
    let reports: Vec<Report> =
        serde_json::from_slice(&text).with_context(|| format!("understand critest's report {}", path.display()))?;
    let specs = reports.into_iter().flat_map(|report| report.spec_reports.unwrap_or_default());
    Ok(specs.filter_map(outcome).collect())
}

fn outcome(spec: Spec) -> Option<(String, Outcome)> {
    let mut words = spec.container_hierarchy_texts.unwrap_or_default();
    let is_spec = spec.leaf_node_type == "It";
    words.push(if is_spec { spec.leaf_node_text } else { format!("[{}]", spec.leaf_node_type) });
    let outcome = match spec.state.as_str() {
        "passed" => Outcome::Passed,
        "skipped" | "pending" => Outcome::Skipped(spec.failure.message),
        state => Outcome::Failed(format!(
            "{state}: {} ({}:{})",
            spec.failure.message, spec.failure.location.file_name, spec.failure.location.line_number
        )),
    };
    (is_spec || matches!(outcome, Outcome::Failed(_))).then(|| (words.join(" "), outcome))
}
