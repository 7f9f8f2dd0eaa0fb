use anyhow::Result;
use serde_json::{Value, json};
use wharf_admin::proto::{Image, ListImagesRequest};

use super::{
    Endpoint, Namespace, client,
    table::{short, size, table},
};

#[derive(clap::Args)]
pub(super) struct Flags {
    /// Only this image
    image: Option<String>,
    #[command(flatten)]
    namespace: Namespace,
    /// Print ids alone
    #[arg(long, short)]
    quiet: bool,
    /// For programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    endpoint: Endpoint,
}

pub(super) fn run(flags: Flags) -> Result<()> {
    client::block_on(list(flags))
}

async fn list(flags: Flags) -> Result<()> {
    let request = ListImagesRequest { namespace: flags.namespace.namespace, image: flags.image.unwrap_or_default() };
    let mut admin = client::admin(&flags.endpoint.socket).await?;
    let mut images = admin.list_images(request).await.map_err(client::said)?.into_inner().images;
    images.sort_by(|a, b| a.tags.cmp(&b.tags).then_with(|| a.id.cmp(&b.id)));
    if flags.json {
        println!("{:#}", Value::Array(images.iter().map(to_json).collect()));
    } else if flags.quiet {
        images.iter().for_each(|image| println!("{}", image.id));
    } else {
        let mut rows = table(["IMAGE", "TAG", "IMAGE ID", "SIZE"]);
        for image in &images {
            for (name, tag) in names(image) {
                rows.add_row([name, tag, short(&image.id), size(image.size)]);
            }
        }
        println!("{rows}");
    }
    Ok(())
}

/// Each tag; of an image without one, where it is from.
fn names(image: &Image) -> Vec<(String, String)> {
    let none = || "<none>".to_owned();
    if image.tags.is_empty() {
        let from = image.digests.first().and_then(|digest| digest.split('@').next());
        return vec![(from.map_or_else(none, str::to_owned), none())];
    }
    let tags = image.tags.iter().map(|name| match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name.to_owned(), tag.to_owned()),
        _ => (name.clone(), none()),
    });
    tags.collect()
}

pub(super) fn to_json(image: &Image) -> Value {
    json!({
        "id": image.id, "tags": image.tags, "digests": image.digests, "size": image.size,
        "pinned": image.pinned,
    })
}
