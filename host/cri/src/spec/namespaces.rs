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
    if input.sandbox.user_namespace.is_some() {
        namespaces.push(namespace(Type::User));
    }
    namespaces.extend(pid(input)?);
    Ok(namespaces)
}

/// What is listed without a path is the pod's where its containers share one, and else new.
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
        NamespaceMode::Container if pods == Namespace::Pod => Err(Error::new(
            Kind::Unsupported,
            format!("{field}: CONTAINER in a pod whose containers share their processes is not supported yet"),
        )
        .hint("say CONTAINER (1) for the pod sandbox, too")),
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
