use wharf_api::cri::SeLinuxOption;
use wharf_error::{Error, Result};

use super::Input;

/// The labels of a container: of its processes, and of the files that are mounted for it.
pub(super) struct Labels {
    pub(super) process: String,
    pub(super) files: String,
}

/// What a container is whose pod leaves a part out.
const USER: &str = "system_u";
const ROLE: &str = "system_r";
const TYPE: &str = "container_t";
const LEVEL: &str = "s0";

/// The same of files, which all containers of a level share.
const FILE_ROLE: &str = "object_r";
const FILE_TYPE: &str = "container_file_t";

/// What the options say, each part that they leave out being the usual one. Without options, for a privileged container
/// and on a node without SELinux: no labels.
pub(super) fn build(input: &Input<'_>) -> Result<Option<Labels>> {
    let security = input.security();
    let asked = security.selinux_options.as_ref().filter(|options| **options != SeLinuxOption::default());
    let Some(options) = asked.filter(|_| input.node.selinux && !security.privileged) else { return Ok(None) };
    let user = part("user", &options.user, USER)?;
    let role = part("role", &options.role, ROLE)?;
    let typ = part("type", &options.r#type, TYPE)?;
    let level = level(&options.level)?;
    Ok(Some(Labels {
        process: format!("{user}:{role}:{typ}:{level}"),
        files: format!("{user}:{FILE_ROLE}:{FILE_TYPE}:{level}"),
    }))
}

fn part<'a>(field: &str, asked: &'a str, usual: &'a str) -> Result<&'a str> {
    match asked {
        "" => Ok(usual),
        word if word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')) => Ok(word),
        other => Err(wrong(field, other)),
    }
}

/// A sensitivity and categories: `s0:c1,c2`, `s0-s0:c0.c1023`.
fn level(asked: &str) -> Result<&str> {
    match asked {
        "" => Ok(LEVEL),
        level if level.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":,.-".contains(&byte)) => Ok(level),
        other => Err(wrong("level", other)),
    }
}

fn wrong(field: &str, value: &str) -> Error {
    Error::invalid(format!("linux.security_context.selinux_options.{field}: {value:?} cannot be part of a label"))
}
