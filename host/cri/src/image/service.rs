use futures::{StreamExt, stream::BoxStream};
use tonic::{Request, Response, Status};
use wharf_api::cri::{image_service_server::ImageService, *};

use super::{
    Service, image_fs_info::image_fs_info, image_status::image_status, list_images::list_images,
    pull_image::pull_image, remove_image::remove_image, stream_images::stream_images,
};
use crate::{
    serve::{serve, serve_with},
    status::pull_status,
};

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl ImageService for Service {
    type StreamImagesStream = BoxStream<'static, Result<StreamImagesResponse, Status>>;

    async fn list_images(&self, request: Request<ListImagesRequest>) -> Answer<ListImagesResponse> {
        serve("ListImages", request, |asked| list_images(self, asked)).await
    }

    async fn image_status(&self, request: Request<ImageStatusRequest>) -> Answer<ImageStatusResponse> {
        serve("ImageStatus", request, |asked| image_status(self, asked)).await
    }

    async fn pull_image(&self, request: Request<PullImageRequest>) -> Answer<PullImageResponse> {
        serve_with("PullImage", request, |asked| pull_image(self, asked), pull_status).await
    }

    async fn remove_image(&self, request: Request<RemoveImageRequest>) -> Answer<RemoveImageResponse> {
        serve("RemoveImage", request, |asked| remove_image(self, asked)).await
    }

    async fn image_fs_info(&self, request: Request<ImageFsInfoRequest>) -> Answer<ImageFsInfoResponse> {
        serve("ImageFsInfo", request, |_| image_fs_info(self)).await
    }

    async fn stream_images(&self, request: Request<StreamImagesRequest>) -> Answer<Self::StreamImagesStream> {
        let list = serve("StreamImages", request, |asked| stream_images(self, asked)).await?;
        Ok(list.map(StreamExt::boxed))
    }
}
