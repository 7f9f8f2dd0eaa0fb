use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use wharf_crash_points::point;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_shim_api::Stdio;

use super::{Container, record::Stage, user::user_of};
use crate::{Pods, entry::ContainerEntry, inner::Inner, shim::NewTask, time};

/// How long after an end somebody may still retry the start: as long as a kubelet waits for an answer.
const RETRY: Duration = Duration::from_secs(120);

/// The exit code of a container whose process could not be started, as containerd reports it.
const START_ERROR: i32 = 128;

impl Pods {
    /// Starts a created container.
    ///
    /// Idempotent: a container that was started before, and runs or has just ended by itself, is success. One that cannot
    /// be started ends with reason `StartError`, exit code 128 and the error as its message.
    ///
    /// # Errors
    ///
    /// `NotFound`; `FailedPrecondition` where its pod is not ready, an earlier start failed, or it was stopped or has ended
    /// minutes ago; else the failing step of making the process.
    pub async fn start_container(&self, id: &str) -> Result<()> {
        let entry = self.inner.recovered_entry(id).await?;
        let (inner, what) = (self.inner.clone(), format!("start container {}", entry.row().id));
        self.inner
            .detached(what, Duration::ZERO, async move {
                let _life = entry.life.take().await;
                inner.start_container(&entry).await
            })
            .await
    }
}

// === impl Inner ===

impl Inner {
    async fn start_container(self: &Arc<Self>, entry: &Arc<ContainerEntry>) -> Result<()> {
        let container = entry.row();
        match container.stage {
            Stage::Created => {}
            Stage::Running => return Ok(()),
            Stage::Exited if container.started_at != 0 && may_be_a_retry(entry, &container) => return Ok(()),
            Stage::Exited if container.started_at != 0 => return Err(refused(&container, "it has ended")),
            Stage::Exited => return Err(refused(&container, &container.message)),
            Stage::Making | Stage::Starting => return Err(refused(&container, "it is still being made")),
            Stage::Removing => return Err(refused(&container, "it is being removed")),
        }
        let pod = self.pod_entry(&container.pod_id)?;
        let shim = pod.shim().await.step(|| format!("start container {}", container.id))?;
        let maker = self.maker(&pod.row()).step(|| format!("start container {}", container.id))?;
        let mounts = self.snapshots.mounts(&self.config.namespace, container.snapshot_key()).await?;
        let (_, image_mounts) = self.image_mounts(&container).await?;
        self.update_container(entry, |container| container.stage = Stage::Starting).await?;

        let bundle = container.bundle(&self.pods_dir());
        let log = match &container.log_path {
            Some(path) => Stdio::CriLog { path: path.clone(), max_line: self.config.max_log_line },
            // Nowhere, but to whoever is attached.
            None => Stdio::Attach { once: false },
        };
        let stdin = match container.stdin {
            true => Stdio::Attach { once: container.stdin_once },
            false => Stdio::Null,
        };
        let task = NewTask {
            id: &container.id,
            bundle: &bundle,
            mounts: &mounts,
            image_mounts,
            volatile: self.config.volatile,
            idmapped: pod.row().sandbox.user_namespace.is_some(),
            strict_groups: container.strict_groups,
            own_pids: container.own_pids,
            folders: &container.declared_volumes,
            maker: &maker,
            terminal: container.tty,
            stdin,
            stdout: log.clone(),
            stderr: if container.tty { Stdio::Null } else { log },
        };
        point!("pods.start.booked");
        let created = shim.create_task(&task).await.and_then(|pid| user_of(pid, &pod.row()));
        point!("pods.start.created");
        // Before the shim is asked: a short container has ended before its answer is here.
        let started_at = time::now();
        let started = match created {
            Ok(user) => shim.start_task(&container.id, "").await.map(|pid| (pid, user)),
            Err(error) => Err(error),
        };
        point!("pods.start.started");
        match started {
            Ok((pid, user)) => {
                self.update_container(entry, |container| {
                    container.stage = Stage::Running;
                    container.started_at = started_at;
                    container.pid = Some(pid);
                    container.user = Some(user);
                })
                .await?;
                self.watch(entry.clone(), shim);
                tracing::info!(container = %container.id, pid, "container is started");
                Ok(())
            }
            Err(error) => {
                if let Err(undo) = shim.delete_task(&container.id, "").await {
                    tracing::debug!(container = %container.id, error = %undo, "undo a container that did not start");
                }
                let message = error.to_string();
                self.update_container(entry, |container| {
                    container.set_exited(START_ERROR, time::now(), false);
                    container.reason = "StartError".into();
                    container.message = message;
                })
                .await?;
                Err(error).step(|| format!("start container {}", container.id))
            }
        }
    }
}

/// Whether a start may be the retry of the one that was followed by this end: this daemon has not stopped it, and it is
/// not long ago.
fn may_be_a_retry(entry: &ContainerEntry, container: &Container) -> bool {
    let age = time::now().saturating_sub(container.finished_at);
    !entry.stopped.load(Ordering::Acquire) && u64::try_from(age).is_ok_and(|age| Duration::from_nanos(age) < RETRY)
}

fn refused(container: &Container, why: &str) -> Error {
    Error::new(Kind::FailedPrecondition, format!("start container {}: {why}", container.id))
        .hint("a container is started once; remove it and create a new one")
}
