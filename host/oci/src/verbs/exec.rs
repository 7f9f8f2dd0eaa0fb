use std::path::PathBuf;

use oci_spec::runtime::{Capability, LinuxCapabilities, Process, User};
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_runtime::{AttachRequest, ExecRequest, ProcessStdio, attach};

use crate::{
    bundle::load_process,
    cgroup, console, descriptors,
    foreground::{Signals, wait},
    make::write_pid,
    report::Report,
    status::{Status, look},
    store::Store,
};

#[derive(clap::Args, Debug)]
pub(crate) struct Flags {
    /// The Unix socket that receives the master of the process's terminal
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,
    /// The working directory in the container
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// Set an environment variable
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Make a terminal for it
    #[arg(short, long)]
    tty: bool,
    /// `UID[:GID]`
    #[arg(short, long)]
    user: Option<String>,
    /// Further groups
    #[arg(short = 'g', long, value_name = "GID")]
    additional_gids: Vec<u32>,
    /// The file that describes the process
    #[arg(short, long, value_name = "FILE")]
    process: Option<PathBuf>,
    /// Return when it is started
    #[arg(short, long)]
    detach: bool,
    /// The Unix socket that receives a pidfd of the process
    #[arg(long, value_name = "SOCKET")]
    pidfd_socket: Option<PathBuf>,
    /// The file that the process id is written to
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// The SELinux label of the process
    #[arg(long, value_name = "LABEL")]
    process_label: Option<String>,
    /// The AppArmor profile of the process
    #[arg(long, value_name = "PROFILE")]
    apparmor: Option<String>,
    /// Let no exec give more privileges
    #[arg(long)]
    no_new_privs: bool,
    /// Add a capability
    #[arg(short, long, value_name = "CAPABILITY")]
    cap: Vec<String>,
    /// Pass so many further descriptors, from 3 on, to the process
    #[arg(long, value_name = "N", default_value_t = 0)]
    preserve_fds: u32,
    /// Run it in this control group below the container's
    #[arg(long, value_name = "PATH")]
    cgroup: Option<String>,
    /// Also in a paused container: it runs when that is resumed
    #[arg(long)]
    ignore_paused: bool,
    /// The container
    id: String,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub(crate) fn run(flags: Flags, store: &Store, report: &Report) -> Result<u8> {
    exec(flags, store, report).step(|| "exec failed".into())
}

fn exec(flags: Flags, store: &Store, report: &Report) -> Result<u8> {
    let preserved = descriptors::preserved(flags.preserve_fds)?;
    let (folder, record) = store.container(&flags.id)?;
    let found = look(&folder, &record)?;
    match found.status {
        Status::Running | Status::Created => {}
        Status::Paused if flags.ignore_paused => {}
        Status::Paused => {
            let refusal = found.status.refuses(&flags.id, "exec in");
            return Err(refusal.hint("resume it, or use --ignore-paused"));
        }
        _ => return Err(found.status.refuses(&flags.id, "exec in")),
    }
    let (Some(init), Some(pidfd)) = (record.init, found.init) else {
        return Err(Error::new(Kind::FailedPrecondition, format!("container {}: container not running", flags.id)));
    };
    let spec = folder.spec()?;
    let process = match (&flags.process, spec.process()) {
        (Some(path), _) => load_process(path)?,
        (None, Some(first)) => from_flags(first.clone(), &flags)?,
        (None, None) => return Err(Error::invalid("the container's specification has no process")),
    };
    let terminal = process.terminal() == Some(true);
    console::check(terminal, flags.console_socket.as_deref(), flags.detach)?;
    let signals = if flags.detach { None } else { Some(Signals::take()?) };
    let mut path = record.cgroup.clone();
    if let Some(below) = &flags.cgroup {
        path = inside(&path, below)?;
    }
    let join = cgroup::join(&cgroup::open(&path)?)?;
    let stdio = if terminal { ProcessStdio::Terminal { size: None } } else { descriptors::inherited()? };
    let container = attach(AttachRequest {
        id: &flags.id,
        bundle: &record.bundle,
        pid: init.pid,
        pidfd,
        spec: &spec,
        merge_image_groups: false,
        start: None,
    })?;
    let request = ExecRequest { process: &process, stdio, cgroup: Some(join) };
    let mut running = container.exec_preserving(request, preserved)?;
    for warning in running.warnings() {
        report.warning(warning);
    }
    let mut master = running.take_terminal();
    let told = (|| {
        if let (Some(terminal), Some(socket)) = (&master, &flags.console_socket) {
            console::send(terminal, socket)?;
            master = None;
        }
        if let Some(socket) = &flags.pidfd_socket {
            console::send_pidfd(running.pidfd(), socket)?;
        }
        flags.pid_file.as_ref().map_or(Ok(()), |path| write_pid(path, running.pid()))
    })();
    if let Err(error) = told {
        // Nobody would know of it.
        let _ = running.kill(9);
        return Err(error);
    }
    match signals {
        None => Ok(0),
        Some(signals) => wait(running.pidfd(), |signal| running.kill(signal), master, &signals),
    }
}

/// The container's own process with what the command line changes.
fn from_flags(mut process: Process, flags: &Flags) -> Result<Process> {
    if flags.args.is_empty() {
        return Err(Error::invalid("process args cannot be empty").hint("name a command, or a file with --process"));
    }
    process.set_args(Some(flags.args.clone()));
    process.set_terminal(Some(flags.tty));
    if let Some(cwd) = &flags.cwd {
        process.set_cwd(cwd.clone());
    }
    if let Some(label) = &flags.process_label {
        process.set_selinux_label(Some(label.clone()));
    }
    if let Some(profile) = &flags.apparmor {
        process.set_apparmor_profile(Some(profile.clone()));
    }
    if flags.no_new_privs {
        process.set_no_new_privileges(Some(true));
    }
    let mut env = process.env().clone().unwrap_or_default();
    env.extend(flags.env.iter().cloned());
    process.set_env(Some(env));
    let user = user(process.user().clone(), flags)?;
    process.set_user(user);
    let mut capabilities = process.capabilities().clone().unwrap_or_default();
    for name in &flags.cap {
        add(&mut capabilities, name)?;
    }
    process.set_capabilities(Some(capabilities));
    Ok(process)
}

fn user(mut user: User, flags: &Flags) -> Result<User> {
    if let Some(text) = &flags.user {
        let bad = || Error::invalid(format!("user {text:?} is not of the form UID[:GID]"));
        let (uid, gid) = match text.split_once(':') {
            Some((uid, gid)) => (uid, Some(gid)),
            None => (text.as_str(), None),
        };
        user.set_uid(uid.parse().map_err(|_| bad())?);
        if let Some(gid) = gid {
            user.set_gid(gid.parse().map_err(|_| bad())?);
        }
    }
    let mut groups = user.additional_gids().clone().unwrap_or_default();
    groups.extend(&flags.additional_gids);
    user.set_additional_gids(Some(groups));
    Ok(user)
}

/// To the sets that make it the process's own, also when it is no root's.
fn add(capabilities: &mut LinuxCapabilities, name: &str) -> Result<()> {
    let unknown = || Error::invalid(format!("unknown capability {name:?}"));
    let name = name.to_ascii_uppercase();
    let name = if name.starts_with("CAP_") { name } else { format!("CAP_{name}") };
    let capability: Capability = serde_json::from_value(name.into()).map_err(|_| unknown())?;
    let with = |set: &Option<_>| {
        let mut set: std::collections::HashSet<_> = set.clone().unwrap_or_default();
        set.insert(capability);
        Some(set)
    };
    capabilities.set_bounding(with(capabilities.bounding()));
    capabilities.set_effective(with(capabilities.effective()));
    capabilities.set_permitted(with(capabilities.permitted()));
    capabilities.set_inheritable(with(capabilities.inheritable()));
    capabilities.set_ambient(with(capabilities.ambient()));
    Ok(())
}

/// A control group below the container's, which must be there.
fn inside(path: &str, below: &str) -> Result<String> {
    if below.contains(':') {
        return Err(Error::new(Kind::Unsupported, "--cgroup for single controllers is not supported"));
    }
    if below.split('/').any(|part| part == "..") {
        return Err(Error::invalid(format!("--cgroup {below:?} leads out of the container's")));
    }
    Ok(format!("{path}/{}", below.trim_matches('/')))
}
