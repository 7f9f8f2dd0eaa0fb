//! The server's life, from the socket that `start` made to the end of the pod.

use std::{
    fs,
    os::{
        fd::{FromRawFd as _, OwnedFd},
        unix::net::UnixListener,
    },
    sync::Arc,
    time::Duration,
};

use rustix::io::{FdFlags, fcntl_setfd};
use tokio::signal::unix::{SignalKind, signal};
use wharf_error::{Error, Result, ResultExt as _};
use wharf_shim_api::{
    create_streams, create_task_v2,
    events::create_events,
    sandbox::create_sandbox,
    task::create_task,
    ttrpc::asynchronous::{Server, transport::Listener},
};

use crate::{
    args::Args,
    engine::OthersEvents,
    logging, memory,
    sandbox::SandboxService,
    shim::Shim,
    start::{socket_of, write},
    streams::StreamsService,
    task::TaskService,
};

/// Threads for what blocks, each only while it is needed; a call beyond waits for its turn. Far more than work needs: some may
/// sit in frozen control groups and dead file systems, and a kill must not wait behind them.
const BLOCKING_THREADS: usize = 128;

/// An idle one ends after this.
const KEEP_ALIVE: Duration = Duration::from_millis(300);

/// Their stacks: the deepest call is the reading of a specification. Only what is used takes memory.
const STACK: usize = 512 * 1024;

/// How long the last answers may take to leave.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Serves until the pod is shut down.
pub fn serve(args: Args) -> Result<()> {
    memory::limit_arenas();
    logging::init(&args.bundle.join("log"), args.debug)?;
    rustix::thread::set_name(c"containerd-shim").map_err(std::io::Error::from).step(|| "set the name".into())?;
    let own = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(own))
        .map_err(std::io::Error::from)
        .step(|| "become a subreaper".into())?;
    let listener = take_listener(&args)?;
    // `start` writes it, too; this one is there although `start` was killed.
    write(&args.bundle.join("shim.pid"), &std::process::id().to_string())?;
    if let Some(lock) = args.lock_fd {
        // Who cleans up finds us now.
        // SAFETY: `start` left this descriptor open for us and said its number; nothing else in this process owns it.
        drop(unsafe { OwnedFd::from_raw_fd(lock) });
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(KEEP_ALIVE)
        .thread_stack_size(STACK)
        .build()
        .step(|| "start the event loop".into())?;
    let served = runtime.block_on(run(&args, listener));
    if let Err(error) = &served {
        tracing::error!(%error, "the shim ends");
    }
    // Nobody waits any more for what a blocking thread may still do.
    runtime.shutdown_background();
    served
}

async fn run(args: &Args, listener: UnixListener) -> Result<()> {
    let child_died = signal(SignalKind::child()).step(|| "watch for children".into())?;
    let shim = Arc::new(Shim::new(args));
    tokio::spawn(shim.reaper.clone().run(child_died));
    outlive_signals()?;
    let listener = Listener::try_from(listener).step(|| "listen".into())?;
    let mut server = Server::new()
        .register_service(create_task(Arc::new(TaskService(shim.clone()))))
        .register_service(create_task_v2(Arc::new(TaskService(shim.clone()))))
        .register_service(create_sandbox(Arc::new(SandboxService(shim.clone()))))
        .register_service(create_streams(Arc::new(StreamsService(shim.clone()))))
        .register_service(create_events(Arc::new(OthersEvents)))
        .add_listener(listener);
    server.start().await.step(|| "serve".into())?;
    tracing::info!(id = shim.id, namespace = shim.namespace, pid = std::process::id(), "serving");
    shim.finished.notified().await;
    // A server's shutdown first lets the running calls be answered, the one that ends us among them.
    drop(tokio::time::timeout(LAST_ANSWERS, server.shutdown()).await);
    match fs::remove_file(socket_of(args)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, "the socket stays");
        }
        _ => {}
    }
    tracing::info!(id = shim.id, "ended");
    Ok(())
}

/// A supervisor outlives its session, its terminal and its daemon's service: it ends when its pod does.
/// A handler instead of `SIG_IGN`, for an ignored signal would be ignored in containers, too.
fn outlive_signals() -> Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()] {
        let mut signals = signal(kind).step(|| "watch for signals".into())?;
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                tracing::warn!(signal = kind.as_raw_value(), "ignored: the shim ends with its pod");
            }
        });
    }
    Ok(())
}

fn take_listener(args: &Args) -> Result<UnixListener> {
    let fd = args.socket_fd.ok_or_else(|| Error::invalid("serve: no socket").hint("use `start`"))?;
    // SAFETY: `start` left this descriptor open for us and said its number; nothing else in this process,
    // which has just begun, owns it. A wrong number fails in the checks below.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    fcntl_setfd(&socket, FdFlags::CLOEXEC).map_err(std::io::Error::from).step(|| "take the socket".into())?;
    let listener = UnixListener::from(socket);
    listener.local_addr().step(|| "take the socket".into())?;
    Ok(listener)
}
