use std::{collections::HashSet, ffi::CString, io, path::Path};

use oci_spec::runtime::{Hook, Process};
use wharf_error::{Error, Kind, Result};

use super::c_string;
use crate::{child::ExecImage, hooks::arguments, sys::PointerList};

/// Prepares what is executed: the arguments, the environment with `home` where it has none, and the paths to try;
/// `program` where that is another than the first argument.
pub(super) fn image(process: &Process, home: &str, program: Option<&Path>) -> Result<ExecImage> {
    let args = process.args().as_deref().unwrap_or_default();
    let Some(name) = args.first().filter(|name| !name.is_empty()) else {
        return Err(Error::invalid("process.args is empty: there is nothing to execute"));
    };
    let arguments = args.iter().map(|arg| c_string("argument", arg)).collect::<Result<_>>()?;
    let variables = process.env().as_deref().unwrap_or_default();
    let last = last_of_each(variables);
    let mut environment = last.iter().map(|v| c_string("environment variable", v)).collect::<Result<Vec<_>>>()?;
    if !variables.iter().any(|variable| variable.starts_with("HOME=")) {
        environment.push(c_string("environment variable", format!("HOME={home}"))?);
    }
    Ok(ExecImage {
        candidates: match program {
            Some(path) => vec![c_string("program", path)?].into(),
            None => candidates(name, variables)?.into(),
        },
        arguments: PointerList::new(arguments),
        environment: PointerList::new(environment),
    })
}

/// The same for a hook: its own path, arguments and environment, and nothing beside.
pub(crate) fn hook_image(hook: &Hook) -> Result<ExecImage> {
    let arguments = arguments(hook).iter().map(|arg| c_string("argument", arg)).collect::<Result<_>>()?;
    let variables = hook.env().iter().flatten().map(|v| c_string("environment variable", v)).collect::<Result<_>>()?;
    Ok(ExecImage {
        candidates: vec![c_string("path", hook.path())?].into(),
        arguments: PointerList::new(arguments),
        environment: PointerList::new(variables),
    })
}

/// The paths that are tried for a process's program.
pub(crate) fn program_candidates(process: &Process) -> Result<Vec<CString>> {
    let variables = process.env().as_deref().unwrap_or_default();
    candidates(&program_name(process), variables)
}

/// What a process is told to execute.
pub(crate) fn program_name(process: &Process) -> String {
    process.args().as_ref().and_then(|args| args.first()).cloned().unwrap_or_default()
}

/// Why a program could not be executed, in the words that runc's users know.
pub(crate) fn explain_exec(name: &str, errno: i32, value: i32) -> Error {
    let reason = io::Error::from_raw_os_error(errno);
    let known = match errno {
        libc::ENOENT if value < 0 => {
            let hint = "it is there, but the interpreter or loader that it names is not";
            let text = format!("exec {name}: no such file or directory");
            return Error::new(Kind::FailedPrecondition, text).hint(hint);
        }
        libc::ENOENT if !name.contains('/') => "executable file not found in $PATH",
        libc::ENOENT => return failed(format!("exec: {name:?}: stat {name}: no such file or directory")),
        libc::EACCES | libc::EPERM => "permission denied",
        libc::EISDIR => "is a directory",
        libc::ENOTDIR => "not a directory",
        libc::ENOEXEC => return failed(format!("exec {name}: exec format error")),
        libc::E2BIG => "argument list too long",
        _ => return failed(format!("exec: {name:?}")).because(reason),
    };
    failed(format!("exec: {name:?}: {known}"))
}

fn failed(text: String) -> Error {
    Error::new(Kind::FailedPrecondition, text)
}

/// Of variables of one name the last: a program would find the first, and whoever adds one to a list means to set it.
fn last_of_each(variables: &[String]) -> Vec<&String> {
    let name = |variable: &str| variable.split_once('=').map_or(variable, |(name, _)| name).to_owned();
    let mut seen = HashSet::new();
    let mut last: Vec<_> = variables.iter().rev().filter(|variable| seen.insert(name(variable))).collect();
    last.reverse();
    last
}

/// A name with a slash is a path; any other is looked for in the container's `PATH`, in absolute directories only.
fn candidates(name: &str, environment: &[String]) -> Result<Vec<CString>> {
    if name.contains('/') {
        return Ok(vec![c_string("program", name)?]);
    }
    let path = environment.iter().rev().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or("");
    let directories = path.split(':').filter(|directory| directory.starts_with('/'));
    directories.map(|directory| c_string("program", format!("{}/{name}", directory.trim_end_matches('/')))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(args: &[&str], env: &[&str]) -> Process {
        let json = serde_json::json!({ "user": { "uid": 0, "gid": 0 }, "cwd": "/", "args": args, "env": env });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn of_variables_of_one_name_the_last_is_set() {
        let all = ["A=1", "B=2", "A=3", "bare", "A=", "C=x=y"].map(str::to_owned);
        assert_eq!(last_of_each(&all), ["B=2", "bare", "A=", "C=x=y"]);
    }

    #[test]
    fn a_name_is_looked_for_in_absolute_directories_of_path() {
        let env = ["PATH=/first", "X=1", "PATH=/usr/bin:relative::/:/bin/"].map(str::to_owned);
        let found = candidates("ls", &env).unwrap();
        assert_eq!(found, [c"/usr/bin/ls", c"/ls", c"/bin/ls"].map(CString::from));
        assert_eq!(candidates("./ls", &env).unwrap(), [CString::from(c"./ls")]);
        assert!(candidates("ls", &[]).unwrap().is_empty());
    }

    #[test]
    fn nothing_to_execute_and_nul_bytes_are_refused() {
        assert!(image(&process(&[], &[]), "/", None).is_err());
        assert!(image(&process(&[""], &[]), "/", None).is_err());
        assert!(image(&process(&["a\0b"], &[]), "/", None).is_err());
        assert!(image(&process(&["a"], &["X=\0"]), "/", None).is_err());
    }

    #[test]
    fn errors_read_like_runc_s() {
        let (name, path) = ("foo", "/foo");
        let text = |name: &str, errno, value| explain_exec(name, errno, value).to_string();
        assert_eq!(text(name, libc::ENOENT, 0), r#"exec: "foo": executable file not found in $PATH"#);
        assert_eq!(text(path, libc::ENOENT, 0), r#"exec: "/foo": stat /foo: no such file or directory"#);
        assert_eq!(text(path, libc::EACCES, 0), r#"exec: "/foo": permission denied"#);
        assert!(text(path, libc::ENOENT, -1).starts_with("exec /foo: no such file or directory ("));
        assert_eq!(text(path, libc::ENOEXEC, 0), "exec /foo: exec format error");
    }
}
