use anyhow::{Context as _, Result};
use tonic::Code;
use wharf_admin::proto::RemoveImageRequest;

use super::{Endpoint, Namespace, client};

#[derive(clap::Args)]
pub(super) struct Flags {
    /// Names, ids, or beginnings of ids
    #[arg(required = true)]
    images: Vec<String>,
    /// An image that is not there is no error
    #[arg(long, short)]
    force: bool,
    #[command(flatten)]
    namespace: Namespace,
    #[command(flatten)]
    endpoint: Endpoint,
}

pub(super) fn run(flags: Flags) -> Result<()> {
    client::block_on(remove(flags))
}

/// All of them are tried; the first error is told at the end.
async fn remove(flags: Flags) -> Result<()> {
    let mut admin = client::admin(&flags.endpoint.socket).await?;
    let mut failed = None;
    for image in flags.images {
        let request = RemoveImageRequest { namespace: flags.namespace.namespace.clone(), image: image.clone() };
        let removed = match admin.remove_image(request).await {
            Err(status) if flags.force && status.code() == Code::NotFound => Ok(()),
            removed => removed.map(drop),
        };
        match removed.map_err(client::said).with_context(|| format!("remove image {image}")) {
            Ok(()) => println!("{image}"),
            Err(error) => match failed {
                None => failed = Some(error),
                Some(_) => eprintln!("wharf: {error:#}"),
            },
        }
    }
    failed.map_or(Ok(()), Err)
}
