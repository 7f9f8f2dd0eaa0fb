use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use wharf_error::{Error, Kind, Result};
use wharf_shim_api::{
    StreamsClient, call, connect, from_status,
    sandbox::SandboxClient,
    task::TaskClient,
    ttrpc::{self, asynchronous::Client, context::Context},
};

use crate::request_id::request_id;

/// A connection to the shim of one pod. Cheap to clone; clones share it.
#[derive(Clone)]
pub(crate) struct Shim {
    pub(super) pod: Arc<str>,
    address: Arc<str>,
    client: Arc<Mutex<Client>>,
    deadline: Duration,
}

// === impl Shim ===

impl Shim {
    /// Connects to a shim that runs already.
    pub(crate) async fn connect(pod: &str, address: &str, deadline: Duration) -> Result<Self> {
        let client = connect_within(pod, address, deadline).await?;
        Ok(Self { pod: pod.into(), address: address.into(), client: Arc::new(Mutex::new(client)), deadline })
    }

    /// Replaces a broken connection, for every clone.
    pub(crate) async fn reconnect(&self) -> Result<()> {
        let client = connect_within(&self.pod, &self.address, self.deadline).await?;
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = client;
        Ok(())
    }

    pub(super) fn tasks(&self) -> TaskClient {
        TaskClient::new(self.client())
    }

    pub(super) fn sandboxes(&self) -> SandboxClient {
        SandboxClient::new(self.client())
    }

    pub(super) fn streams(&self) -> StreamsClient {
        StreamsClient::new(self.client())
    }

    /// One call with the shim's deadline. `step` names what is asked, for the error.
    pub(super) async fn ask<T, F>(&self, step: &str, send: impl FnOnce(Context) -> F) -> Result<T>
    where
        F: Future<Output = ttrpc::Result<T>>,
    {
        let what = || format!("shim of pod {}: {step}", self.pod);
        let answer = self.named(step, send(call(self.deadline, &request_id())));
        // The client's own deadline is the shim's word; this one holds although the shim is stopped (SIGSTOP).
        match tokio::time::timeout(self.deadline, answer).await {
            Ok(answer) => answer.map_err(|error| from_status(&what(), error)),
            Err(_) => {
                Err(Error::new(Kind::DeadlineExceeded, format!("{}: no answer within {:?}", what(), self.deadline)))
            }
        }
    }

    /// One call that waits as long as it takes.
    pub(super) async fn ask_for_ever<T, F>(&self, step: &str, send: impl FnOnce(Context) -> F) -> Result<T>
    where
        F: Future<Output = ttrpc::Result<T>>,
    {
        let answer = self.named(step, send(call(Duration::ZERO, &request_id()))).await;
        answer.map_err(|error| from_status(&format!("shim of pod {}: {step}", self.pod), error))
    }

    async fn named<T>(&self, step: &str, answer: impl Future<Output = T>) -> T {
        let (pod, name) = (self.pod.clone(), step.to_owned());
        wharf_steps::step(move || format!("shim of pod {pod}: {name}"), answer).await
    }

    fn client(&self) -> Client {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn connect_within(pod: &str, address: &str, deadline: Duration) -> Result<Client> {
    let name = pod.to_owned();
    let connecting = wharf_steps::step(move || format!("shim of pod {name}: connect"), connect(address));
    match tokio::time::timeout(deadline, connecting).await {
        Ok(client) => client,
        Err(_) => Err(Error::new(Kind::DeadlineExceeded, format!("shim of pod {pod}: connect within {deadline:?}"))),
    }
}
