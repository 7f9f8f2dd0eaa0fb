use std::path::PathBuf;

use oci_spec::runtime::Process;
use wharf_error::{Error, Result};

use super::{Input, apparmor, capabilities, env, resources, selinux, user};

pub(super) fn build(input: &Input<'_>) -> Result<Process> {
    let mut process = Process::default();
    process
        .set_terminal(Some(input.config.tty))
        .set_user(user::build(input)?)
        .set_args(Some(args(input)?))
        .set_env(Some(env::build(input)?))
        .set_cwd(cwd(input)?)
        .set_capabilities(Some(capabilities::build(input)?))
        // The shim's own limits are inherited: the node's owner sets them.
        .set_rlimits(None)
        .set_apparmor_profile(apparmor::build(input)?)
        .set_selinux_label(selinux::build(input)?.map(|labels| labels.process))
        .set_no_new_privileges(Some(input.security().no_new_privs))
        .set_oom_score_adj(resources::oom_score_adj(input)?);
    Ok(process)
}

/// Kubernetes' rule: `command` takes the place of the image's entrypoint and, with it, of its default arguments;
/// `args` takes the place of the arguments alone.
fn args(input: &Input<'_>) -> Result<Vec<String>> {
    let (mut command, mut args) = (input.config.command.clone(), input.config.args.clone());
    if command.is_empty() {
        if args.is_empty() {
            args = input.image.cmd().clone().unwrap_or_default();
        }
        // Some builders write an entrypoint of one empty string to say that there is none.
        command = input.image.entrypoint().clone().filter(|entry| entry[..] != [""]).unwrap_or_default();
    }
    command.append(&mut args);
    if command.is_empty() {
        return Err(Error::invalid("no command specified").hint("neither the container nor its image names one"));
    }
    if command.iter().any(|word| word.contains('\0')) {
        return Err(Error::invalid("command: an argument has a NUL"));
    }
    Ok(command)
}

fn cwd(input: &Input<'_>) -> Result<PathBuf> {
    let of_image = input.image.working_dir().as_deref().unwrap_or_default();
    let asked = [input.config.working_dir.as_str(), of_image, "/"].into_iter().find(|dir| !dir.is_empty());
    let cwd = PathBuf::from(asked.unwrap_or("/"));
    if cwd.is_absolute() { Ok(cwd) } else { Err(Error::invalid(format!("working_dir {cwd:?} is not absolute"))) }
}
