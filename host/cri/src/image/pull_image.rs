use wharf_api::cri::{AuthConfig, PullImageRequest, PullImageResponse};
use wharf_error::{Result, ResultExt as _};
use wharf_registry::{Auth, Reference};

use super::{Service, name};

/// Answers the image's id: what every later answer calls it by.
pub(super) async fn pull_image(service: &Service, request: PullImageRequest) -> Result<PullImageResponse> {
    let reference: Reference = name(request.image.as_ref())?.parse()?;
    // All handlers have one snapshotter; one that is not there is the client's mistake (KEP-4216).
    let handler = request.image.as_ref().map(|image| image.runtime_handler.as_str()).unwrap_or_default();
    service.pods.check_handler(handler).step(|| format!("pull {reference}: image.runtime_handler"))?;
    let auth = request.auth.map(auth_of);
    let image = service.images.pull(&service.namespace, &reference, auth, None).await?;
    tracing::info!(image = %reference, id = image.id, size = image.size, "image is pulled");
    Ok(PullImageResponse { image_ref: image.id })
}

/// What a message brings to pull with.
pub fn auth_of(auth: AuthConfig) -> Auth {
    Auth {
        username: auth.username,
        password: auth.password,
        auth: auth.auth,
        server_address: auth.server_address,
        identity_token: auth.identity_token,
        registry_token: auth.registry_token,
    }
}
