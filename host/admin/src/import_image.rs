use std::path::Path;

use tokio::io::AsyncWriteExt as _;
use tokio_stream::StreamExt as _;
use tonic::{Status, Streaming};
use wharf_cri::to_status;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_images::Images;

use crate::proto::{ImportImageReply, ImportImageRequest, ImportedImage};

/// Spools the archive, for both formats want to be read out of order, then imports it. A stream that breaks off
/// leaves nothing behind, and so does a client that goes away while the images are unpacked.
pub(crate) async fn import(
    images: &Images,
    spool: &Path,
    mut archive: Streaming<ImportImageRequest>,
) -> Result<ImportImageReply, Status> {
    let Some(first) = archive.next().await.transpose()? else {
        return Err(to_status(&Error::invalid("import image: the archive is empty")));
    };
    let namespace = if first.namespace.is_empty() { "k8s.io".to_owned() } else { first.namespace };
    let name = Some(first.name).filter(|name| !name.is_empty());
    let spooled = spooled(spool, first.data, &mut archive, images.max_archive_bytes())
        .await
        .map_err(|error| to_status(&error))?;
    let imported = images.import(&namespace, spooled.as_ref(), name.as_deref()).await;
    let imported = imported.map_err(|error| to_status(&error))?;
    let images = imported.into_iter().map(|image| ImportedImage { id: image.id, names: image.names });
    Ok(ImportImageReply { images: images.collect() })
}

async fn spooled(
    spool: &Path,
    first: Vec<u8>,
    archive: &mut Streaming<ImportImageRequest>,
    most: u64,
) -> Result<tempfile::TempPath> {
    let what = || format!("import image: spool the archive into {}", spool.display());
    let path = tempfile::Builder::new().prefix("import-").tempfile_in(spool).step(what)?.into_temp_path();
    let mut file = tokio::fs::File::create(&path).await.step(what)?;
    let too_many = || {
        Error::new(Kind::Exhausted, format!("import image: the archive has more than {most} bytes"))
            .hint("raise max_image_bytes in [registry] of the configuration")
    };
    let mut left = most.checked_sub(first.len() as u64).ok_or_else(too_many)?;
    file.write_all(&first).await.step(what)?;
    while let Some(chunk) = archive.next().await {
        let chunk = chunk.step(|| "import image: receive the archive".into())?;
        left = left.checked_sub(chunk.data.len() as u64).ok_or_else(too_many)?;
        file.write_all(&chunk.data).await.step(what)?;
    }
    file.flush().await.step(what)?;
    Ok(path)
}
