use std::sync::{Arc, PoisonError};

use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_runtime::{ExecRequest, ProcessStdio, resolve_user};
use wharf_shim_api::{
    task::{DeleteResponse, Empty, ExecProcessRequest, KillRequest, StartRequest, StartResponse},
    to_json,
};

use super::{
    OtherContainer, Told, delete,
    server::Server,
    streams::{Ends, Names},
};
use crate::engine::spec;

/// The type that containerd's clients name for a process.
const PROCESS_TYPE_URL: &str = "types.containerd.io/opencontainers/runtime-spec/1/Process";

/// A process that was executed.
pub struct Executed {
    pub pid: i32,
    /// Our ends of its terminal's streams, until they are taken.
    pub ends: Option<Ends>,
    pub told: Told,
    server: Arc<Server>,
    id: String,
    exec_id: String,
}

// === impl Executed ===

impl Executed {
    /// Never with `all`: there are shims to which that is every process of the container, whatever the exec (Kata's).
    pub fn kill(&self, signal: i32) -> Result<()> {
        let request = KillRequest {
            id: self.id.clone(),
            exec_id: self.exec_id.clone(),
            signal: signal.unsigned_abs(),
            ..KillRequest::default()
        };
        self.server.ask::<_, Empty>("Kill", &request).map(drop)
    }

    /// Has the shim forget it, once it has ended.
    pub fn forget(&self) -> Result<()> {
        match self.server.ask::<_, DeleteResponse>("Delete", &delete(&self.id, &self.exec_id)) {
            Err(error) if error.is_not_found() || self.server.has_ended() => Ok(()),
            other => other.map(drop),
        }
    }
}

// === impl OtherContainer ===

impl OtherContainer {
    /// Runs a further process inside.
    pub fn exec(&self, exec_id: &str, request: ExecRequest<'_>) -> Result<Executed> {
        let mut process = request.process.clone();
        {
            let root = self.root.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(root) = root.as_ref() else {
                return Err(Error::new(Kind::FailedPrecondition, "the container is being deleted"));
            };
            process.set_user(resolve_user(root, process.user(), self.merge_image_groups)?);
        }
        spec::fit(&mut process)?;
        if let ProcessStdio::Terminal { size: Some(size) } = &request.stdio {
            spec::set_size(&mut process, *size)?;
        }
        let (names, ends) = Names::of(request.stdio)?;
        let added = ExecProcessRequest {
            id: self.id.clone(),
            exec_id: exec_id.to_owned(),
            terminal: ends.is_some(),
            stdin: names.stdin.clone(),
            stdout: names.stdout.clone(),
            stderr: names.stderr.clone(),
            spec: Some(to_json(PROCESS_TYPE_URL, &process)?).into(),
            ..ExecProcessRequest::default()
        };
        self.server.ask::<_, Empty>("Exec", &added)?;
        let start = StartRequest { id: self.id.clone(), exec_id: exec_id.to_owned(), ..StartRequest::default() };
        let started = self.server.ask::<_, StartResponse>("Start", &start);
        drop(names);
        let pid = started.and_then(|started| i32::try_from(started.pid).step(|| "a process's pid".into()));
        let pid = pid.inspect_err(|_| {
            drop(self.server.ask::<_, DeleteResponse>("Delete", &delete(&self.id, exec_id)));
        })?;
        Ok(Executed {
            pid,
            ends,
            told: Told::new(&self.server, &self.id, exec_id),
            server: self.server.clone(),
            id: self.id.clone(),
            exec_id: exec_id.to_owned(),
        })
    }
}
