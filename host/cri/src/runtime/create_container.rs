use std::path::{Component, Path, PathBuf};

use prost::Message as _;
use wharf_api::cri::{
    ContainerConfig, CreateContainerRequest, CreateContainerResponse, NamespaceMode, PodSandboxConfig, Signal,
};
use wharf_cdi::Cdi;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_images::Image;
use wharf_pods::{ContainerMetadata, ContainerRequest, ContainerState, ImageVolume, NewContainer, Pod};

use super::{Runtime, convert};
use crate::{PassedAnnotations, signal, spec};

pub(super) async fn create_container(
    runtime: &Runtime,
    request: CreateContainerRequest,
) -> Result<CreateContainerResponse> {
    let pod = runtime.pods.pod(&request.pod_sandbox_id)?;
    let config = request.config.ok_or_else(|| Error::invalid("container config is required"))?;
    let metadata = metadata(&config)?;
    let pod_config = match request.sandbox_config {
        Some(given) => given,
        None => convert::pod_config(&pod)?,
    };
    let image = image(runtime, &config).await?;
    if config.mounts.iter().any(|mount| mount.recursive_read_only) {
        need_recursive_read_only(runtime, &pod.runtime_handler).await?;
    }
    let target_pid = target(runtime, &pod, &config)?;
    let image_volumes = image_volumes(runtime, &config).await?;
    let volume_ids = image_volumes.iter().map(|volume| (volume.destination.clone(), volume.image.id.clone())).collect();
    let asked = ContainerRequest {
        pod: pod.id.clone(),
        metadata,
        labels: config.labels.clone(),
        annotations: config.annotations.clone(),
        image_ref: config.image.as_ref().map(|image| convert::image_as_written(image).to_owned()).unwrap_or_default(),
        log_path: log_path(&pod_config.log_directory, &config.log_path)?,
        stdin: config.stdin,
        stdin_once: config.stdin_once,
        tty: config.tty,
        stop_signal: stop_signal(&config, &image)?,
        strict_groups: spec::strict_groups(&config)?,
        own_pids: spec::own_pids(&config, &pod.sandbox),
        request: encode(&pod, &config, &pod_config),
        image: image.clone(),
        image_volumes,
    };
    let cdi = Cdi::new(runtime.config.cdi_spec_dirs.clone());
    let node = runtime.node().await?;
    let passed = passed(runtime, &pod.runtime_handler);
    let build = move |new: &NewContainer| {
        let user_name = config.image.as_ref().map(|image| image.user_specified_image.as_str()).unwrap_or_default();
        let image_name = Some(user_name).filter(|name| !name.is_empty()).or(image.names.first().map(String::as_str));
        spec::build(&spec::Input {
            pod_id: &new.pod.id,
            cgroup: &new.cgroup,
            pod_dir: &new.pod_dir,
            sandbox: &new.pod.sandbox,
            config: &config,
            pod_config: &pod_config,
            image: &image.config.config().clone().unwrap_or_default(),
            image_name: image_name.unwrap_or(&image.id),
            target_pid,
            node: &node,
            cdi: &cdi,
            passed_annotations: &passed,
            image_volumes: &volume_ids,
        })
    };
    Ok(CreateContainerResponse { container_id: runtime.pods.create_container(asked, build).await? })
}

/// Which annotations the handler is told of.
fn passed(runtime: &Runtime, handler: &str) -> PassedAnnotations {
    let handler = if handler.is_empty() { runtime.pods.config().default_handler.as_str() } else { handler };
    runtime.config.annotations.get(handler).cloned().unwrap_or_default()
}

fn metadata(config: &ContainerConfig) -> Result<ContainerMetadata> {
    let metadata = config.metadata.as_ref().ok_or_else(|| Error::invalid("container config must include metadata"))?;
    if metadata.name.is_empty() {
        return Err(Error::invalid("container config must include metadata.name"));
    }
    Ok(ContainerMetadata { name: metadata.name.clone(), attempt: metadata.attempt })
}

async fn image(runtime: &Runtime, config: &ContainerConfig) -> Result<Image> {
    let name = config.image.as_ref().map(|image| image.image.as_str()).unwrap_or_default();
    if name.is_empty() {
        return Err(Error::invalid("container config must include an image"));
    }
    let found = runtime.images.get(runtime.namespace(), name).await?;
    found.ok_or_else(|| Error::not_found("image", format!("{name:?}")).hint("pull it first"))
}

/// The images among the mounts. The kubelet has pulled them and names them by their ids.
async fn image_volumes(runtime: &Runtime, config: &ContainerConfig) -> Result<Vec<ImageVolume>> {
    let mut volumes = Vec::new();
    for mount in &config.mounts {
        let Some(name) = spec::image_of(mount) else { continue };
        let what = || format!("mounts[{}].image", mount.container_path);
        let found = runtime.images.get(runtime.namespace(), name).await;
        let found = found.and_then(|image| image.ok_or_else(|| Error::not_found("image", format!("{name:?}"))));
        volumes.push(ImageVolume {
            destination: spec::clean(&mount.container_path),
            // The kubelet's own word, which it looks for at the beginning.
            image: found.step_as(Kind::Unknown, || format!("ImageVolumeMountFailed: {}", what()))?,
            sub_path: sub_path(&mount.image_sub_path).step(what)?,
        });
    }
    Ok(volumes)
}

/// As the kubelet wants to hear it where this kernel cannot.
async fn need_recursive_read_only(runtime: &Runtime, handler: &str) -> Result<()> {
    if runtime.pods.features_of(handler).await?.recursive_read_only_mounts {
        return Ok(());
    }
    Err(Error::new(Kind::Unknown, "RROUnsupported: this node's kernel has no recursive read-only mounts"))
}

/// Inside of the image, whatever symlinks in there say.
fn sub_path(path: &str) -> Result<PathBuf> {
    let plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if Path::new(path).components().all(plain) && !path.contains('\0') {
        return Ok(path.into());
    }
    Err(Error::invalid(format!("image_sub_path {path:?} is not a plain relative path")))
}

/// The process of the container whose processes this one wants to see.
fn target(runtime: &Runtime, pod: &Pod, config: &ContainerConfig) -> Result<Option<u32>> {
    let security = config.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
    let options = security.and_then(|security| security.namespace_options.as_ref());
    let Some(options) = options.filter(|options| options.pid == i32::from(NamespaceMode::Target)) else {
        return Ok(None);
    };
    let container = runtime.pods.container(&options.target_id)?;
    let wrong = |why: &str| {
        Err(Error::new(Kind::FailedPrecondition, format!("invalid target container {}: {why}", options.target_id)))
    };
    if container.pod_id != pod.id {
        return wrong("it is in another pod");
    }
    if container.state() != ContainerState::Running || container.pid.is_none() {
        return wrong("it is not running");
    }
    Ok(container.pid)
}

/// The pod's folder and the container's file; none, and no log, where either is empty.
fn log_path(folder: &str, file: &str) -> Result<Option<PathBuf>> {
    if folder.is_empty() || file.is_empty() {
        return Ok(None);
    }
    let inside = Path::new(file).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !folder.starts_with('/') || !inside {
        return Err(Error::invalid(format!("log_path {file:?} is not a path inside an absolute log_directory")));
    }
    Ok(Some(Path::new(folder).join(file)))
}

/// The request's, or else the image's. What an image says wrongly is no reason not to run it.
fn stop_signal(config: &ContainerConfig, image: &Image) -> Result<Option<i32>> {
    let asked = Signal::try_from(config.stop_signal)
        .map_err(|_| Error::invalid(format!("stop_signal: unknown signal {}", config.stop_signal)))?;
    if let Some(number) = signal::from_cri(asked) {
        return Ok(Some(number));
    }
    let text = image.config.config().as_ref().and_then(|config| config.stop_signal().as_deref()).unwrap_or_default();
    let number = signal::parse(text);
    if number.is_none() && !text.is_empty() {
        tracing::warn!(image = image.id, signal = text, "the image's stop signal is none; taking SIGTERM");
    }
    Ok(number)
}

/// The whole request, with the pod's full id, for a retry may name it shorter.
fn encode(pod: &Pod, config: &ContainerConfig, pod_config: &PodSandboxConfig) -> Vec<u8> {
    let whole = CreateContainerRequest {
        pod_sandbox_id: pod.id.clone(),
        config: Some(config.clone()),
        sandbox_config: Some(pod_config.clone()),
    };
    whole.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_inside_the_pods_folder_or_nowhere() {
        assert_eq!(log_path("/logs/pod", "web/0.log").unwrap(), Some("/logs/pod/web/0.log".into()));
        assert_eq!(log_path("", "x").unwrap(), None);
        assert_eq!(log_path("/logs", "").unwrap(), None);
        for (folder, file) in [("/logs", "../x"), ("/logs", "a/../../x"), ("/logs", "/etc/passwd"), ("logs", "x")] {
            assert!(log_path(folder, file).is_err(), "{folder} {file}");
        }
    }
}
