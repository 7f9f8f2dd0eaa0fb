use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use wharf_error::{Error, Kind, Result};

use crate::percent;

/// The length at which a log line is cut when nobody says otherwise, bytes.
pub const DEFAULT_MAX_LINE: usize = 16 * 1024;

/// The shortest and longest cut that is accepted, bytes: below, tags outweigh text; above, one
/// container's line would be a great part of a shim's memory.
const MAX_LINE_BOUNDS: std::ops::RangeInclusive<usize> = 16..=1024 * 1024;

/// Where one of a process's standard streams goes: `stdin`, `stdout` and `stderr` of Task's requests.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub enum Stdio {
    /// `""`: `/dev/null`.
    #[default]
    Null,
    /// `/path` or `fifo:///path`: a FIFO that the caller made. The plain form is never escaped.
    Fifo(PathBuf),
    /// `cri:///path?max-line=BYTES`: a log file in CRI's format, which the shim itself writes.
    CriLog {
        /// The log file; made when absent, appended to otherwise.
        path: PathBuf,
        /// Longer lines are cut and tagged as partial, bytes.
        max_line: usize,
    },
    /// `file:///path`: the bytes as they come, appended.
    File(PathBuf),
    /// `attach:///` or `attach:///?once`: the shim holds the other end. Input comes from whoever is attached
    /// ([`Streams`](crate::Streams)), and ends with the first that closes its own when `once` is set; output goes to
    /// whoever is attached, and nowhere else.
    Attach {
        /// For input: the first client's end is the end.
        once: bool,
    },
}

// === impl Stdio ===

impl Stdio {
    /// A CRI log with the usual line length.
    pub fn cri_log(path: impl Into<PathBuf>) -> Self {
        Self::CriLog { path: path.into(), max_line: DEFAULT_MAX_LINE }
    }

    /// Reads what `Display` prints. `InvalidArgument` for what cannot be a stream, `Unsupported` for
    /// schemes of the protocol that this shim does not have (`binary://`).
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = |why: &str| Error::invalid(format!("stdio `{text}`: {why}"));
        if text.is_empty() {
            return Ok(Self::Null);
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return if text.contains('\0') {
                Err(invalid("the path has a zero byte"))
            } else if text.starts_with('/') {
                Ok(Self::Fifo(PathBuf::from(text)))
            } else {
                Err(invalid("not an absolute path and not a URI"))
            };
        };
        // `/a://b` is a path whose folder is named `a:`.
        if scheme.starts_with('/') {
            return Ok(Self::Fifo(PathBuf::from(text)));
        }
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = percent::decode(path).ok_or_else(|| invalid("a broken percent escape"))?;
        if !path.is_absolute() {
            return Err(invalid("the path is not absolute"));
        }
        match scheme {
            "attach" => match query {
                "" => Ok(Self::Attach { once: false }),
                "once" => Ok(Self::Attach { once: true }),
                _ => Err(invalid("the only parameter is once")),
            },
            "fifo" => Ok(Self::Fifo(path)),
            "file" => Ok(Self::File(path)),
            "cri" => {
                let max_line = match query.strip_prefix("max-line=") {
                    None if query.is_empty() => DEFAULT_MAX_LINE,
                    None => return Err(invalid("the only parameter is max-line")),
                    Some(number) => number.parse().map_err(|_| invalid("max-line is not a number"))?,
                };
                if !MAX_LINE_BOUNDS.contains(&max_line) {
                    return Err(invalid("max-line is not between 16 and 1048576 bytes"));
                }
                Ok(Self::CriLog { path, max_line })
            }
            _ => Err(Error::new(Kind::Unsupported, format!("stdio `{text}`: no stream of scheme {scheme}"))),
        }
    }

    /// The file it names.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Null | Self::Attach { .. } => None,
            Self::Fifo(path) | Self::File(path) | Self::CriLog { path, .. } => Some(path),
        }
    }
}

impl fmt::Display for Stdio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Fifo(path) => match path.to_str() {
                Some(plain) => f.write_str(plain),
                None => write!(f, "fifo://{}", percent::encode(path)),
            },
            Self::CriLog { path, max_line } => write!(f, "cri://{}?max-line={max_line}", percent::encode(path)),
            Self::File(path) => write!(f, "file://{}", percent::encode(path)),
            Self::Attach { once: false } => f.write_str("attach:///"),
            Self::Attach { once: true } => f.write_str("attach:///?once"),
        }
    }
}

impl FromStr for Stdio {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

    #[test]
    fn what_is_printed_is_read_again() {
        let odd = PathBuf::from(OsString::from_vec(b"/l\xffg/a b?c#d%25".to_vec()));
        for stdio in [
            Stdio::Null,
            Stdio::Fifo("/run/a%20b".into()),
            Stdio::Fifo("/a://b".into()),
            Stdio::Fifo(odd.clone()),
            Stdio::File(odd.clone()),
            Stdio::CriLog { path: odd, max_line: 77 },
            Stdio::cri_log("/var/log/pods/x/0.log"),
            Stdio::Attach { once: false },
            Stdio::Attach { once: true },
        ] {
            assert_eq!(Stdio::parse(&stdio.to_string()).unwrap(), stdio, "{stdio}");
        }
        assert_eq!(
            Stdio::cri_log("/l/0.log").to_string(),
            "cri:///l/0.log?max-line=16384",
            "what foreign tools may rely on"
        );
    }

    #[test]
    fn bad_streams_are_refused_with_their_text() {
        for bad in [
            "relative",
            "cri://relative",
            "cri:///a?max-line=x",
            "cri:///a?max-line=1",
            "cri:///a?max-line=99999999",
            "cri:///a?other=1",
            "attach:///?twice",
            "file:///a%2",
        ] {
            let error = Stdio::parse(bad).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidArgument, "{bad}");
            assert!(error.to_string().contains(bad), "{error}");
        }
        assert_eq!(Stdio::parse("binary:///usr/bin/logger").unwrap_err().kind(), Kind::Unsupported);
    }
}
