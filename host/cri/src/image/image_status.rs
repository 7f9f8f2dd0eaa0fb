use std::collections::BTreeMap;

use serde_json::json;
use wharf_api::cri::{ImageStatusRequest, ImageStatusResponse};
use wharf_error::Result;

use super::{Service, convert, name};
use crate::info;

/// An image that is not there is no error: an answer without an image.
pub(super) async fn image_status(service: &Service, request: ImageStatusRequest) -> Result<ImageStatusResponse> {
    let name = name(request.image.as_ref())?;
    let Some(image) = service.images.get(&service.namespace, name).await? else {
        return Ok(ImageStatusResponse::default());
    };
    let info = if request.verbose {
        info::info(&json!({ "chainID": image.chain_id, "imageSpec": image.config }))
    } else {
        BTreeMap::new()
    };
    Ok(ImageStatusResponse { image: Some(convert::image(image)), info })
}
