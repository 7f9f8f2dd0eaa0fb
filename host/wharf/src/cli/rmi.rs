use anyhow::{Context as _, Result};
use wharf_api::cri::{ImageSpec, ImageStatusRequest, RemoveImageRequest};

use super::{Endpoint, client, exit::Said};

#[derive(clap::Args)]
pub(super) struct Flags {
    /// Names, ids, or beginnings of ids
    #[arg(required = true)]
    images: Vec<String>,
    /// An image that is not there is no error
    #[arg(long, short)]
    force: bool,
    #[command(flatten)]
    endpoint: Endpoint,
}

pub(super) fn run(flags: Flags) -> Result<()> {
    client::block_on(remove(flags))
}

/// All of them are tried; the first error is told at the end.
async fn remove(flags: Flags) -> Result<()> {
    let mut client = client::images(&flags.endpoint.socket).await?;
    let mut failed = None;
    for image in flags.images {
        let spec = ImageSpec { image: image.clone(), ..ImageSpec::default() };
        let removed = async {
            let request = ImageStatusRequest { image: Some(spec.clone()), verbose: false };
            let status = client.image_status(request).await.map_err(client::said)?.into_inner();
            if status.image.is_none() && !flags.force {
                return Err(Said(tonic::Status::not_found(format!("image {image:?} not found"))).into());
            }
            client.remove_image(RemoveImageRequest { image: Some(spec) }).await.map_err(client::said)?;
            anyhow::Ok(())
        };
        match removed.await.with_context(|| format!("remove image {image}")) {
            Ok(()) => println!("{image}"),
            Err(error) => match failed {
                None => failed = Some(error),
                Some(_) => eprintln!("wharf: {error:#}"),
            },
        }
    }
    failed.map_or(Ok(()), Err)
}
