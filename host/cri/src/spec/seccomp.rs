use std::{fs::OpenOptions, io::Read as _, os::unix::fs::OpenOptionsExt as _, path::Path};

use oci_spec::runtime::{Capabilities, LinuxCapabilities, LinuxSeccomp};
use wharf_api::cri::{SecurityProfile, security_profile::ProfileType};
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_seccomp::{Architecture, Circumstances, compile, default_profile, parse};

use super::{Input, profile::profile_type};

const FIELD: &str = "linux.security_context.seccomp";

/// The largest file that is read as a profile.
const LARGEST: u64 = 4 << 20;

/// What a container's system calls are filtered by; nothing where it asks for nothing, or is privileged.
pub(super) fn build(input: &Input<'_>, capabilities: Option<&LinuxCapabilities>) -> Result<Option<LinuxSeccomp>> {
    let security = input.security();
    if security.privileged {
        return Ok(None);
    }
    let bounding = capabilities.and_then(|sets| sets.bounding().clone()).unwrap_or_default();
    let asked = match &security.seccomp {
        Some(profile) => new_form(profile)?,
        None => old_form(&security.seccomp_profile_path)?,
    };
    match asked {
        Asked::Unconfined => Ok(None),
        Asked::Default => Ok(Some(default_profile(&bounding))),
        Asked::File(path) => {
            let profile = read(path, &bounding, &input.node.kernel);
            profile.map(Some).step(|| format!("{FIELD}: profile {path}"))
        }
    }
}

enum Asked<'a> {
    Unconfined,
    Default,
    File(&'a str),
}

fn new_form(profile: &SecurityProfile) -> Result<Asked<'_>> {
    Ok(match profile_type(FIELD, profile)? {
        ProfileType::Unconfined => Asked::Unconfined,
        ProfileType::RuntimeDefault => Asked::Default,
        ProfileType::Localhost => Asked::File(local(&profile.localhost_ref)),
    })
}

/// The deprecated field says it by a word.
fn old_form(word: &str) -> Result<Asked<'_>> {
    match word {
        "" | "unconfined" => Ok(Asked::Unconfined),
        "runtime/default" | "docker/default" => Ok(Asked::Default),
        word if word.starts_with(LOCAL) => Ok(Asked::File(local(word))),
        other => Err(Error::invalid(format!("{FIELD}_profile_path: {other:?} is no profile"))
            .hint("it is one of unconfined, runtime/default and localhost/PATH")),
    }
}

const LOCAL: &str = "localhost/";

fn local(name: &str) -> &str {
    name.strip_prefix(LOCAL).unwrap_or(name)
}

/// A profile that the kernel could not take is told here, by its file, and not when the container is made.
fn read(path: &str, capabilities: &Capabilities, kernel: &str) -> Result<LinuxSeccomp> {
    if !Path::new(path).is_absolute() {
        return Err(Error::invalid("the path is not absolute").hint("name the profile by its whole path on the node"));
    }
    let missing = || "read it".to_owned();
    let mut json = Vec::new();
    // A FIFO would keep us waiting.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path);
    let file = file.step_as(Kind::InvalidArgument, missing)?;
    if !file.metadata().step(missing)?.is_file() {
        return Err(Error::invalid("it is no file"));
    }
    file.take(LARGEST + 1).read_to_end(&mut json).step(missing)?;
    if u64::try_from(json.len()).is_ok_and(|length| length > LARGEST) {
        return Err(Error::invalid(format!("it is larger than {LARGEST} bytes")));
    }
    let profile = parse(&json, Circumstances { capabilities, architecture: Architecture::NATIVE, kernel })?;
    compile(&profile, Architecture::NATIVE)?;
    Ok(profile)
}
