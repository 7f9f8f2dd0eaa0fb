//! Words to say a pod in, and to read its status.

use serde_json::{Value, json};

use crate::node::IMAGE;

/// A container that runs a shell script.
pub fn shell(name: &str, script: &str) -> Value {
    json!({ "name": name, "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", script] })
}

/// A pod's spec of these containers, which end half a second after they are told to.
pub fn spec(containers: Vec<Value>) -> Value {
    json!({ "containers": containers, "terminationGracePeriodSeconds": 2 })
}

/// `main` with a script that ends when told.
pub fn sleeper(name: &str) -> Value {
    shell(name, "trap 'exit 0' TERM; while :; do sleep 0.2; done")
}

/// The status of a container of a pod.
pub fn container<'a>(pod: &'a Value, name: &str) -> &'a Value {
    let find = |list: &'a Value| list.as_array().and_then(|all| all.iter().find(|status| status["name"] == name));
    find(&pod["status"]["containerStatuses"])
        .or_else(|| find(&pod["status"]["initContainerStatuses"]))
        .unwrap_or(&Value::Null)
}

/// Whether a container runs.
pub fn runs(pod: &Value, name: &str) -> bool {
    container(pod, name)["state"]["running"].is_object()
}

/// Whether a container is ready.
pub fn ready(pod: &Value, name: &str) -> bool {
    container(pod, name)["ready"] == true
}

/// How often a container was started again.
pub fn restarts(pod: &Value, name: &str) -> u64 {
    container(pod, name)["restartCount"].as_u64().unwrap_or(0)
}
