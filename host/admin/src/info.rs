//! What the node has, what it lacks, and what that costs.

use std::{fs, path::Path};

use tonic::Status;
use wharf_cgroups::{Controller, Hierarchies, Mode};
use wharf_cri::to_status;
use wharf_error::{Error, Result, ResultExt as _};
use wharf_network::Networks;
use wharf_plugins::{PluginState, Plugins};

use crate::proto::{Fact, Feature, InfoReply};

/// The kernel that everything here is made for, at least.
const FLOOR: (u32, u32) = (5, 14);

/// What the daemon knows of itself.
#[derive(Clone, Debug, Default)]
pub struct NodeInfo {
    /// Name and value, in the order to be shown: folders, sockets, the snapshotter.
    pub facts: Vec<(String, String)>,
}

pub(crate) async fn reply(node: &NodeInfo, plugins: &Plugins, networks: &Networks) -> Result<InfoReply, Status> {
    let mut facts: Vec<_> = node.facts.iter().map(|(name, value)| fact(name, value)).collect();
    facts.push(fact("plugins", &loaded(plugins)));
    let network = networks.status().await;
    facts.push(fact(
        "pod network",
        &if network.ready { network.message } else { format!("not ready: {}", network.message) },
    ));
    let looked = tokio::task::spawn_blocking(look).await.step(|| "look at this node".into());
    let (seen, features) = looked.and_then(|looked| looked).map_err(|error| to_status(&error))?;
    facts.extend(seen);
    Ok(InfoReply { facts, features })
}

fn loaded(plugins: &Plugins) -> String {
    let all = plugins.list();
    let ready = all.iter().filter(|plugin| matches!(plugin.state, PluginState::Ready(_))).count();
    let names: Vec<_> = all.iter().map(|plugin| plugin.name.as_str()).collect();
    format!("{ready} of {} ready: {}", all.len(), names.join(" "))
}

/// Reads what the kernel shows. Blocks.
fn look() -> Result<(Vec<Fact>, Vec<Feature>)> {
    let cgroups = Hierarchies::detect()?;
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy().into_owned();
    let mode = match cgroups.mode() {
        Mode::V1 => "v1",
        Mode::Hybrid => "hybrid: limits by v1",
        Mode::V2 => "v2",
    };
    let controllers = cgroups.controllers();
    let names: Vec<_> = controllers.iter().map(ToString::to_string).collect();
    let facts = vec![
        fact("kernel", &release),
        fact("architecture", &uname.machine().to_string_lossy()),
        fact("cgroups", mode),
        fact("controllers", &names.join(" ")),
    ];
    let version = version(&release)?;
    let mut features = kernel(version);
    for controller in [Controller::Cpu, Controller::Memory, Controller::Pids, Controller::Cpuset, Controller::Hugetlb] {
        features.push(Feature {
            name: format!("{controller} controller"),
            there: controllers.contains(&controller),
            note: match controller {
                Controller::Hugetlb => "limits of huge pages are left out without it",
                Controller::Cpuset => "containers that are bound to processors are refused without it",
                _ => "limits by it are refused without it",
            }
            .to_owned(),
        });
    }
    Ok((facts, features))
}

fn kernel(version: (u32, u32)) -> Vec<Feature> {
    let has = |path: &str| Path::new(path).exists();
    let reads = |path: &str, wanted: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() == wanted);
    let file_systems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let fs = |name: &str| file_systems.lines().any(|line| line.split_whitespace().last() == Some(name));
    let swap = fs::read_to_string("/proc/swaps").is_ok_and(|text| text.lines().count() > 1);
    let userns = fs::read_to_string("/proc/sys/user/max_user_namespaces").is_ok_and(|text| text.trim() != "0");
    let resource = capabilities().is_some_and(|set| set & (1 << CAP_SYS_RESOURCE) != 0);
    [
        ("kernel 5.14", version >= FLOOR, "what all of this is made for; older ones may fail anywhere"),
        ("overlayfs", fs("overlay"), "the snapshotter overlayfs cannot work without it"),
        ("layers by descriptor (6.5)", version >= (6, 5), "without it, layers are mounted by name, and fewer at once"),
        ("user namespaces", userns, "pods with hostUsers: false are refused without them"),
        ("seccomp", has("/proc/sys/kernel/seccomp"), "containers that ask for a profile are refused without it"),
        ("AppArmor", reads("/sys/module/apparmor/parameters/enabled", "Y"), "profiles are refused without it"),
        ("SELinux", has("/sys/fs/selinux/enforce"), "labels are refused without it"),
        ("pressure (PSI)", has("/proc/pressure/memory"), "stats say nothing of waiting without it"),
        ("swap", swap, "limits of swap mean nothing without it"),
        (
            "CAP_SYS_RESOURCE",
            resource,
            "without it, limits and oom_score_adj of containers cannot go beyond the daemon's own",
        ),
    ]
    .into_iter()
    .map(|(name, there, note)| Feature { name: name.to_owned(), there, note: note.to_owned() })
    .collect()
}

const CAP_SYS_RESOURCE: u32 = 24;

/// The effective set.
fn capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

fn version(release: &str) -> Result<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => Err(Error::internal(format!("the kernel's release {release:?} has no version"))),
    }
}

fn fact(name: &str, value: &str) -> Fact {
    Fact { name: name.to_owned(), value: value.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_has_a_version() {
        assert_eq!(version("6.18.44").unwrap(), (6, 18));
        assert_eq!(version("5.14.0-427.el9.x86_64").unwrap(), (5, 14));
        assert!(version("next").is_err());
    }

    #[test]
    fn this_node_can_be_looked_at() {
        let (facts, features) = look().unwrap();
        assert!(facts.iter().any(|fact| fact.name == "cgroups" && !fact.value.is_empty()));
        assert!(features.iter().any(|feature| feature.name == "overlayfs" && feature.there));
    }
}
