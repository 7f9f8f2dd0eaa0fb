use std::{collections::BTreeMap, io::IsTerminal as _};

use anyhow::{Context as _, Result, bail};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use wharf_admin::proto::{LayerProgress, PullImageRequest};

use super::{
    Endpoint, Namespace, client, credentials,
    out::{self, outln},
    table::short,
};

#[derive(clap::Args)]
pub(super) struct Flags {
    /// The image's name, as in docker.io/library/busybox:1
    image: String,
    #[command(flatten)]
    credentials: credentials::Flags,
    #[command(flatten)]
    namespace: Namespace,
    /// Print the id alone
    #[arg(long, short)]
    quiet: bool,
    /// For programs: a line for each change of a layer ("index", "layer", "state", "done" and "total" bytes), and one with
    /// "image" and "id" at the end
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(super) endpoint: Endpoint,
}

pub(super) fn run(flags: Flags) -> Result<()> {
    client::block_on(pull(flags))
}

async fn pull(flags: Flags) -> Result<()> {
    let Flags { image, credentials, namespace, quiet, json, endpoint } = flags;
    let auth = credentials.find(&image).await?;
    let request = PullImageRequest { image: image.clone(), namespace: namespace.namespace, auth };
    let mut admin = client::admin(&endpoint).await?;
    let pulling = async {
        let mut replies = admin.pull_image(request).await.map_err(client::said)?.into_inner();
        // A bar a layer for people; a log of a build needs none.
        let mut bars = (!quiet && !json && std::io::stderr().is_terminal()).then(Bars::new);
        let mut lines = (json && !quiet).then(Lines::default);
        let mut id = String::new();
        while let Some(reply) = replies.message().await.map_err(client::said)? {
            if let Some(bars) = &mut bars {
                bars.show(&reply.layers);
            }
            if let Some(shown) = &mut lines {
                match shown.of(&reply.layers).iter().try_for_each(|line| outln!("{line}")) {
                    // The image is wanted all the same.
                    Err(error) if out::is_closed(&error) => lines = None,
                    told => told?,
                }
            }
            id = reply.image_id;
        }
        if id.is_empty() {
            bail!("the daemon broke off");
        }
        anyhow::Ok(id)
    };
    let id = pulling.await.with_context(|| format!("pull {image}"))?;
    match (json, quiet) {
        (true, _) => outln!("{}", json!({ "image": image, "id": id })),
        (false, true) => outln!("{id}"),
        (false, false) => outln!("{image}: {id}"),
    }
}

/// What is new of each layer, a line of JSON each.
#[derive(Default)]
struct Lines {
    told: Vec<LayerProgress>,
}

/// A bar a layer.
struct Bars {
    all: MultiProgress,
    by_digest: BTreeMap<String, ProgressBar>,
}

// === impl Lines ===

impl Lines {
    fn of(&mut self, layers: &[LayerProgress]) -> Vec<Value> {
        let changed = layers.iter().enumerate().filter(|(index, layer)| self.told.get(*index) != Some(layer));
        let line = |(index, LayerProgress { digest, done, total, state }): (usize, &LayerProgress)| json!({ "index": index, "layer": digest, "state": state, "done": done, "total": total });
        let lines = changed.map(line).collect();
        self.told = layers.to_vec();
        lines
    }
}

// === impl Bars ===

impl Bars {
    fn new() -> Self {
        Self { all: MultiProgress::new(), by_digest: BTreeMap::new() }
    }

    fn show(&mut self, layers: &[LayerProgress]) {
        for layer in layers {
            let bar = self.by_digest.entry(layer.digest.clone()).or_insert_with(|| {
                let bar = self.all.add(ProgressBar::new(layer.total));
                let style = ProgressStyle::with_template("{prefix} {msg:11} [{bar:30}] {bytes:>10}/{total_bytes}");
                // The template is ours and good; else the library's own does.
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
                bar.set_prefix(short(&layer.digest));
                bar
            });
            bar.set_length(layer.total);
            bar.set_position(layer.done);
            bar.set_message(layer.state.clone());
            if layer.state == "done" && !bar.is_finished() {
                bar.finish_with_message("done");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_changed_is_told() {
        let layer = |digest: &str, done, state: &str| LayerProgress {
            digest: digest.to_owned(),
            done,
            total: 10,
            state: state.to_owned(),
        };
        let line = |index: usize, layer: &str, done: u64, state: &str| json!({ "index": index, "layer": layer, "state": state, "done": done, "total": 10 });
        let mut lines = Lines::default();
        assert!(lines.of(&[]).is_empty(), "the reference is being resolved");
        // A layer may come twice.
        let (first, again) = (layer("a", 0, "waiting"), layer("a", 10, "done"));
        let told = lines.of(&[first.clone(), again.clone(), layer("b", 0, "waiting")]);
        assert_eq!(told, [line(0, "a", 0, "waiting"), line(1, "a", 10, "done"), line(2, "b", 0, "waiting")]);
        let told = lines.of(&[first.clone(), again.clone(), layer("b", 4, "downloading")]);
        assert_eq!(told, [line(2, "b", 4, "downloading")]);
        assert!(lines.of(&[first, again, layer("b", 4, "downloading")]).is_empty());
    }
}
