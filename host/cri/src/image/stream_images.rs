use futures::Stream;
use tonic::Status;
use wharf_api::cri::{ListImagesRequest, StreamImagesRequest, StreamImagesResponse};
use wharf_error::Result;

use super::{Service, list_images::list_images};
use crate::parts::parts;

/// As `ListImages` at the moment of asking, in messages of a size that everybody takes.
pub(super) async fn stream_images(
    service: &Service,
    request: StreamImagesRequest,
) -> Result<impl Stream<Item = Result<StreamImagesResponse, Status>> + Send + 'static> {
    let listed = list_images(service, ListImagesRequest { filter: request.filter }).await?;
    Ok(parts(listed.images, |images| StreamImagesResponse { images }))
}
