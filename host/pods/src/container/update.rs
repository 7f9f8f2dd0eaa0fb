use std::{fs, path::Path, time::Duration};

use oci_spec::runtime::{LinuxResources, Spec};
use serde_json::Value;
use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::{Container, record::Stage};
use crate::{Pods, entry::ContainerEntry, inner::Inner, pod::blocking};

/// How long the news of an end takes at most.
const NEWS: Duration = Duration::from_secs(2);

impl Pods {
    /// Changes limits of a container; those that are not named stay. All of it or nothing: where one cannot be set,
    /// those before it are set back. Of one that has ended only what its specification says is changed: who sees to
    /// limits meets containers that end just then.
    ///
    /// # Errors
    ///
    /// `NotFound`; `FailedPrecondition` while it is removed; `Unsupported` for a limit that this node does not have;
    /// else what the kernel says.
    pub async fn update_container(&self, id: &str, limits: LinuxResources) -> Result<()> {
        let entry = self.inner.recovered_entry(id).await?;
        let (inner, what) = (self.inner.clone(), format!("update container {}", entry.row().id));
        self.inner
            .detached(what, Duration::ZERO, async move {
                let _life = entry.life.take().await;
                let id = entry.row().id;
                inner.update_limits(&entry, limits).await.step(|| format!("update container {id}"))
            })
            .await
    }
}

// === impl Inner ===

impl Inner {
    async fn update_limits(&self, entry: &ContainerEntry, limits: LinuxResources) -> Result<()> {
        let container = entry.row();
        let bundle = container.bundle(&self.pods_dir());
        let folder = bundle.clone();
        let (spec, changed) = blocking("read its specification", move || {
            let spec = read(&folder)?;
            let changed = with_limits(&spec, &limits)?;
            Ok((spec, changed))
        })
        .await?;
        match container.stage {
            // The limits of the one are set when it starts, the other has none any more.
            Stage::Created | Stage::Exited => {}
            Stage::Starting | Stage::Running => match self.apply(&container, &spec, &changed).await {
                Err(error) if !ends_meanwhile(entry, &error).await => return Err(error),
                _ => {}
            },
            Stage::Making | Stage::Removing => {
                return Err(Error::new(Kind::FailedPrecondition, "it is being made or removed"));
            }
        }
        blocking("write its specification", move || write(&bundle, &changed)).await
    }

    async fn apply(&self, container: &Container, before: &Spec, after: &Spec) -> Result<()> {
        let shim = self.pod_entry(&container.pod_id)?.shim().await?;
        let Err(error) = shim.update(&container.id, &limits_of(after)).await else { return Ok(()) };
        // A limit that was not there before cannot be taken back by leaving it out.
        if let Err(undo) = shim.update(&container.id, &or_unlimited(limits_of(before), &limits_of(after))).await {
            tracing::error!(container = %container.id, error = %undo, "set limits back after a failed update");
        }
        Err(error)
    }
}

/// Whether the shim has nothing to set limits of because the container has just ended.
async fn ends_meanwhile(entry: &ContainerEntry, error: &Error) -> bool {
    let gone = error.is_not_found() || error.kind() == Kind::FailedPrecondition;
    // Its end may not be in the books yet.
    gone && tokio::time::timeout(NEWS, entry.ended()).await.is_ok()
}

/// The specification's limits, without the devices: no update changes those.
fn limits_of(spec: &Spec) -> LinuxResources {
    let limits = spec.linux().as_ref().and_then(|linux| linux.resources().clone());
    let mut limits = limits.unwrap_or_default();
    limits.set_devices(None);
    limits
}

/// Field by field: what is named takes the place of what was.
fn with_limits(spec: &Spec, limits: &LinuxResources) -> Result<Spec> {
    let encode = |resources: &LinuxResources| serde_json::to_value(resources).step(|| "encode its limits".into());
    let mut linux = spec.linux().clone().unwrap_or_default();
    let mut merged = encode(linux.resources().as_ref().unwrap_or(&LinuxResources::default()))?;
    merge(&mut merged, encode(limits)?);
    linux.set_resources(Some(serde_json::from_value(merged).step(|| "decode its limits".into())?));
    let mut changed = spec.clone();
    changed.set_linux(Some(linux));
    Ok(changed)
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (into, from) => *into = from,
    }
}

/// `before`, and no limit where only `after` has one.
fn or_unlimited(mut before: LinuxResources, after: &LinuxResources) -> LinuxResources {
    if let Some(memory) = after.memory() {
        let mut old = before.memory().unwrap_or_default();
        old.set_limit(old.limit().or(memory.limit().and(Some(-1))));
        old.set_swap(old.swap().or(memory.swap().and(Some(-1))));
        before.set_memory(Some(old));
    }
    if let Some(cpu) = after.cpu() {
        let mut old = before.cpu().clone().unwrap_or_default();
        old.set_quota(old.quota().or(cpu.quota().and(Some(-1))));
        old.set_shares(old.shares().or(cpu.shares().and(Some(1024))));
        before.set_cpu(Some(old));
    }
    before
}

fn read(bundle: &Path) -> Result<Spec> {
    let path = bundle.join("config.json");
    let text = fs::read(&path).step(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&text).step(|| format!("read {}", path.display()))
}

/// Whole or not at all: a container that is started, or shown, reads it.
fn write(bundle: &Path, spec: &Spec) -> Result<()> {
    let (path, new) = (bundle.join("config.json"), bundle.join(".config.json.new"));
    let text = serde_json::to_vec(spec).step(|| format!("encode {}", path.display()))?;
    fs::write(&new, text).and_then(|()| fs::rename(&new, &path)).step(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resources(value: Value) -> LinuxResources {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_is_not_named_stays() {
        let mut spec = Spec::default();
        let mut linux = spec.linux().clone().unwrap();
        linux.set_resources(Some(resources(json!({
            "memory": { "limit": 100, "swap": 100 }, "cpu": { "shares": 2 }, "devices": [{ "allow": false, "access": "rwm" }],
        }))));
        spec.set_linux(Some(linux));
        let changed = with_limits(&spec, &resources(json!({ "memory": { "limit": 200, "swap": 200 } }))).unwrap();
        let limits = changed.linux().as_ref().unwrap().resources().clone().unwrap();
        assert_eq!(limits.memory().as_ref().unwrap().limit(), Some(200));
        assert_eq!(limits.cpu().as_ref().unwrap().shares(), Some(2));
        assert_eq!(limits.devices().as_ref().unwrap().len(), 1);
        assert_eq!(limits_of(&changed).devices(), &None);
    }

    #[test]
    fn a_limit_that_is_new_is_taken_back_by_none() {
        let after = resources(json!({ "memory": { "limit": 200 }, "cpu": { "quota": 5000 } }));
        let back = or_unlimited(resources(json!({ "cpu": { "quota": 7 } })), &after);
        assert_eq!(back.memory().as_ref().unwrap().limit(), Some(-1));
        assert_eq!(back.cpu().as_ref().unwrap().quota(), Some(7));
    }
}
