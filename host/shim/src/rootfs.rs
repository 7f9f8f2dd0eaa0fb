//! containerd's mounts as a root that the runtime assembles.

use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::Spec;
use wharf_error::{Error, Kind, Result, ResultExt as _};
use wharf_runtime::{RootKind, RootMount};
use wharf_shim_api::{CreateOptions, task::Mount};

/// Overlay options that change nothing for us: they are the kernel's defaults, or the mount's own business.
const HARMLESS: [&str; 6] = ["index=off", "xino=off", "redirect_dir=off", "metacopy=off", "rw", "relatime"];

/// What the mounts of a `Create` ask for. Every path must lie beneath the options' root; without mounts the
/// root is the specification's, in the bundle.
pub fn root_of(mounts: &[Mount], options: &CreateOptions, spec: &Spec, bundle: &Path) -> Result<RootMount> {
    let (kind, beneath) = match mounts {
        [] => (in_bundle(spec, bundle)?, options.root.clone().unwrap_or_else(|| "/".into())),
        [mount] => (kind_of(mount, options.volatile)?, options.root.clone().unwrap_or_else(|| "/".into())),
        _ => {
            let types: Vec<_> = mounts.iter().map(|mount| mount.type_.as_str()).collect();
            return Err(Error::new(Kind::Unsupported, format!("root of several mounts ({})", types.join(", "))));
        }
    };
    check_path("the layers' root", &beneath, Path::new("/"))?;
    let check = |path: &Path| check_path("root mount", path, &beneath);
    match &kind {
        RootKind::Bind { source, .. } | RootKind::Tree { source } => check(source)?,
        RootKind::Overlay { lowers, upper, work, .. } => {
            lowers.iter().chain(upper).chain(work).try_for_each(|path| check(path))?;
        }
    }
    let label = spec.linux().as_ref().and_then(|linux| linux.mount_label().clone());
    Ok(RootMount { kind, label: label.filter(|label| !label.is_empty()), beneath })
}

/// Lets a volatile overlay be mounted on an upper that was mounted so before.
///
/// The kernel marks such an upper and refuses it from then on, for it cannot know whether the machine
/// crashed meanwhile. We do: our containers' records do not outlive the machine's uptime, and whoever asks
/// for this container asks for what an earlier try, in this uptime, did not start.
pub fn forget_volatile(root: &RootMount) -> Result<()> {
    let RootKind::Overlay { work: Some(work), volatile: true, .. } = &root.kind else { return Ok(()) };
    // A directory with a file in it, which the kernel made: nothing of the container's is ever below `work`.
    let mark = work.join("work/incompat/volatile");
    match std::fs::remove_dir_all(&mark) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).step(|| format!("remove the mark {}", mark.display()))
        }
        _ => Ok(()),
    }
}

fn in_bundle(spec: &Spec, bundle: &Path) -> Result<RootKind> {
    let Some(root) = spec.root() else { return Err(Error::invalid("neither mounts nor root.path in config.json")) };
    Ok(RootKind::Bind { source: bundle.join(root.path()), readonly: root.readonly().unwrap_or_default() })
}

fn kind_of(mount: &Mount, volatile: bool) -> Result<RootKind> {
    match mount.type_.as_str() {
        "bind" | "rbind" | "none" => {
            let readonly = mount.options.iter().any(|option| option == "ro");
            Ok(RootKind::Bind { source: PathBuf::from(&mount.source), readonly })
        }
        "overlay" => overlay(&mount.options, volatile),
        other => Err(Error::new(Kind::Unsupported, format!("root mount of type `{other}`")).hint("bind or overlay")),
    }
}

fn overlay(options: &[String], mut volatile: bool) -> Result<RootKind> {
    let (mut lowers, mut upper, mut work) = (Vec::new(), None, None);
    // The label is the specification's, which containerd writes down here too: it has commas of its own.
    let options = options.iter().filter(|option| !option.starts_with("context="));
    for option in options.flat_map(|option| split(option, ',')) {
        match option.split_once('=') {
            Some(("lowerdir", list)) => lowers = split(list, ':').map(|path| unescape(&path)).collect(),
            Some(("upperdir", path)) => upper = Some(unescape(path)),
            Some(("workdir", path)) => work = Some(unescape(path)),
            None if option == "volatile" => volatile = true,
            None if option == "ro" => {}
            _ if HARMLESS.contains(&option.as_str()) => {}
            _ => return Err(Error::new(Kind::Unsupported, format!("overlay option `{option}`"))),
        }
    }
    if lowers.is_empty() || upper.is_some() != work.is_some() {
        return Err(Error::invalid("overlay: lowerdir is needed, and upperdir goes with workdir"));
    }
    Ok(RootKind::Overlay { lowers, upper, work, volatile })
}

/// Splits where the separator is not escaped by a backslash; the escapes stay.
fn split(text: &str, separator: char) -> impl Iterator<Item = String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == separator && !escaped {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    parts.into_iter().filter(|part| !part.is_empty())
}

fn unescape(text: &str) -> PathBuf {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    PathBuf::from(out)
}

/// By names alone; the runtime opens it beneath the root without following symlinks.
fn check_path(what: &str, path: &Path, beneath: &Path) -> Result<()> {
    let bad = |why: &str| Err(Error::new(Kind::PermissionDenied, format!("{what}: {} {why}", path.display())));
    if !path.is_absolute() {
        return bad("is not absolute");
    }
    if path.components().any(|part| matches!(part, Component::ParentDir)) {
        return bad("has `..` in it");
    }
    if !path.starts_with(beneath) {
        return bad(&format!("is not beneath {}", beneath.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(type_: &str, source: &str, options: &[&str]) -> Mount {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        Mount { type_: type_.into(), source: source.into(), options, ..Mount::default() }
    }

    fn root(mount: Mount) -> Result<RootMount> {
        let options = CreateOptions { root: Some("/layers".into()), ..CreateOptions::default() };
        root_of(&[mount], &options, &Spec::default(), Path::new("/bundle"))
    }

    #[test]
    fn overlays_are_read_with_their_escapes() {
        let found = root(mount(
            "overlay",
            "overlay",
            &[
                "index=off",
                r"lowerdir=/layers/2/fs:/layers/a\:b/fs",
                "upperdir=/layers/3/fs,workdir=/layers/3/work",
                "volatile",
                r#"context="system_u:object_r:container_file_t:s0:c1,c2""#,
            ],
        ));
        let RootKind::Overlay { lowers, upper, work, volatile } = found.unwrap().kind else { panic!("no overlay") };
        assert_eq!(lowers, [Path::new("/layers/2/fs"), Path::new("/layers/a:b/fs")]);
        assert_eq!(upper.as_deref(), Some(Path::new("/layers/3/fs")));
        assert_eq!(work.as_deref(), Some(Path::new("/layers/3/work")));
        assert!(volatile);
    }

    #[test]
    fn binds_may_be_read_only() {
        let kind = |options: &[&str]| root(mount("bind", "/layers/1", options)).unwrap().kind;
        assert!(matches!(kind(&["rbind", "ro"]), RootKind::Bind { readonly: true, .. }));
        assert!(matches!(kind(&["rbind", "rw"]), RootKind::Bind { readonly: false, .. }));
    }

    #[test]
    fn paths_outside_are_refused_and_unknown_things_named() {
        for outside in ["/etc", "/layers/../etc", "layers/1", "/layersx"] {
            let error = root(mount("bind", outside, &[])).unwrap_err();
            assert_eq!(error.kind(), Kind::PermissionDenied, "{outside}");
            assert!(error.to_string().contains(outside), "{error}");
        }
        for lower in ["lowerdir=/layers/1:/etc", "lowerdir=/layers/1,upperdir=/etc,workdir=/layers/w"] {
            assert_eq!(root(mount("overlay", "", &[lower])).unwrap_err().kind(), Kind::PermissionDenied);
        }
        for (bad, word) in [
            (mount("zfs", "tank/a", &[]), "zfs"),
            (mount("overlay", "", &["lowerdir=/layers/1", "lowerdir+=/x"]), "lowerdir+"),
        ] {
            let error = root(bad).unwrap_err();
            assert_eq!(error.kind(), Kind::Unsupported);
            assert!(error.to_string().contains(word), "{error}");
        }
        assert_eq!(root(mount("overlay", "", &["upperdir=/layers/1"])).unwrap_err().kind(), Kind::InvalidArgument);
    }
}
