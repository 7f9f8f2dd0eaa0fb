use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use wharf_error::{Error, Result, ResultExt as _};

/// The program's name, by which containerd finds the runtime `io.containerd.wharf.v1`.
pub const NAME: &str = "containerd-shim-wharf-v1";

/// The command line of the shim v2 protocol.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Args {
    pub namespace: String,
    pub id: String,
    /// The daemon's gRPC socket; events go to `<address>.ttrpc`.
    pub address: String,
    pub bundle: PathBuf,
    /// The daemon's own program, by which events are told where there is no socket for them.
    pub publish_binary: PathBuf,
    pub debug: bool,
    /// The listening socket that `start` hands to the server.
    pub socket_fd: Option<i32>,
    /// The lock of the bundle that `start` hands to the server.
    pub lock_fd: Option<i32>,
    pub action: Action,
}

/// What to do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Action {
    /// Start a server for the pod and print its address.
    #[default]
    Start,
    /// Clean up after a server that is gone.
    Delete,
    /// Be the server; only `start` calls this.
    Serve,
    /// Print what can be done on this node and with roots in the folder `-bundle`.
    Features,
    Version,
    /// Print what this runtime is and can do, as containerd's `RuntimeInfo`.
    Info,
}

// === impl Args ===

impl Args {
    /// Reads the flags in Go's style (`-id X`, `-id=X`, `--id X`) and the action.
    pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Self> {
        let mut parsed = Self::default();
        let mut action = None;
        let mut args = args.map(|arg| arg.into_string().map_err(|arg| not_text(&arg)));
        while let Some(arg) = args.next().transpose()? {
            let Some(flag) = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')) else {
                action = Some(match arg.as_str() {
                    "start" => Action::Start,
                    "delete" => Action::Delete,
                    "serve" => Action::Serve,
                    "features" => Action::Features,
                    _ => return Err(Error::invalid(format!("unknown action `{arg}`")).hint("start or delete")),
                });
                continue;
            };
            let (name, inline) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            match name {
                "debug" => {
                    parsed.debug = inline.is_none_or(|value| value == "true");
                    continue;
                }
                "v" | "version" => {
                    parsed.action = Action::Version;
                    return Ok(parsed);
                }
                "info" => {
                    parsed.action = Action::Info;
                    return Ok(parsed);
                }
                _ => {}
            }
            let value = match inline {
                Some(value) => value,
                None => args.next().transpose()?.ok_or_else(|| Error::invalid(format!("flag -{name} has no value")))?,
            };
            match name {
                "namespace" => parsed.namespace = value,
                "id" => parsed.id = value,
                "address" => parsed.address = value,
                "bundle" => parsed.bundle = value.into(),
                "socket-fd" | "lock-fd" => {
                    let fd = value.parse().step_as(wharf_error::Kind::InvalidArgument, || format!("flag -{name}"))?;
                    *(if name == "lock-fd" { &mut parsed.lock_fd } else { &mut parsed.socket_fd }) = Some(fd);
                }
                "publish-binary" => parsed.publish_binary = value.into(),
                // Part of the protocol; the socket has its one place.
                "socket" => {}
                _ => return Err(Error::invalid(format!("unknown flag -{name}"))),
            }
        }
        parsed.action = action.ok_or_else(|| Error::invalid("no action").hint("start or delete"))?;
        if parsed.action != Action::Features && (parsed.id.is_empty() || parsed.id.contains('/')) {
            return Err(Error::invalid(format!("id `{}`: not a name", parsed.id)));
        }
        parsed.bundle = absolute(&parsed.bundle)?;
        Ok(parsed)
    }

    /// Where events are forwarded, if there is such a socket.
    pub fn events_address(&self) -> Option<String> {
        let told = std::env::var("TTRPC_ADDRESS").ok().filter(|address| !address.is_empty());
        let beside = || Some(format!("{}.ttrpc", self.address)).filter(|path| Path::new(path).exists());
        told.or_else(beside)
    }
}

fn absolute(bundle: &Path) -> Result<PathBuf> {
    let here = std::env::current_dir().step(|| "find the bundle: current directory".into())?;
    Ok(here.join(bundle).components().collect())
}

fn not_text(arg: &OsString) -> Error {
    Error::invalid(format!("argument {}: not text", arg.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args> {
        Args::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn both_spellings_of_flags_are_known() {
        let args = parse("-namespace k8s.io --id=web -address /run/x.sock -bundle /b -debug start").unwrap();
        assert_eq!((args.namespace.as_str(), args.id.as_str(), args.debug), ("k8s.io", "web", true));
        assert_eq!((args.bundle.as_path(), args.action), (Path::new("/b"), Action::Start));
        assert_eq!(parse("-id web -publish-binary /bin/c delete").unwrap().action, Action::Delete);
        assert!(parse("-id web delete").unwrap().bundle.is_absolute());
        assert_eq!(parse("-v").unwrap().action, Action::Version);
        assert_eq!(parse("-info").unwrap().action, Action::Info);
        assert_eq!(parse("-id web -publish-binary /bin/c delete").unwrap().publish_binary, Path::new("/bin/c"));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, word) in [
            ("-id web", "action"),
            ("-id web stop", "stop"),
            ("-id", "-id"),
            ("start", "id"),
            ("-id a/b start", "a/b"),
            ("-x y start", "-x"),
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}
