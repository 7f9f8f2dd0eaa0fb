use std::collections::BTreeMap;

use oci_spec::runtime::{Spec, User};
use serde_json::json;
use wharf_api::cri::{
    ContainerConfig, ContainerResources, ContainerState, ContainerStatus, ContainerStatusRequest,
    ContainerStatusResponse, ContainerUser, ImageSpec, LinuxContainerResources, LinuxContainerUser,
};
use wharf_error::Result;
use wharf_images::Image;
use wharf_pods::Container;

use super::{Runtime, convert};
use crate::{info, signal, spec};

pub(super) async fn container_status(
    runtime: &Runtime,
    request: ContainerStatusRequest,
) -> Result<ContainerStatusResponse> {
    let container = runtime.pods.container(&request.container_id)?;
    let info = if request.verbose { verbose(runtime, &container)? } else { BTreeMap::new() };
    Ok(ContainerStatusResponse { status: Some(of(runtime, container).await?), info })
}

/// The status of a container as this row has it.
pub(super) async fn of(runtime: &Runtime, container: Container) -> Result<ContainerStatus> {
    let config = convert::container_request(&container)?.config.unwrap_or_default();
    // A container outlives a removed image; then its id is all that is known.
    let image = runtime.images.get(runtime.namespace(), &container.image_id).await?;
    // Where its bundle is gone half way through a removal, there is no specification to show.
    let spec = runtime.pods.spec(&container.id).ok();
    Ok(status(container, config, image, spec.as_ref()))
}

/// The statuses of these containers.
pub(super) async fn all(
    runtime: &Runtime,
    containers: impl IntoIterator<Item = Container>,
) -> Result<Vec<ContainerStatus>> {
    let mut statuses = Vec::new();
    for container in containers {
        statuses.push(of(runtime, container).await?);
    }
    Ok(statuses)
}

fn status(container: Container, config: ContainerConfig, image: Option<Image>, spec: Option<&Spec>) -> ContainerStatus {
    let state = convert::container_state(&container);
    let image_spec = config.image.map(|asked| named(asked, image.as_ref()));
    let digest = image.and_then(|image| image.digests.into_iter().next());
    let ended = matches!(state, ContainerState::ContainerExited | ContainerState::ContainerUnknown);
    let begun = container.user.as_ref().map(|user| LinuxContainerUser {
        uid: user.uid.into(),
        gid: user.gid.into(),
        supplemental_groups: user.groups.iter().map(|group| i64::from(*group)).collect(),
    });
    let user = begun.or_else(|| spec.and_then(|spec| spec.process().as_ref()).and_then(|process| user(process.user())));
    // Not what the container was made with: an update may have changed it.
    let resources = spec.and_then(shown_resources).or(config.linux.and_then(|linux| linux.resources));
    ContainerStatus {
        metadata: Some(convert::container_metadata(&container)),
        state: state.into(),
        created_at: container.created_at,
        started_at: container.started_at,
        finished_at: if ended { container.finished_at } else { 0 },
        exit_code: container.exit_code.filter(|_| ended).unwrap_or_default(),
        image: image_spec,
        image_ref: digest.unwrap_or_else(|| container.image_id.clone()),
        image_id: container.image_id,
        reason: container.reason,
        message: container.message,
        labels: container.labels,
        annotations: container.annotations,
        mounts: config.mounts,
        log_path: container.log_path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default(),
        resources: resources.map(|linux| ContainerResources { linux: Some(linux), windows: None }),
        user: user.map(|linux| ContainerUser { linux: Some(linux) }),
        stop_signal: signal::to_cri(container.stop_signal.unwrap_or(signal::SIGTERM)).into(),
        id: container.id,
    }
}

/// By a name for people: the kubelet asks by the id and shows what we answer in the pod's status.
fn named(asked: ImageSpec, image: Option<&Image>) -> ImageSpec {
    let name = image
        .and_then(|image| image.names.first().cloned())
        .unwrap_or_else(|| convert::image_as_written(&asked).to_owned());
    ImageSpec { image: name, ..asked }
}

pub(super) fn shown_resources(spec: &Spec) -> Option<LinuxContainerResources> {
    let score = spec.process().as_ref().and_then(|process| process.oom_score_adj());
    Some(spec::shown(spec.linux().as_ref()?.resources().as_ref()?, score))
}

/// Before its process is there, only where numbers say all: names and the groups of an image are resolved in the container.
fn user(user: &User) -> Option<LinuxContainerUser> {
    let numeric = |name: &String| {
        name.split_once(':').is_some_and(|(user, group)| user.parse::<u32>().is_ok() && group.parse::<u32>().is_ok())
    };
    let known = user.username().as_ref().is_none_or(numeric);
    known.then(|| LinuxContainerUser {
        uid: user.uid().into(),
        gid: user.gid().into(),
        supplemental_groups: user.additional_gids().iter().flatten().map(|group| i64::from(*group)).collect(),
    })
}

fn privileged(config: &ContainerConfig) -> bool {
    let security = config.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
    security.is_some_and(|security| security.privileged)
}

fn verbose(runtime: &Runtime, container: &Container) -> Result<BTreeMap<String, String>> {
    let config = convert::container_request(container)?.config.unwrap_or_default();
    let spec = runtime.pods.spec(&container.id).ok();
    Ok(info::info(&json!({
        "sandboxID": container.pod_id,
        "pid": container.pid.unwrap_or_default(),
        "snapshotKey": container.snapshot_key(),
        "snapshotter": runtime.config.snapshotter,
        "cgroup": container.cgroup,
        "privileged": privileged(&config),
        "config": info::message(&config)?,
        "runtimeSpec": spec,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_was_asked_for_by_its_id_is_shown_by_a_name() {
        let asked = || ImageSpec { image: "sha256:12".into(), ..ImageSpec::default() };
        assert_eq!(named(asked(), None).image, "sha256:12");
        let kubelets = ImageSpec { user_specified_image: "nginx:1".into(), ..asked() };
        assert_eq!(named(kubelets, None).image, "nginx:1");
    }

    #[test]
    fn a_user_is_shown_where_its_numbers_are_known() {
        let mut shown = User::default();
        shown.set_uid(5).set_gid(6).set_additional_gids(Some(vec![6, 7]));
        let expected = Some(LinuxContainerUser { uid: 5, gid: 6, supplemental_groups: vec![6, 7] });
        assert_eq!(user(&shown), expected);
        assert_eq!(user(shown.set_username(Some("5:6".into()))), expected);
        for unresolved in ["5", "www-data", "5:staff", "app:6"] {
            assert_eq!(user(shown.set_username(Some(unresolved.into()))), None, "{unresolved}");
        }
    }
}
