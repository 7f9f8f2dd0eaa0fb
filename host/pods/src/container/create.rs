use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use oci_spec::runtime::Spec;
use wharf_crash_points::point;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_images::Image;
use wharf_steps::step_blocking;

use super::{Container, ContainerRequest, NewContainer, record::Stage, volumes};
use crate::{
    Pods,
    entry::ContainerEntry,
    inner::Inner,
    pod::{self, blocking},
    time,
};

impl Pods {
    /// Makes a container in a ready pod: its record, its root's snapshot, its bundle. No process yet.
    ///
    /// `build` makes the OCI specification once id, control group and folders are known. The work goes on when the
    /// caller goes away; a retry with the same request joins it or gets the same id. What could not be made
    /// leaves nothing behind.
    ///
    /// # Errors
    ///
    /// `NotFound` for the pod, `FailedPrecondition` where it is not ready, `AlreadyExists` where a container of
    /// this name and attempt was made from another request, else what the failing step says.
    pub async fn create_container(
        &self,
        mut request: ContainerRequest,
        build: impl FnOnce(&NewContainer) -> Result<Spec> + Send + 'static,
    ) -> Result<String> {
        let inner = self.inner.clone();
        // A short id in the request means the same pod as its long one.
        let pod = inner.pod_entry(&request.pod)?;
        request.pod = pod.row().id;
        // A row of the last daemon may be about to be undone: it is no answer.
        pod.recovered().await;
        let key = Container::key(&request.pod, &request.metadata);
        let contents = request.request.clone();
        let same = |container: &Container| container.pod_id == request.pod && container.metadata == request.metadata;
        let known = || match self.inner.container_by(same) {
            Some(entry) => already_there(&entry.row(), &request, &key).map(Some),
            None => Ok(None),
        };
        let asked = request.clone();
        let work = || async move { inner.create_container(asked, build).await };
        self.inner.operations.run("create", &key, &contents, known, work).await
    }
}

// === impl Inner ===

impl Inner {
    async fn create_container(
        self: Arc<Self>,
        request: ContainerRequest,
        build: impl FnOnce(&NewContainer) -> Result<Spec> + Send + 'static,
    ) -> Result<String> {
        let pod = self.pod_entry(&request.pod)?;
        // A pod that is being stopped or removed takes no new container, and is not stopped half way through this.
        let _life = pod.life.take().await;
        pod.shim().await?;
        let pod = pod.row();
        if pod.stage != pod::Stage::Made {
            return Err(Error::new(Kind::FailedPrecondition, format!("pod sandbox {} is not ready", pod.id)));
        }
        let id = crate::id::new_id();
        let container = Container {
            id: id.clone(),
            pod_id: pod.id.clone(),
            metadata: request.metadata,
            labels: request.labels,
            annotations: request.annotations,
            image_ref: request.image_ref,
            image_id: request.image.id.clone(),
            declared_volumes: declared_volumes(&request.image),
            log_path: request.log_path,
            stdin: request.stdin,
            stdin_once: request.stdin_once,
            tty: request.tty,
            stop_signal: request.stop_signal,
            strict_groups: request.strict_groups,
            own_pids: request.own_pids,
            user: None,
            created_at: time::now(),
            started_at: 0,
            finished_at: 0,
            exit_code: None,
            reason: String::new(),
            message: String::new(),
            pid: None,
            cgroup: format!("{}/{id}", pod.sandbox.cgroup_parent.trim_end_matches('/')),
            request: request.request,
            volumes: volumes::views(&id, &request.image_volumes),
            stage: Stage::Making,
        };
        let pods = self.pods_dir();
        let new = NewContainer {
            id: id.clone(),
            pod_dir: self.pod_dir(&pod.id),
            bundle: container.bundle(&pods),
            cgroup: container.cgroup.clone(),
            pod,
        };
        let entry = self.add_container(container).await?;
        let made = match self.make_container(&entry, new, &request.image.chain_id, build).await {
            Ok(()) => self.look_at_volumes(&entry).await,
            Err(error) => Err(error).step(|| format!("create container {id}")),
        };
        let made = match made {
            Ok(()) => self.update_container(&entry, |container| container.stage = Stage::Created).await,
            Err(error) => Err(error),
        };
        match made {
            Ok(()) => {
                tracing::info!(container = %id, "container is created");
                Ok(id)
            }
            Err(error) => {
                if let Err(undo) = self.remove_container(&entry).await {
                    tracing::warn!(container = %id, error = %undo, "undo a container that could not be made");
                }
                Err(error)
            }
        }
    }

    async fn make_container(
        &self,
        entry: &ContainerEntry,
        new: NewContainer,
        chain_id: &str,
        build: impl FnOnce(&NewContainer) -> Result<Spec> + Send + 'static,
    ) -> Result<()> {
        let log_path = entry.row().log_path;
        let key = new.id.clone();
        blocking("write the container's bundle", move || {
            let spec = build(&new)?;
            make_bundle(&new.bundle)?;
            point!("pods.create.folder");
            write_spec(&new.bundle, &spec)?;
            point!("pods.create.spec");
            match log_path.as_deref().and_then(Path::parent) {
                Some(folder) => {
                    let what = format!("make the log folder {}", folder.display());
                    let name = what.clone();
                    step_blocking(move || name.clone(), || fs::create_dir_all(folder)).step(|| what)
                }
                None => Ok(()),
            }
        })
        .await?;
        let parent = Some(chain_id).filter(|chain| !chain.is_empty());
        self.snapshots.prepare(&self.config.namespace, &key, parent, BTreeMap::new()).await?;
        point!("pods.create.root");
        Ok(())
    }
}

fn already_there(container: &Container, request: &ContainerRequest, key: &str) -> Result<String> {
    if container.request == request.request && container.stage != Stage::Removing {
        return Ok(container.id.clone());
    }
    Err(Error::new(Kind::AlreadyExists, format!("{key} exists already: {}", container.id))
        .hint("remove it first, or raise the attempt"))
}

/// The volumes that an image declares. What can be no folder of a root is no reason not to run it.
fn declared_volumes(image: &Image) -> Vec<PathBuf> {
    let declared = image.config.config().as_ref().and_then(|config| config.volumes().clone()).unwrap_or_default();
    let mut paths: Vec<PathBuf> = declared.iter().map(|path| Path::new(path).components().collect()).collect();
    paths.retain(|path| path.is_absolute() && path.parent().is_some());
    paths.sort();
    paths
}

fn make_bundle(bundle: &Path) -> Result<()> {
    let make = |path: &Path| {
        fs::DirBuilder::new().mode(0o711).create(path).step(|| format!("make the folder {}", path.display()))
    };
    make(bundle)?;
    make(&bundle.join("rootfs"))
}

fn write_spec(bundle: &Path, spec: &Spec) -> Result<()> {
    let path = bundle.join("config.json");
    let text = serde_json::to_vec(spec).step(|| format!("encode {}", path.display()))?;
    fs::write(&path, text).step(|| format!("write {}", path.display()))
}
