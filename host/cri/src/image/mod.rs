//! `runtime.v1.ImageService`.

mod convert;
mod image_fs_info;
mod image_status;
mod list_images;
mod pull_image;
mod remove_image;
mod service;
mod stream_images;

pub use self::pull_image::auth_of;

use wharf_api::cri::{
    ImageSpec,
    image_service_server::{ImageService, ImageServiceServer},
};
use wharf_error::{Error, Result};
use wharf_images::Images;
use wharf_pods::Pods;

use crate::{CriConfig, LONGEST_ANSWER, LONGEST_REQUEST};

/// What every RPC works with.
pub(crate) struct Service {
    namespace: String,
    images: Images,
    pods: Pods,
}

/// The image service over these images, in the namespace of these pods, to be added to a server.
pub fn image_service(_: CriConfig, pods: Pods, images: Images) -> ImageServiceServer<impl ImageService> {
    let service = Service { namespace: pods.config().namespace.clone(), images, pods };
    ImageServiceServer::new(service)
        .max_decoding_message_size(LONGEST_REQUEST)
        .max_encoding_message_size(LONGEST_ANSWER)
}

/// What the client calls the image.
fn name(image: Option<&ImageSpec>) -> Result<&str> {
    let name = image.map(|image| image.image.as_str()).unwrap_or_default();
    if name.is_empty() { Err(Error::invalid("image reference is required")) } else { Ok(name) }
}
