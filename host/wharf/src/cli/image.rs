use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Subcommand;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use wharf_admin::proto::{ImportImageRequest, ImportedImage};

use super::{Endpoint, Namespace, client, out::outln};

/// One message's share of an archive, bytes.
const CHUNK: usize = 1 << 20;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Take over the images of an OCI layout or `docker save` archive
    Import {
        /// A tar file, gzip or not, or `-` for standard input
        file: PathBuf,
        /// The name of an image whose archive names none
        #[arg(long)]
        name: Option<String>,
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
    },
}

pub(super) fn run(verb: Verb) -> Result<()> {
    let Verb::Import { file, name, namespace, quiet, json, endpoint } = verb;
    let images = client::block_on(import(file, name.unwrap_or_default(), namespace.namespace, endpoint))?;
    if json {
        let images = images.iter().map(|image| json!({ "id": image.id, "tags": image.names }));
        return outln!("{:#}", Value::Array(images.collect()));
    }
    for image in images {
        match quiet {
            true => outln!("{}", image.id)?,
            false => outln!("{}\t{}", image.id, image.names.join(" "))?,
        }
    }
    Ok(())
}

async fn import(file: PathBuf, name: String, namespace: String, endpoint: Endpoint) -> Result<Vec<ImportedImage>> {
    let archive = open(&file).await?;
    let mut admin = client::admin(&endpoint).await?;
    let (chunks, receiver) = mpsc::channel(4);
    let first = ImportImageRequest { name, namespace, data: Vec::new() };
    let sending = tokio::spawn(send(archive, first, chunks));
    let reply = admin.import_image(ReceiverStream::new(receiver)).await;
    // A refused import ends the stream early: its own error says more than the broken pipe of ours.
    let reply = reply.map_err(client::said).with_context(|| format!("import {}", file.display()))?;
    sending.await?.with_context(|| format!("read {}", file.display()))?;
    Ok(reply.into_inner().images)
}

async fn open(file: &Path) -> Result<Box<dyn AsyncRead + Send + Unpin>> {
    if file == Path::new("-") {
        return Ok(Box::new(tokio::io::stdin()));
    }
    let opened = tokio::fs::File::open(file).await.with_context(|| format!("open {}", file.display()))?;
    let is_dir = opened.metadata().await.is_ok_and(|meta| meta.is_dir());
    anyhow::ensure!(
        !is_dir,
        "{} is a folder; import its archive: tar -C {0} -c . | wharf image import -",
        file.display()
    );
    Ok(Box::new(opened))
}

async fn send(
    mut archive: Box<dyn AsyncRead + Send + Unpin>,
    mut message: ImportImageRequest,
    chunks: mpsc::Sender<ImportImageRequest>,
) -> std::io::Result<()> {
    loop {
        let mut data = vec![0; CHUNK];
        let count = archive.read(&mut data).await?;
        data.truncate(count);
        message.data = data;
        if chunks.send(std::mem::take(&mut message)).await.is_err() || count == 0 {
            return Ok(());
        }
    }
}
