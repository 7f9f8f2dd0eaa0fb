use std::{io::Read, path::Path, thread};

use wharf_crash_points::point;
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::{
    Failure, UnpackOptions, Unpacked,
    archive::Archive,
    stream::{Blob, Chunk, Conveyor, Inflate, Plain, pipe, verify},
    tree::Tree,
    write,
};

/// Unpacks one layer blob into `target`, an existing empty directory, as an overlay diff: whiteouts become 0:0
/// character devices and `trusted.overlay.opaque`.
///
/// Hashing and inflating the blob run on the calling thread, hashing and writing its content on another one, with
/// about 2 MiB between them. Blocks for as long as `blob` does: give it a reader with deadlines. An error of
/// `blob` that carries a [`wharf_error::Error`] keeps its kind. Nothing is flushed to the disk.
///
/// # Errors
/// See [`Failure`]. When the content is broken and the digest does not match either, it is the digest that is
/// reported: another try may help.
pub fn unpack(blob: impl Read, target: &Path, options: &UnpackOptions) -> Result<Unpacked, Failure> {
    let tree = Tree::open(target, options)?;
    let blob = Blob::new(blob, options.expected.clone());
    let mut inflate = Inflate::open(blob, options.compression, &options.limits, options.budget.as_ref())?;
    let mut unpacked = match convey(&mut inflate, tree, options) {
        Ok(unpacked) => unpacked,
        Err(failure) => {
            inflate.give_back();
            return Err(match failure {
                Failure::Other(content) if content.kind() == Kind::InvalidArgument && options.expected.is_some() => {
                    match inflate.into_blob().finish() {
                        Err(error) if error.kind() == Kind::DataLoss => error.because(content).into(),
                        _ => content.into(),
                    }
                }
                failure => failure,
            });
        }
    };
    let verified = inflate.into_blob().finish().and_then(|blob| {
        options.diff_id.as_ref().map_or(Ok(()), |promised| verify("diffID", &unpacked.diff_id, promised))?;
        Ok(blob)
    });
    match verified {
        Ok(blob) => {
            (unpacked.digest, unpacked.size) = blob;
            Ok(unpacked)
        }
        Err(error) => {
            options.budget.iter().for_each(|budget| budget.give_back(unpacked.bytes));
            Err(error.into())
        }
    }
}

/// Inflates here and writes there; one thread is enough for what fits into one chunk.
fn convey(inflate: &mut Inflate<impl Read>, tree: Tree, options: &UnpackOptions) -> Result<Unpacked, Failure> {
    let mut first = Chunk::new();
    inflate.fill(&mut first)?;
    let (plain, conveyor) = pipe(first, options.diff_id.as_deref());
    let Some(conveyor) = conveyor else { return consume(plain, tree, options) };
    let span = tracing::Span::current();
    thread::scope(|scope| {
        let writer = thread::Builder::new().name("layer-write".into());
        let writer = writer
            .spawn_scoped(scope, || span.in_scope(|| consume(plain, tree, options)))
            .step(|| "layer: start the writing thread".into())?;
        let produced = produce(inflate, conveyor);
        let consumed = writer.join().unwrap_or_else(|_| Err(Error::internal("layer: the writing thread died").into()));
        // When producing failed, the writer's failure is only that the stream broke off.
        produced?;
        consumed
    })
}

/// Ends well when the writer is gone: it knows why.
fn produce(inflate: &mut Inflate<impl Read>, mut conveyor: Conveyor) -> Result<()> {
    while let Some(mut chunk) = conveyor.empty() {
        inflate.fill(&mut chunk)?;
        let last = !chunk.is_full();
        if !conveyor.send(chunk) || last {
            break;
        }
    }
    Ok(())
}

fn consume(plain: Plain, mut tree: Tree, options: &UnpackOptions) -> Result<Unpacked, Failure> {
    let mut archive = Archive::new(plain, options.limits.header);
    let entries = write::entries(&mut archive, &mut tree, &options.limits)?;
    point!("layers.written");
    let implied = tree.finish()?;
    archive.drain()?;
    let (diff_id, bytes) = archive.into_inner().finish();
    Ok(Unpacked { diff_id, bytes, entries, implied, ..Unpacked::default() })
}
