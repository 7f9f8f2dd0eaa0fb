//! One shim a pod, also where the daemon asks for one a container: containerd's CRI starts one for each, and says in the
//! container's specification whose it is.

use std::{collections::HashMap, fs, path::PathBuf};

use serde::Deserialize;

use crate::args::Args;

/// Which pod a container is of, in the order in which they are looked for: what containerd's own shim reads.
const GROUPS: [&str; 2] = ["io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id"];

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    annotations: HashMap<String, String>,
}

/// The bundle, beside this one, of the container whose shim is this one's too; `None` for one by itself or the first of its
/// pod.
pub fn leader(args: &Args) -> Option<PathBuf> {
    let text = fs::read(args.bundle.join("config.json")).ok()?;
    let config: Config = serde_json::from_slice(&text).ok()?;
    let group = GROUPS.iter().find_map(|name| config.annotations.get(*name))?;
    // The daemon names the bundles; who writes the annotation may not name another place.
    let plain = !group.is_empty() && !group.contains('/') && !matches!(group.as_str(), "." | "..");
    (plain && *group != args.id).then(|| args.bundle.with_file_name(group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_led_by_its_pods_first() {
        let folder = tempfile::tempdir().unwrap();
        let bundle = folder.path().join("web");
        fs::create_dir(&bundle).unwrap();
        let args = Args { id: "web".into(), bundle: bundle.clone(), ..Args::default() };
        assert_eq!(leader(&args), None, "no specification");
        let led_by = |annotations: &str| {
            fs::write(bundle.join("config.json"), format!(r#"{{"annotations":{annotations}}}"#)).unwrap();
            leader(&args)
        };
        assert_eq!(led_by("{}"), None);
        assert_eq!(led_by(r#"{"io.kubernetes.cri.sandbox-id":"web"}"#), None);
        assert_eq!(led_by(r#"{"io.kubernetes.cri.sandbox-id":"pod"}"#), Some(folder.path().join("pod")));
        assert_eq!(led_by(r#"{"io.kubernetes.cri.sandbox-id":"../pod"}"#), None);
    }
}
