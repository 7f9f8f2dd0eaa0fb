use anyhow::{Context as _, Result};
use tonic::{Code, transport::Channel};
use wharf_admin::proto::{Image, ListImagesRequest, RemoveImageRequest, admin_client::AdminClient};

use super::{
    Endpoint, Namespace, client,
    out::{errln, outln},
};

#[derive(clap::Args)]
pub(super) struct Flags {
    /// Names, ids, or beginnings of ids
    #[arg(required_unless_present_any = ["all", "prune"])]
    images: Vec<String>,
    /// Remove all images of the namespace
    #[arg(long, short, conflicts_with_all = ["images", "prune"])]
    all: bool,
    /// Remove the images of the namespace that no container has, whether it runs or not, and that are not pinned
    #[arg(long, conflicts_with = "images")]
    prune: bool,
    /// An image that is not there is no error
    #[arg(long, short)]
    force: bool,
    #[command(flatten)]
    namespace: Namespace,
    #[command(flatten)]
    pub(super) endpoint: Endpoint,
}

pub(super) fn run(flags: Flags) -> Result<()> {
    client::block_on(remove(flags))
}

/// All of them are tried, whether anybody reads what is told of it or not; the first error is told at the end.
async fn remove(flags: Flags) -> Result<()> {
    let mut admin = client::admin(&flags.endpoint).await?;
    let namespace = flags.namespace.namespace;
    let (mut images, mut force) = (flags.images, flags.force);
    if flags.all || flags.prune {
        images = unwanted(&mut admin, &namespace, flags.prune).await?;
        // Somebody else may be at it, too.
        force = true;
    }
    let (mut failed, mut told) = (None, Ok(()));
    for image in images {
        let request = RemoveImageRequest { namespace: namespace.clone(), image: image.clone() };
        let removed = match admin.remove_image(request).await {
            Err(status) if force && status.code() == Code::NotFound => Ok(()),
            removed => removed.map(drop),
        };
        match removed.map_err(client::said).with_context(|| format!("remove image {image}")) {
            Ok(()) => told = told.and_then(|()| outln!("{image}")),
            Err(error) => match failed {
                None => failed = Some(error),
                Some(_) => errln!("wharf: {error:#}"),
            },
        }
    }
    failed.map_or(told, Err)
}

/// The ids of all images, or of those that nobody needs.
async fn unwanted(admin: &mut AdminClient<Channel>, namespace: &str, only_unused: bool) -> Result<Vec<String>> {
    let request = ListImagesRequest { namespace: namespace.to_owned(), image: String::new() };
    let all = admin.list_images(request).await.map_err(client::said)?.into_inner().images;
    let goes = |image: &Image| !(only_unused && (image.pinned || image.used));
    Ok(all.into_iter().filter(goes).map(|image| image.id).collect())
}
