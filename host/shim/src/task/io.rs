use std::sync::Arc;

use wharf_error::{Error, Result, ResultExt as _};
use wharf_shim_api::task::{CloseIORequest, Empty, ResizePtyRequest};

use crate::{operation::blocking, shim::Shim};

/// Tells a process's terminal its size.
pub async fn resize(shim: Arc<Shim>, request: ResizePtyRequest) -> Result<Empty> {
    let container = shim.container(&request.id)?;
    let process = container.process(&request.exec_id)?;
    let id = request.id;
    let what = || format!("container {id}");
    let (Ok(width), Ok(height)) = (u16::try_from(request.width), u16::try_from(request.height)) else {
        return Err(Error::invalid(format!("{}: resize to {}x{}", what(), request.width, request.height)));
    };
    let (engine, exec_id) = (container.runtime.clone(), request.exec_id);
    if let Some(resized) = blocking(move || Ok(engine.resize(&exec_id, width, height))).await? {
        return resized.step(what).map(|()| Empty::default());
    }
    match &*process.attached() {
        Some(attached) => attached.resize(width, height).step(what)?,
        None => return Err(process.finished()),
    }
    Ok(Empty::default())
}

/// Closes a process's stdin; again, or without one, is success.
pub async fn close(shim: Arc<Shim>, request: CloseIORequest) -> Result<Empty> {
    let process = shim.container(&request.id)?.process(&request.exec_id)?;
    if request.stdin
        && let Some(attached) = process.attached().as_mut()
    {
        attached.close_stdin();
    }
    Ok(Empty::default())
}
