use std::{fs, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::{task::block_in_place, time::Instant};
use tonic::{Code, Status};
use wharf_api::cri::{
    ContainerState, ContainerStatusRequest, ImageStatusRequest, PodSandboxState, PodSandboxStatusRequest,
};

use super::{
    folder::{Aim, Folder},
    verb::{Subject, Verb},
};
use crate::{cri::is_gone, logs::numbered, node::Node, requests::spec, samples::Samples};

/// One life of a pod, with a death in one of its verbs.
pub struct Cycle<'a> {
    node: &'a mut Node,
    folder: &'a Folder,
    name: String,
    subject: Subject,
    /// A shim has died, and with it the container that it held.
    lost: bool,
}

const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(5);
/// What is asked again after a death may meet what is still being undone, but not for ever.
const AGAIN: Duration = Duration::from_secs(20);

// === impl Cycle ===

impl<'a> Cycle<'a> {
    pub fn new(node: &'a mut Node, folder: &'a Folder, number: u32) -> Self {
        let name = format!("cycle-{number}");
        let subject = Subject::new(&name, &node.logs);
        Self { node, folder, name, subject, lost: false }
    }

    /// Whether somebody died. The image is there before and after, unless a verb of images is aimed at.
    ///
    /// # Errors
    ///
    /// What was not as it must be.
    pub async fn run(mut self, aim: Option<(Verb, &Aim)>) -> Result<bool> {
        let mut died = false;
        if aim.is_some_and(|(aimed, _)| aimed == Verb::Pull) {
            self.done(Verb::RemoveImage).await.context("RemoveImage before")?;
        }
        for verb in Verb::ALL {
            match aim {
                Some((aimed, at)) if aimed == verb => {
                    died = self.armed(verb, at).await.with_context(|| verb.name())?;
                }
                // Others leave the image for the next one.
                Some((aimed, _)) if verb == Verb::RemoveImage && !aimed.is_of_images() => continue,
                _ => self.done(verb).await.with_context(|| format!("{} afterwards", verb.name()))?,
            }
            self.see(verb).await.with_context(|| format!("after {}", verb.name()))?;
            if verb == Verb::Pull && aim.is_some_and(|(aimed, _)| !aimed.is_of_images()) {
                block_in_place(|| self.node.remember());
            }
        }
        let logs = self.node.logs.join(&self.name);
        fs::remove_dir_all(&logs).with_context(|| format!("remove {}", logs.display()))?;
        block_in_place(|| self.node.check_left()).context("after the pod's removal")?;
        Ok(died)
    }

    /// The verb with a death in it, and again after it.
    async fn armed(&mut self, verb: Verb, aim: &Aim) -> Result<bool> {
        self.folder.arm(Some(aim))?;
        let call = tokio::spawn(verb.ask(self.node.cri.clone(), self.subject.clone()));
        let deadline = Instant::now() + PATIENCE;
        let mut settled = None;
        while !self.folder.somebody_died() {
            ensure!(Instant::now() < deadline, "no answer after {PATIENCE:?}");
            if call.is_finished() {
                let settled = *settled.get_or_insert_with(|| Instant::now() + verb.settles());
                if Instant::now() > settled {
                    break;
                }
            }
            tokio::time::sleep(POLL).await;
        }
        let died = self.folder.somebody_died();
        self.folder.disarm()?;
        let mut daemon_died = false;
        if died {
            // The daemon, its shim, or the shim's helper.
            daemon_died = self.node.daemon.pid() == Some(self.folder.who_died()?);
            if daemon_died {
                block_in_place(|| self.node.daemon.kill())?;
                self.node.restart().await?;
            } else {
                self.lost = true;
            }
        }
        let answer = call.await.context("a task of this program")?;
        match answer {
            Ok(made) => self.made(verb, made),
            Err(status) if died && (daemon_died || self.lost) => self.again(verb, &status).await?,
            Err(status) => bail!("{:?}: {}", status.code(), status.message()),
        }
        Ok(died)
    }

    async fn done(&mut self, verb: Verb) -> Result<()> {
        match verb.ask(self.node.cri.clone(), self.subject.clone()).await {
            Ok(made) => self.made(verb, made),
            // Its connection is that of a daemon before.
            Err(status) if is_gone(&status) || self.lost => self.again(verb, &status).await?,
            Err(status) => bail!("{:?}: {}", status.code(), status.message()),
        }
        Ok(())
    }

    /// The same request until it is done: a retry succeeds. Only a container whose shim died is not started any more.
    async fn again(&mut self, verb: Verb, first: &Status) -> Result<()> {
        let deadline = Instant::now() + AGAIN;
        loop {
            match verb.ask(self.node.cri.clone(), self.subject.clone()).await {
                Ok(made) => {
                    self.made(verb, made);
                    // It is another one, with another shim.
                    self.lost &= verb != Verb::RunPod;
                    return Ok(());
                }
                Err(status) if verb == Verb::Start && self.lost && status.code() == Code::FailedPrecondition => {
                    return Ok(());
                }
                Err(status) if Instant::now() < deadline && (self.lost || is_gone(&status)) => {
                    tokio::time::sleep(POLL * 10).await;
                }
                Err(status) => {
                    bail!("the retry fails: {:?}: {} (at first: {})", status.code(), status.message(), first.message())
                }
            }
        }
    }

    fn made(&mut self, verb: Verb, id: String) {
        match verb {
            Verb::RunPod => self.subject.pod = id,
            Verb::Create => self.subject.container = id,
            _ => {}
        }
    }

    /// That the verb has done what it says.
    async fn see(&self, verb: Verb) -> Result<()> {
        match verb {
            Verb::Pull => ensure!(self.image().await?, "the image is not there"),
            Verb::RunPod => {
                let state = self.pod().await?;
                let ready = state == Some(PodSandboxState::SandboxReady);
                ensure!(ready || self.lost, "the pod is {state:?}");
            }
            Verb::Create => self.wait_state(&[ContainerState::ContainerCreated]).await?,
            Verb::Start if self.lost => {
                // Where only a helper died, it runs.
                use ContainerState::{ContainerCreated, ContainerExited, ContainerRunning};
                self.wait_state(&[ContainerCreated, ContainerExited, ContainerRunning]).await?;
            }
            Verb::Start => self.wait_state(&[ContainerState::ContainerRunning]).await?,
            Verb::Stop if self.lost => {
                self.wait_state(&[ContainerState::ContainerExited, ContainerState::ContainerCreated]).await?;
                numbered(&self.node.logs.join(&self.name).join("main.log"), true)?;
            }
            Verb::Stop => {
                self.wait_state(&[ContainerState::ContainerExited]).await?;
                numbered(&self.node.logs.join(&self.name).join("main.log"), true)?;
            }
            Verb::Remove => ensure!(self.container().await?.is_none(), "the container is there"),
            Verb::StopPod => {
                let state = self.pod().await?;
                ensure!(state == Some(PodSandboxState::SandboxNotready), "the pod is {state:?}");
            }
            Verb::RemovePod => ensure!(self.pod().await?.is_none(), "the pod is there"),
            Verb::RemoveImage => ensure!(!self.image().await?, "the image is there"),
        }
        Ok(())
    }

    async fn wait_state(&self, wanted: &[ContainerState]) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let state = self.container().await?;
            if state.is_some_and(|state| wanted.contains(&state)) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline && state.is_some(), "the container is {state:?}, not {wanted:?}");
            tokio::time::sleep(POLL).await;
        }
    }

    async fn container(&self) -> Result<Option<ContainerState>> {
        let request = ContainerStatusRequest { container_id: self.subject.container.clone(), verbose: false };
        let status = self.node.cri.ask("ContainerStatus", |mut cri| {
            let request = request.clone();
            async move { cri.runtime.container_status(request).await }
        });
        match status.await {
            Ok(answer) => Ok(answer.status.and_then(|status| ContainerState::try_from(status.state).ok())),
            Err(refused) if refused.code == Code::NotFound => Ok(None),
            Err(refused) => Err(refused.into()),
        }
    }

    async fn pod(&self) -> Result<Option<PodSandboxState>> {
        let request = PodSandboxStatusRequest { pod_sandbox_id: self.subject.pod.clone(), verbose: false };
        let status = self.node.cri.ask("PodSandboxStatus", |mut cri| {
            let request = request.clone();
            async move { cri.runtime.pod_sandbox_status(request).await }
        });
        match status.await {
            Ok(answer) => Ok(answer.status.and_then(|status| PodSandboxState::try_from(status.state).ok())),
            Err(refused) if refused.code == Code::NotFound => Ok(None),
            Err(refused) => Err(refused.into()),
        }
    }

    async fn image(&self) -> Result<bool> {
        let request = ImageStatusRequest { image: Some(spec(&Samples::base())), verbose: false };
        let status = self.node.cri.ask("ImageStatus", |mut cri| {
            let request = request.clone();
            async move { cri.images.image_status(request).await }
        });
        Ok(status.await?.image.is_some())
    }
}
