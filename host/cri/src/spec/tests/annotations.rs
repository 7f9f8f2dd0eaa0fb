use std::collections::BTreeMap;

use glob::Pattern;

use super::Case;

#[test]
fn a_runtime_is_told_of_the_annotations_that_are_for_it() {
    let mut case = Case::new();
    case.passed.pod = vec![Pattern::new("run.oci.*").unwrap()];
    case.passed.container = vec![Pattern::new("run.oci.handler").unwrap(), Pattern::new("*").unwrap()];
    let put = |annotations: &mut BTreeMap<String, String>, all: &[(&str, &str)]| {
        annotations.extend(all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    };
    put(&mut case.pod_config.annotations, &[("run.oci.handler", "pods"), ("run.oci.keep", "1"), ("other", "no")]);
    let forged = ("io.kubernetes.cri.sandbox-id", "forged");
    put(&mut case.config.annotations, &[("run.oci.handler", "containers"), ("with/slash", "no"), forged]);
    let spec = case.build().unwrap();
    let said = |key: &str| spec.annotations().as_ref().unwrap().get(key).map(String::as_str);
    assert_eq!((said("run.oci.handler"), said("run.oci.keep")), (Some("containers"), Some("1")));
    assert_eq!((said("other"), said("with/slash")), (None, None), "a star ends at a slash");
    assert_eq!(said("io.kubernetes.cri.sandbox-id"), Some("pod-id"));
}
