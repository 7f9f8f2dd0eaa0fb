use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use wharf_cri::{auth_of, to_status};
use wharf_images::{Images, LayerState, Progress};
use wharf_registry::Reference;

use crate::{
    proto::{LayerProgress, PullImageReply, PullImageRequest},
    service::namespace,
};

/// Messages that may wait for a slow client; newer ones take the place of those that would have to wait longer.
const QUEUE: usize = 4;

/// Between two messages: what a bar on a terminal can show.
const PACE: Duration = Duration::from_millis(100);

type Replies = mpsc::Sender<Result<PullImageReply, Status>>;

/// Pulls in the background. A client that goes away leaves the pull to others who wait for it, if there are any.
pub(crate) fn pull(
    images: Images,
    request: PullImageRequest,
) -> Result<ReceiverStream<Result<PullImageReply, Status>>, Status> {
    let reference: Reference = request.image.parse().map_err(|error| to_status(&error))?;
    let (replies, receiver) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        tokio::select! {
            () = run(images, &request, reference, &replies) => {}
            () = replies.closed() => {}
        }
    });
    Ok(ReceiverStream::new(receiver))
}

async fn run(images: Images, request: &PullImageRequest, reference: Reference, replies: &Replies) {
    let (told, mut progress) = watch::channel(Progress::default());
    let auth = request.auth.clone().map(auth_of);
    let pulling = images.pull(namespace(&request.namespace), &reference, auth, Some(told));
    tokio::pin!(pulling);
    let mut pace = tokio::time::interval(PACE);
    let pulled = loop {
        tokio::select! {
            pulled = &mut pulling => break pulled,
            _ = pace.tick() => {
                if progress.has_changed().unwrap_or_default() {
                    let reply = reply(&progress.borrow_and_update());
                    if replies.send(Ok(reply)).await.is_err() {
                        return;
                    }
                }
            },
        }
    };
    let last = match pulled {
        Ok(image) => Ok(PullImageReply { image_id: image.id, ..reply(&progress.borrow()) }),
        Err(error) => Err(to_status(&error)),
    };
    // A client that has gone needs no answer.
    let _ = replies.send(last).await;
}

fn reply(progress: &Progress) -> PullImageReply {
    let layers = progress.layers.iter().map(|layer| LayerProgress {
        digest: layer.digest.clone(),
        done: layer.done,
        total: layer.total,
        state: match layer.state {
            LayerState::Waiting => "waiting",
            LayerState::Downloading => "downloading",
            LayerState::Unpacking => "unpacking",
            LayerState::Unpacked => "unpacked",
            LayerState::Done => "done",
        }
        .to_owned(),
    });
    PullImageReply { layers: layers.collect(), image_id: String::new() }
}
