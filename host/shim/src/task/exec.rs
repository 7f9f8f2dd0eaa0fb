use std::sync::{Arc, Mutex};

use wharf_error::{Error, Kind, Result};
use wharf_shim_api::{
    TaskEvent,
    events::TaskExecAdded,
    from_json,
    task::{Empty, ExecProcessRequest},
};

use crate::{
    container::Exec,
    process::{Process, StdioNames},
    shim::Shim,
};

/// Adds a process to run in the container; `Start` runs it.
pub async fn exec(shim: Arc<Shim>, request: ExecProcessRequest) -> Result<Empty> {
    let container = shim.container(&request.id)?;
    let what = || format!("container {}: exec {}", request.id, request.exec_id);
    if request.exec_id.is_empty() || request.exec_id.contains('/') {
        return Err(Error::invalid(format!("{}: not a name", what())));
    }
    if container.init.exit().is_some() {
        return Err(Error::new(Kind::FailedPrecondition, format!("{}: the container is not running", what())));
    }
    let Some(spec) = request.spec.as_ref() else {
        return Err(Error::invalid(format!("{}: no process", what())));
    };
    let mut spec: oci_spec::runtime::Process = from_json(spec)?;
    spec.set_terminal(Some(request.terminal));
    let stdio =
        StdioNames { stdin: request.stdin, stdout: request.stdout, stderr: request.stderr, terminal: request.terminal };
    let exec = Exec {
        process: Arc::new(Process::new(&request.exec_id, stdio, shim.new_owner())),
        spec: Mutex::new(Some(Box::new(spec))),
        runtime: Mutex::default(),
    };
    {
        let mut execs = container.execs();
        if execs.contains_key(&request.exec_id) {
            return Err(Error::new(
                Kind::AlreadyExists,
                format!("container {}: exec {} exists", request.id, request.exec_id),
            ));
        }
        execs.insert(request.exec_id.clone(), Arc::new(exec));
    }
    shim.events.publish(&TaskEvent::ExecAdded(TaskExecAdded {
        container_id: request.id,
        exec_id: request.exec_id,
        ..TaskExecAdded::default()
    }));
    Ok(Empty::default())
}
