use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType as Type};
use wharf_api::cri::{ContainerConfig, NamespaceMode};
use wharf_error::{Error, Result};
use wharf_shim_api::{Namespace, SandboxOptions};

use super::Input;

/// One that is listed is the pod's, or new where the pod has none; one that is not is the node's.
pub(super) fn build(input: &Input<'_>) -> Result<Vec<LinuxNamespace>> {
    let mut namespaces = vec![namespace(Type::Mount)];
    // Of a privileged container the control groups are the node's to see.
    if !input.security().privileged {
        namespaces.push(namespace(Type::Cgroup));
    }
    if input.sandbox.network != Namespace::Node {
        namespaces.push(namespace(Type::Network));
    }
    if input.sandbox.ipc != Namespace::Node {
        namespaces.push(namespace(Type::Ipc));
    }
    if !input.sandbox.hostname.is_empty() {
        namespaces.push(namespace(Type::Uts));
    }
    if input.sandbox.user_namespace.is_some() {
        namespaces.push(namespace(Type::User));
    }
    namespaces.extend(pid(input)?);
    Ok(namespaces)
}

/// Whether the container has processes of its own in a pod whose other containers share theirs.
pub(crate) fn own_pids(config: &ContainerConfig, pod: &SandboxOptions) -> bool {
    let security = config.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
    let options = security.and_then(|security| security.namespace_options.as_ref());
    pod.pid == Namespace::Pod && options.is_some_and(|options| options.pid == NamespaceMode::Container as i32)
}

/// What is listed without a path is the pod's where its containers share one, and else new; so is that of a container
/// with [`own_pids`].
fn pid(input: &Input<'_>) -> Result<Option<LinuxNamespace>> {
    let field = "linux.security_context.namespace_options.pid";
    let pods = input.sandbox.pid;
    let Some(options) = &input.security().namespace_options else {
        return Ok(Some(namespace(Type::Pid)).filter(|_| pods != Namespace::Node));
    };
    let mode = NamespaceMode::try_from(options.pid)
        .map_err(|_| Error::invalid(format!("{field}: unknown mode {}", options.pid)))?;
    match mode {
        NamespaceMode::Pod | NamespaceMode::Node if pods == Namespace::Node => Ok(None),
        NamespaceMode::Pod => Ok(Some(namespace(Type::Pid))),
        NamespaceMode::Node => Err(Error::invalid(format!("{field}: NODE in a pod that does not use the node's"))),
        NamespaceMode::Container => Ok(Some(namespace(Type::Pid))),
        NamespaceMode::Target => {
            let target = input.target_pid.ok_or_else(|| Error::invalid(format!("{field}: TARGET without a target")))?;
            let mut joined = namespace(Type::Pid);
            joined.set_path(Some(format!("/proc/{target}/ns/pid").into()));
            Ok(Some(joined))
        }
    }
}

fn namespace(kind: Type) -> LinuxNamespace {
    let mut namespace = LinuxNamespace::default();
    namespace.set_typ(kind);
    namespace
}
