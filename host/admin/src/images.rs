use std::collections::HashSet;

use serde_json::json;
use tonic::Status;
use wharf_cri::to_status;
use wharf_error::Error;
use wharf_images::Images;
use wharf_pods::Pods;

use crate::{
    proto::{
        Image, ImageStatusReply, ImageStatusRequest, ListImagesReply, ListImagesRequest, RemoveImageReply,
        RemoveImageRequest,
    },
    service::namespace,
};

/// All, or the one that is named, if it is there.
pub(crate) async fn list(images: &Images, pods: &Pods, request: &ListImagesRequest) -> Result<ListImagesReply, Status> {
    let namespace = namespace(&request.namespace);
    let found = match request.image.as_str() {
        "" => images.list(namespace).await,
        image => images.get(namespace, image).await.map(|image| image.into_iter().collect()),
    };
    let found = found.map_err(|error| to_status(&error))?;
    let used = used(pods, namespace);
    Ok(ListImagesReply { images: found.into_iter().map(|image| message(image, &used)).collect() })
}

pub(crate) async fn status(
    images: &Images,
    pods: &Pods,
    request: &ImageStatusRequest,
) -> Result<ImageStatusReply, Status> {
    let image = named(images, &request.namespace, &request.image).await?;
    let info = json!({ "chainID": image.chain_id, "imageSpec": image.config }).to_string();
    Ok(ImageStatusReply { image: Some(message(image, &used(pods, namespace(&request.namespace)))), info })
}

pub(crate) async fn remove(images: &Images, request: &RemoveImageRequest) -> Result<RemoveImageReply, Status> {
    named(images, &request.namespace, &request.image).await?;
    let removed = images.untag(namespace(&request.namespace), &request.image).await;
    removed.map(|()| RemoveImageReply {}).map_err(|error| to_status(&error))
}

async fn named(images: &Images, in_namespace: &str, image: &str) -> Result<wharf_images::Image, Status> {
    let found = images.get(namespace(in_namespace), image).await;
    let found = found.and_then(|found| found.ok_or_else(|| Error::not_found("image", format!("{image:?}"))));
    found.map_err(|error| to_status(&error))
}

/// The ids of the images that containers were made of, whatever their names mean by now.
fn used(pods: &Pods, namespace: &str) -> HashSet<String> {
    if namespace != pods.config().namespace {
        return HashSet::new();
    }
    pods.containers().iter().flat_map(|container| container.images().map(str::to_owned)).collect()
}

fn message(image: wharf_images::Image, used: &HashSet<String>) -> Image {
    let labels = image.config.config().as_ref().and_then(|config| config.labels().clone());
    Image {
        created: image.config.created().clone().unwrap_or_default(),
        labels: labels.unwrap_or_default(),
        used: used.contains(&image.id),
        id: image.id,
        tags: image.names,
        digests: image.digests,
        size: image.size,
        pinned: image.pinned,
    }
}
