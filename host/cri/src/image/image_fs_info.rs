use wharf_api::cri::{FilesystemIdentifier, FilesystemUsage, ImageFsInfoResponse, UInt64Value};
use wharf_error::Result;

use super::Service;

/// Images and the writable layers of containers live on one file system: both lists name it.
pub(super) async fn image_fs_info(service: &Service) -> Result<ImageFsInfoResponse> {
    let info = service.images.fs_info().await?;
    let usage = FilesystemUsage {
        timestamp: info.measured,
        fs_id: Some(FilesystemIdentifier { mountpoint: info.path.to_string_lossy().into_owned() }),
        used_bytes: Some(UInt64Value { value: info.used_bytes }),
        inodes_used: Some(UInt64Value { value: info.inodes }),
    };
    Ok(ImageFsInfoResponse { image_filesystems: vec![usage.clone()], container_filesystems: vec![usage] })
}
