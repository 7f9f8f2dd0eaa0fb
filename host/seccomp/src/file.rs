use oci_spec::runtime::{Arch, Capabilities, Capability, LinuxSeccomp, LinuxSyscall};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use wharf_error::{Error, Kind, Result, ResultExt as _};

use crate::Architecture;

/// What the conditions of a profile are about.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// What the container may at most: its bounding set.
    pub capabilities: &'a Capabilities,
    /// The node's.
    pub architecture: Architecture,
    /// The kernel's release: `6.1.0-13-amd64`.
    pub kernel: &'a str,
}

/// Reads a profile from JSON, in the form of the OCI runtime specification or in Docker's. Docker's has for each
/// architecture those that belong to it (`archMap`), and rules that hold for some containers only (`includes`,
/// `excludes`): what is left of it here is what holds for this one.
///
/// # Errors
///
/// `InvalidArgument` for what is no profile.
pub fn parse(json: &[u8], circumstances: Circumstances<'_>) -> Result<LinuxSeccomp> {
    let mut file: Map<String, Value> = read(serde_json::from_slice(json), "it is no seccomp profile")?;
    let map: Option<Vec<Entry>> = take(&mut file, "archMap")?;
    let rules: Option<Vec<Map<String, Value>>> = take(&mut file, "syscalls")?;
    let mut profile: LinuxSeccomp = read(serde_json::from_value(file.into()), "it is no seccomp profile")?;
    if let Some(map) = map.filter(|map| !map.is_empty()) {
        if profile.architectures().as_ref().is_some_and(|list| !list.is_empty()) {
            return Err(Error::invalid("both architectures and archMap are given"));
        }
        let own = map.into_iter().find(|entry| entry.architecture == circumstances.architecture.word());
        let all = own.map(|own| std::iter::once(own.architecture).chain(own.sub_architectures.unwrap_or_default()));
        profile.set_architectures(all.map(Iterator::collect));
    }
    let rules = rules.unwrap_or_default().into_iter().map(|entry| rule(entry, circumstances));
    let holding = rules.filter_map(Result::transpose).collect::<Result<_>>()?;
    profile.set_syscalls(Some(holding));
    Ok(profile)
}

/// A rule; none where it does not hold here.
fn rule(mut entry: Map<String, Value>, circumstances: Circumstances<'_>) -> Result<Option<LinuxSyscall>> {
    let includes: Option<Condition> = take(&mut entry, "includes")?;
    let excludes: Option<Condition> = take(&mut entry, "excludes")?;
    // An old form, of one name a rule.
    if let Some(name) = take::<String>(&mut entry, "name")?.filter(|name| !name.is_empty()) {
        let names: Option<Vec<String>> = take(&mut entry, "names")?;
        if names.is_some_and(|names| !names.is_empty()) {
            return Err(Error::invalid(format!("a rule has both name {name:?} and names")));
        }
        entry.insert("names".into(), vec![name].into());
    }
    let included = includes.map_or(Ok(true), |condition| condition.includes(circumstances))?;
    let excluded = excludes.map_or(Ok(false), |condition| condition.excludes(circumstances))?;
    let call = read(serde_json::from_value(entry.into()), "a rule of syscalls")?;
    Ok(Some(call).filter(|_| included && !excluded))
}

/// Takes a field out; none where it is absent or null.
fn take<T: DeserializeOwned>(object: &mut Map<String, Value>, field: &str) -> Result<Option<T>> {
    object.remove(field).map_or(Ok(None), |value| read(serde_json::from_value(value), field))
}

fn read<T>(parsed: serde_json::Result<T>, what: &str) -> Result<T> {
    parsed.step_as(Kind::InvalidArgument, || what.to_owned())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    architecture: Arch,
    sub_architectures: Option<Vec<Arch>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

// === impl Condition ===

impl Condition {
    /// All that is named must be so.
    fn includes(&self, of: Circumstances<'_>) -> Result<bool> {
        let arches = self.arches.as_deref().unwrap_or_default();
        let mut holds = arches.is_empty() || arches.iter().any(|name| of.is(name));
        for name in self.caps.iter().flatten() {
            holds &= of.has(name)?;
        }
        if let Some(least) = &self.min_kernel {
            holds &= of.is_at_least(least)?;
        }
        Ok(holds)
    }

    /// Any of what is named suffices.
    fn excludes(&self, of: Circumstances<'_>) -> Result<bool> {
        let mut holds = self.arches.iter().flatten().any(|name| of.is(name));
        for name in self.caps.iter().flatten() {
            holds |= of.has(name)?;
        }
        if let Some(least) = &self.min_kernel {
            holds |= of.is_at_least(least)?;
        }
        Ok(holds)
    }
}

// === impl Circumstances ===

impl Circumstances<'_> {
    /// Go's names.
    fn is(self, name: &str) -> bool {
        matches!(
            (name, self.architecture),
            ("amd64", Architecture::X86_64)
                | ("x86" | "386", Architecture::X86)
                | ("x32", Architecture::X32)
                | ("arm64", Architecture::Aarch64)
                | ("arm", Architecture::Arm)
        )
    }

    fn has(self, name: &str) -> Result<bool> {
        let capability: Capability = name
            .strip_prefix("CAP_")
            .unwrap_or(name)
            .parse()
            .map_err(|_| Error::invalid(format!("a rule speaks of {name:?}, which is no capability")))?;
        Ok(self.capabilities.contains(&capability))
    }

    fn is_at_least(self, version: &str) -> Result<bool> {
        let wrong = |what: &str| Error::invalid(format!("{what:?} is no version of a kernel"));
        let least = numbers(version).ok_or_else(|| wrong(version))?;
        Ok(numbers(self.kernel).ok_or_else(|| wrong(self.kernel))? >= least)
    }
}

/// The first two of a version.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{compile, interpreter::run};

    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    const EPERM: u32 = 0x0005_0001;
    const ENOSYS: u32 = 0x0005_0026;

    const DOCKERS: &str = r#"{
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
        "archMap": [
            { "architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"] },
            { "architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"] }
        ],
        "syscalls": [
            { "names": ["read", "write"], "action": "SCMP_ACT_ALLOW", "args": null, "comment": "", "includes": {}, "excludes": {} },
            { "name": "close", "action": "SCMP_ACT_ALLOW", "args": [] },
            { "names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": { "minKernel": "4.8" } },
            { "names": ["mseal"], "action": "SCMP_ACT_ALLOW", "includes": { "minKernel": "99.0" } },
            { "names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": { "caps": ["CAP_SYS_ADMIN"] } },
            { "names": ["chroot"], "action": "SCMP_ACT_ALLOW", "includes": { "caps": ["CAP_SYS_CHROOT"] } },
            { "names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": { "arches": ["amd64", "x32"] } },
            { "names": ["brk"], "action": "SCMP_ACT_ALLOW", "includes": { "arches": ["s390x"] } },
            { "names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": { "caps": ["CAP_SYS_CHROOT"] } },
            { "names": ["socket"], "action": "SCMP_ACT_ALLOW",
              "args": [{ "index": 0, "value": 40, "valueTwo": 0, "op": "SCMP_CMP_NE" }] }
        ]
    }"#;

    fn here(capabilities: &Capabilities) -> Circumstances<'_> {
        Circumstances { capabilities, architecture: Architecture::X86_64, kernel: "6.1.0-13-amd64" }
    }

    #[test]
    fn of_docker_s_form_remains_what_holds_here() {
        let capabilities = Capabilities::from([Capability::SysChroot]);
        let profile = parse(DOCKERS.as_bytes(), here(&capabilities)).unwrap();
        let all = vec![Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32];
        assert_eq!(*profile.architectures(), Some(all));
        let filter = compile(&profile, Architecture::X86_64).unwrap();
        let answer = |name: &str, first: u64| run(&filter.program, Architecture::X86_64, name, [first, 0, 0, 0, 0, 0]);
        for name in ["read", "write", "close", "ptrace", "chroot", "arch_prctl"] {
            assert_eq!(answer(name, 0), ALLOW, "{name}");
        }
        // Newer than all that is left: hidden.
        assert_eq!(answer("mount", 0), ENOSYS);
        for name in ["brk", "clone", "open"] {
            assert_eq!(answer(name, 0), EPERM, "{name}");
        }
        assert_eq!((answer("socket", 1), answer("socket", 40)), (ALLOW, EPERM));
        assert!(!profile.syscalls().iter().flatten().any(|rule| rule.names().contains(&"mseal".to_owned())));
    }

    #[test]
    fn the_specification_s_form_is_taken_as_it_is() {
        let json = r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
            "flags": ["SECCOMP_FILTER_FLAG_LOG"], "listenerPath": "/run/agent", "listenerMetadata": "m",
            "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 18 }] }"#;
        let capabilities = Capabilities::default();
        let parsed = parse(json.as_bytes(), here(&capabilities)).unwrap();
        assert_eq!(parsed, serde_json::from_str(json).unwrap());
    }

    #[test]
    fn what_is_no_profile_is_refused() {
        let capabilities = Capabilities::default();
        for (json, words) in [
            ("", "it is no seccomp profile"),
            ("{}", "missing field `defaultAction`"),
            (r#"{ "defaultAction": "SCMP_ACT_DANCE" }"#, "SCMP_ACT_DANCE"),
            (
                r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"],
                    "archMap": [{ "architecture": "SCMP_ARCH_X86" }] }"#,
                "both architectures and archMap",
            ),
            (
                r#"{ "defaultAction": "SCMP_ACT_ALLOW",
                    "syscalls": [{ "name": "a", "names": ["b"], "action": "SCMP_ACT_ALLOW" }] }"#,
                "both name",
            ),
            (
                r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                    { "names": ["b"], "action": "SCMP_ACT_ALLOW", "includes": { "caps": ["CAP_FLY"] } }] }"#,
                "CAP_FLY",
            ),
        ] {
            let error = parse(json.as_bytes(), here(&capabilities)).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidArgument);
            assert!(error.to_string().contains(words), "{error} does not say {words:?}");
        }
    }
}
