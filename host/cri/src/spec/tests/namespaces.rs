use super::*;

#[test]
fn process_namespaces_follow_the_pod() {
    let pid = |pod: Namespace, mode: Option<NamespaceMode>, target: Option<u32>| {
        let mut case = Case::new();
        (case.sandbox.pid, case.target_pid) = (pod, target);
        if let Some(mode) = mode {
            case.security().namespace_options =
                Some(NamespaceOption { pid: mode.into(), ..NamespaceOption::default() });
        }
        case.build().map(|spec| {
            let linux = spec.linux().as_ref().unwrap();
            let found = linux.namespaces().iter().flatten().find(|namespace| namespace.typ() == Type::Pid).cloned();
            found.map(|namespace| namespace.path().clone().unwrap_or_default())
        })
    };
    let own = Some(PathBuf::new());
    assert_eq!(pid(Namespace::Container, None, None).unwrap(), own);
    assert_eq!(pid(Namespace::Container, Some(NamespaceMode::Container), None).unwrap(), own);
    assert_eq!(pid(Namespace::Container, Some(NamespaceMode::Pod), None).unwrap(), own, "the pod does not share");
    assert_eq!(pid(Namespace::Pod, Some(NamespaceMode::Pod), None).unwrap(), own, "the runtime joins the pod's");
    assert_eq!(pid(Namespace::Pod, None, None).unwrap(), own);
    assert_eq!(
        pid(Namespace::Pod, Some(NamespaceMode::Container), None).unwrap(),
        own,
        "the shim is told that it is new"
    );
    assert_eq!(pid(Namespace::Node, Some(NamespaceMode::Pod), None).unwrap(), None);
    assert_eq!(pid(Namespace::Node, Some(NamespaceMode::Node), None).unwrap(), None);
    assert!(pid(Namespace::Container, Some(NamespaceMode::Node), None).is_err(), "the pod decides");
    let joined = pid(Namespace::Container, Some(NamespaceMode::Target), Some(42)).unwrap();
    assert_eq!(joined, Some("/proc/42/ns/pid".into()));
    assert!(pid(Namespace::Container, Some(NamespaceMode::Target), None).is_err());
}
