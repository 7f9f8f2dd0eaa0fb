use std::{fs, io, path::Path, sync::Arc};

use wharf_crash_points::point;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_network::{NetworkRequest, PodName};
use wharf_shim_api::Namespace;
use wharf_steps::{Steps, step, step_blocking};

use super::{Pod, PodMetadata, PodRequest, record::Stage};
use crate::{Pods, entry::PodEntry, files, id, inner::Inner, shim::Shim, time};

impl Pods {
    /// Makes a pod: its folder, its shim, its namespaces, its network. Answers its id once it is ready.
    ///
    /// The work goes on when the caller goes away. A retry with the same request joins it, or gets the same id
    /// once it is done. A pod that could not be made leaves nothing behind.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` where a pod of this name, namespace, uid and attempt was made from another request;
    /// `FailedPrecondition` where it was made from this one and stopped since, or needs a network and the node has none;
    /// `InvalidArgument` for an unknown
    /// runtime handler; else what the failing step says.
    pub async fn run_pod(&self, request: PodRequest) -> Result<String> {
        let inner = self.inner.clone();
        inner.handler(&request.runtime_handler)?;
        let key = request.metadata.key();
        // A row of the last daemon may be about to be undone: it is no answer.
        if let Some(pod) = inner.pod_by(|pod| pod.metadata == request.metadata) {
            pod.recovered().await;
        }
        let contents = request.request.clone();
        let known = || match self.inner.pod_by(|pod| pod.metadata == request.metadata) {
            Some(entry) => already_there(&entry.row(), &request).map(Some),
            None => Ok(None),
        };
        let asked = request.clone();
        self.inner.operations.run("run", &key, &contents, known, || async move { inner.run_pod(asked).await }).await
    }
}

// === impl Inner ===

impl Inner {
    async fn run_pod(self: Arc<Self>, request: PodRequest) -> Result<String> {
        let (id, mut sandbox) = (id::new_id(), request.sandbox);
        let owns_cgroup = sandbox.cgroup_parent.is_empty();
        let scope = self.place(&id, &mut sandbox)?;
        if sandbox.network == Namespace::Pod {
            self.networks.ready().await.step(|| format!("run pod sandbox {}", request.metadata.name))?;
        }
        if sandbox.network == Namespace::Pod {
            sandbox.netns_path = Some(format!("/run/netns/wharf-{id}"));
        }
        let pod = Pod {
            id: id.clone(),
            metadata: request.metadata,
            labels: request.labels,
            annotations: request.annotations,
            runtime_handler: request.runtime_handler,
            log_directory: request.log_directory,
            sandbox,
            created_at: time::now(),
            pid: None,
            request: request.request,
            limits: None,
            stage: Stage::Making,
            address: String::new(),
            owns_cgroup,
            scope,
        };
        let entry = self.add_pod(pod).await?;
        let _life = entry.life.take().await;
        match self.make(&entry, request.resolv_conf, &request.network).await {
            Ok(()) => {
                self.watch_pod(entry.clone());
                tracing::info!(pod = %id, "pod sandbox is ready");
                Ok(id)
            }
            Err(error) => {
                // The row stays where undoing fails: the next start, or a removal by id, tries again.
                if let Err(undo) = self.unmake(&entry).await {
                    tracing::warn!(pod = %id, error = %undo, "undo a pod sandbox that could not be made");
                }
                Err(error).step(|| format!("run pod sandbox {id}"))
            }
        }
    }

    async fn make(&self, entry: &PodEntry, resolv_conf: Option<String>, network: &NetworkRequest) -> Result<()> {
        let pod = entry.row();
        let dir = self.pod_dir(&pod.id);
        let (bundle, sandbox) = (dir.clone(), pod.sandbox.clone());
        let logs = pod.log_directory.clone();
        blocking("make the pod's folder", move || {
            make_dir(&bundle)?;
            if !logs.as_os_str().is_empty() {
                let what = format!("make the log folder {}", logs.display());
                let name = what.clone();
                step_blocking(move || name.clone(), || fs::create_dir_all(&logs)).step(|| what)?;
            }
            point!("pods.run.folder");
            files::write(&bundle, &sandbox, resolv_conf.as_deref())
        })
        .await?;
        point!("pods.run.files");
        let (shim, address) = Shim::launch(&self.config, &pod.id, &dir).await?;
        point!("pods.run.launched");
        entry.set_shim(Some(shim.clone()));
        self.update_pod(entry, |pod| pod.address = address).await?;
        shim.create_sandbox(&dir, &pod.sandbox).await?;
        point!("pods.run.created");
        self.enter_scope(&pod, &shim).await?;
        point!("pods.run.scope");
        self.attach(&pod, network).await?;
        point!("pods.run.attached");
        let pid = shim.start_sandbox().await?;
        point!("pods.run.started");
        self.make_mark(&pod).await;
        point!("pods.run.marked");
        self.update_pod(entry, |pod| {
            pod.pid = Some(pid);
            pod.stage = Stage::Made;
        })
        .await
    }

    /// Attaches the pod to the node's networks, and tells its containers where it is.
    async fn attach(&self, pod: &Pod, network: &NetworkRequest) -> Result<()> {
        let Some(netns) = pod.netns() else { return Ok(()) };
        let PodMetadata { name, namespace, uid, .. } = pod.metadata.clone();
        let addresses = self.networks.attach(&pod.id, netns.into(), &PodName { name, namespace, uid }, network).await?;
        let (dir, hostname) = (self.pod_dir(&pod.id), pod.sandbox.hostname.clone());
        blocking("add the pod's addresses to its hosts file", move || files::add_hosts(&dir, &hostname, &addresses))
            .await
    }

    /// Takes back what a half-made pod has, then forgets it. Safe to repeat.
    ///
    /// Where that fails, the pod is listed from then on as one that is not ready: so its client sees that there is
    /// something to remove, and makes the next one as another attempt.
    pub(crate) async fn unmake(&self, entry: &PodEntry) -> Result<()> {
        let undone = match self.tear_down(entry).await {
            Ok(()) => self.forget_pod_and_folder(&entry.row()).await,
            failed => failed,
        };
        if undone.is_err() {
            self.update_pod(entry, |pod| pod.stage = Stage::Removing).await?;
        }
        undone
    }
}

/// Runs a blocking step off the reactor. Short, unless a file system is slow; who waits for it can be told its name.
pub(crate) async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (span, steps) = (tracing::Span::current(), Steps::current());
    let working = tokio::task::spawn_blocking(move || {
        span.in_scope(|| match steps {
            Some(steps) => steps.enter(work),
            None => work(),
        })
    });
    step(|| what.to_owned(), working).await.step(|| what.to_owned())?
}

fn already_there(pod: &Pod, request: &PodRequest) -> Result<String> {
    if pod.request != request.request || pod.runtime_handler != request.runtime_handler {
        return Err(Error::new(
            Kind::AlreadyExists,
            format!("{} exists already, made from a different request: {}", pod.metadata.key(), pod.id),
        )
        .hint("remove it first, or raise the attempt"));
    }
    if pod.stage == Stage::Made {
        return Ok(pod.id.clone());
    }
    Err(Error::new(Kind::FailedPrecondition, format!("{} was stopped: {}", pod.metadata.key(), pod.id))
        .hint("remove it first, or raise the attempt"))
}

fn make_dir(dir: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let make = |path: &Path, mode| match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.step(|| format!("make the folder {}", path.display())),
    };
    if let Some(pods) = dir.parent() {
        make(pods, 0o711)?;
    }
    make(dir, 0o711)?;
    make(&dir.join("containers"), 0o711)
}
