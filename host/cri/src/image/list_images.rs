use wharf_api::cri::{ListImagesRequest, ListImagesResponse};
use wharf_error::Result;

use super::{Service, convert};

/// All, or the one that the filter names.
pub(super) async fn list_images(service: &Service, request: ListImagesRequest) -> Result<ListImagesResponse> {
    let asked = request.filter.and_then(|filter| filter.image).map(|image| image.image).unwrap_or_default();
    let images = if asked.is_empty() {
        service.images.list(&service.namespace).await?
    } else {
        service.images.get(&service.namespace, &asked).await?.into_iter().collect()
    };
    Ok(ListImagesResponse { images: images.into_iter().map(convert::image).collect() })
}
