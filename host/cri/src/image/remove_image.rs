use wharf_api::cri::{RemoveImageRequest, RemoveImageResponse};
use wharf_error::Result;

use super::{Service, name};

/// With all its tags; one that is not there is success.
pub(super) async fn remove_image(service: &Service, request: RemoveImageRequest) -> Result<RemoveImageResponse> {
    service.images.remove(&service.namespace, name(request.image.as_ref())?).await?;
    Ok(RemoveImageResponse {})
}
