use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType as Type};
use wharf_api::cri::NamespaceMode;
use wharf_error::{Error, Kind, Result};
use wharf_shim_api::Namespace;

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
    namespaces.extend(pid(input)?);
    Ok(namespaces)
}

fn pid(input: &Input<'_>) -> Result<Option<LinuxNamespace>> {
    let field = "linux.security_context.namespace_options.pid";
    let on_node = input.sandbox.pid == Namespace::Node;
    let Some(options) = &input.security().namespace_options else {
        return Ok(Some(namespace(Type::Pid)).filter(|_| !on_node));
    };
    let mode = NamespaceMode::try_from(options.pid)
        .map_err(|_| Error::invalid(format!("{field}: unknown mode {}", options.pid)))?;
    match mode {
        NamespaceMode::Pod if on_node => Ok(None),
        NamespaceMode::Pod if shares_processes(input) => Err(Error::new(
            Kind::Unsupported,
            format!("{field}: a process namespace that the pod's containers share is not supported yet"),
        )
        .hint("CONTAINER (1), or `shareProcessNamespace: false`, gives each container its own")),
        NamespaceMode::Pod | NamespaceMode::Container => Ok(Some(namespace(Type::Pid))),
        NamespaceMode::Node if on_node => Ok(None),
        NamespaceMode::Node => Err(Error::invalid(format!("{field}: NODE in a pod that does not use the node's"))),
        NamespaceMode::Target => {
            let target = input.target_pid.ok_or_else(|| Error::invalid(format!("{field}: TARGET without a target")))?;
            let mut joined = namespace(Type::Pid);
            joined.set_path(Some(format!("/proc/{target}/ns/pid").into()));
            Ok(Some(joined))
        }
    }
}

/// Whether the pod's own configuration says so too: a client that means it, says it for both.
fn shares_processes(input: &Input<'_>) -> bool {
    let security = input.pod_config.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
    let options = security.and_then(|security| security.namespace_options.as_ref());
    options.is_some_and(|options| options.pid == i32::from(NamespaceMode::Pod))
}

fn namespace(kind: Type) -> LinuxNamespace {
    let mut namespace = LinuxNamespace::default();
    namespace.set_typ(kind);
    namespace
}
