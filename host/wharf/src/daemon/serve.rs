use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use sd_notify::NotifyState;
use tokio::net::{UnixListener, UnixStream};
use wharf_admin::NodeInfo;
use wharf_cri::CriConfig;
use wharf_listen::incoming;
use wharf_streaming::{Server, StreamingConfig, TlsFiles};

use super::{build::Parts, cgroup_driver, dirs::Dirs, events, signals};
use crate::config::Config;

/// How long calls under way may take once the daemon is told to stop. What they began goes on in their shims.
const GRACE: Duration = Duration::from_secs(10);

/// Serves until SIGTERM or SIGINT. Pods and containers go on without us.
pub(super) async fn serve(config: Config) -> Result<()> {
    let stop = signals::stop()?;
    cgroup_driver::check(&config).await?;
    let dirs = Dirs::make(&config)?;
    let Parts { plugins, images, pods, snapshots, store } = Parts::build(&config, &dirs).await?;

    // The store's lock is held by now: whatever lies at these paths is of no living daemon on this state folder.
    let socket = config.socket();
    let mut events_socket = socket.clone().into_os_string();
    events_socket.push(".ttrpc");
    let events_socket = PathBuf::from(events_socket);
    let containerd = config.containerd_socket();
    let containerd_listener = match &containerd {
        Some(path) => Some(bind_where_nobody_serves(path).await?),
        None => None,
    };
    let mut events = events::serve(bind(&events_socket)?).await?;
    // Last: who can connect to this one finds the others.
    let listener = bind(&socket)?;

    let streams = Server::bind(streaming_config(&config), Arc::new(pods.clone())).await?;
    let (streaming, streams) = (streams.server(), tokio::spawn(streams.run()));

    let cri = CriConfig {
        snapshotter: config.snapshotter.name.clone(),
        cdi_spec_dirs: config.cri.cdi_spec_dirs.clone(),
        annotations: config
            .runtimes()
            .iter()
            .map(|(name, handler)| Ok((name.clone(), handler.passed_annotations()?)))
            .collect::<Result<_>>()?,
        ..CriConfig::default()
    };
    let looked_at = containerd_listener.map(|listener| {
        let routes = wharf_containerd::routes(pods.clone(), config.snapshotter.name.clone());
        tokio::spawn(tonic::transport::Server::builder().add_routes(routes).serve_with_incoming(incoming(listener)))
    });
    let asked = plugins.clone();
    let router = tonic::transport::Server::builder()
        .add_service(wharf_cri::runtime_service(cri.clone(), pods.clone(), images.clone(), streaming.clone()))
        .add_service(wharf_cri::image_service(cri, pods.clone(), images.clone()))
        .add_service(wharf_admin::service(wharf_admin::Parts {
            plugins,
            images,
            pods: pods.clone(),
            snapshots: snapshots.clone(),
            networks: pods.networks().clone(),
            spool: dirs.spool,
            stream_certificate: streaming.certificate().map(<[u8]>::to_vec),
            node: node_info(&config, &socket, &streaming),
        }));
    let streaming = streaming.address();
    tracing::info!(socket = %socket.display(), root = %config.root.display(), %streaming, "ready");
    notify(&[NotifyState::Ready]);

    let listened = pods;
    let (stopping, mut stopped) = tokio::sync::watch::channel(false);
    let serving = router.serve_with_incoming_shutdown(incoming(listener), async move {
        stop.await;
        tracing::info!("stopping; pods and containers go on");
        notify(&[NotifyState::Stopping]);
        // Their streams would hold up the end of the service.
        listened.end_events();
        stopping.send_replace(true);
    });
    tokio::select! {
        served = serving => served.context("serve")?,
        // A call that waits for a container may wait for ever; its caller asks the next daemon.
        () = async { let _ = stopped.wait_for(|stopped| *stopped).await; tokio::time::sleep(GRACE).await } => {
            tracing::warn!(?GRACE, "calls are still under way; leaving them");
        }
    }
    // What is left under way would have the end of this process wait for as long as a plugin may take.
    asked.stop();
    streams.abort();
    if let Some(looked_at) = looked_at {
        looked_at.abort();
    }
    events.shutdown().await.context("stop the events socket")?;
    Parts::settle(&snapshots, store).await?;
    for path in [&socket, &events_socket].into_iter().chain(&containerd) {
        remove(path)?;
    }
    Ok(())
}

fn node_info(config: &Config, socket: &Path, streaming: &Server) -> NodeInfo {
    let containerd = config.containerd_socket().map_or_else(|| "none".to_owned(), |path| path.display().to_string());
    let facts = [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("root", config.root.display().to_string()),
        ("state", config.state.display().to_string()),
        ("socket", socket.display().to_string()),
        ("containerd socket", containerd),
        ("streaming", streaming.address().to_string()),
        ("snapshotter", config.snapshotter.name.clone()),
        ("cgroup driver", config.cri.cgroup_driver.name().to_owned()),
        ("cgroup parent", config.cri.cgroup_parent().to_owned()),
    ];
    NodeInfo { facts: facts.map(|(name, value)| (name.to_owned(), value)).into() }
}

fn streaming_config(config: &Config) -> StreamingConfig {
    let files = config.streaming.tls_certificate.clone().zip(config.streaming.tls_key.clone());
    let tls = files.map(|(certificate, key)| TlsFiles {
        certificate,
        key,
        client_ca: config.streaming.tls_client_ca.clone(),
    });
    StreamingConfig {
        address: (config.streaming.address, config.streaming.port).into(),
        idle_timeout: Duration::from_secs(config.streaming.idle_timeout),
        tls,
        ..StreamingConfig::default()
    }
}

/// As [`bind`], at a path that may be another program's: the lock of our books says nothing of it.
async fn bind_where_nobody_serves(path: &Path) -> Result<UnixListener> {
    // One that is too busy to answer serves there all the same.
    let served = match UnixStream::connect(path).await {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused),
    };
    ensure!(!served, "listen on {}: another program serves there; set [containerd] socket", path.display());
    bind(path)
}

/// Listens on a Unix socket that root alone may use.
fn bind(path: &Path) -> Result<UnixListener> {
    remove(path)?;
    let listener = UnixListener::bind(path).with_context(|| format!("listen on {}", path.display()))?;
    let narrowed = fs::set_permissions(path, fs::Permissions::from_mode(0o600));
    narrowed.with_context(|| format!("set the mode of {}", path.display()))?;
    Ok(listener)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.with_context(|| format!("remove {}", path.display())),
    }
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "tell systemd");
    }
}
