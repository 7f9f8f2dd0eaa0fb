use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use wharf_testkit::cache_dir;

use crate::tools::run;

/// The version of crictl and critest.
pub const CRI_TOOLS_VERSION: &str = "v1.36.0";
/// The version of the kubelet.
pub const KUBELET_VERSION: &str = "v1.36.0";
const KUBERNETES: &str = "k8s.io/kubernetes";
const CRI_TOOLS: &str = "sigs.k8s.io/cri-tools";
const GINKGO: &str = "github.com/onsi/ginkgo/v2";

/// Builds crictl into the cache.
pub fn build_crictl() -> Result<()> {
    let module = module("crictl-module", &[&format!("{CRI_TOOLS}/cmd/crictl")])?;
    let version = format!("-X {CRI_TOOLS}/pkg/version.Version={CRI_TOOLS_VERSION}");
    build(&module, &format!("{CRI_TOOLS}/cmd/crictl"), &version, "crictl").map(drop)
}

/// Builds critest, which is a test program, and the ginkgo that it calls for parallel runs, into the cache, if they are
/// not there; the folder with both.
pub fn critest() -> Result<PathBuf> {
    let bin = cache_dir()?.join("bin");
    let made = format!("critest-{CRI_TOOLS_VERSION}");
    if bin.join(&made).is_file() && bin.join("ginkgo").is_file() {
        return Ok(bin);
    }
    let module = module(
        "critest-module",
        &[&format!("{CRI_TOOLS}/pkg/benchmark"), &format!("{CRI_TOOLS}/pkg/validate"), &format!("{GINKGO}/ginkgo")],
    )?;
    build(&module, &format!("{GINKGO}/ginkgo"), "", "ginkgo")?;
    let out = bin.join(&made);
    let flags = format!("-s -w -X {CRI_TOOLS}/pkg/version.Version={CRI_TOOLS_VERSION}");
    let package = format!("{CRI_TOOLS}/cmd/critest");
    run(Command::new("go")
        .args(["test", "-c", "-trimpath", "-ldflags", &flags, "-o"])
        .arg(&out)
        .arg(package)
        .current_dir(&module))?;
    Ok(bin)
}

/// Builds the kubelet into the cache, if it is not there; its path.
pub fn kubelet() -> Result<PathBuf> {
    let made = cache_dir()?.join("bin").join(format!("kubelet-{KUBELET_VERSION}"));
    if made.is_file() {
        return Ok(made);
    }
    let dir = cache_dir()?.join("kubelet-module");
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    let requires = format!("require {KUBERNETES} {KUBELET_VERSION}\n");
    let go_mod = format!("module tools.wharf.example\n\ngo 1.24\n\n{requires}\n{}", staging(&dir)?);
    write_module(&dir, &go_mod, &[&format!("{KUBERNETES}/cmd/kubelet")])?;
    let version = format!("-X k8s.io/component-base/version.gitVersion={KUBELET_VERSION}");
    build(&dir, &format!("{KUBERNETES}/cmd/kubelet"), &version, &format!("kubelet-{KUBELET_VERSION}"))
}

// Kubernetes' own go.mod replaces its libraries by folders beside it, which the proxy does not have: each is a module of
// its own there, v0.X.Y for Kubernetes v1.X.Y.
fn staging(dir: &Path) -> Result<String> {
    fs::write(dir.join("go.mod"), "module tools.wharf.example\n").context("write go.mod")?;
    let out = Command::new("go")
        .args(["mod", "download", "-json", &format!("{KUBERNETES}@{KUBELET_VERSION}")])
        .current_dir(dir)
        .output()
        .context("start go")?;
    ensure!(out.status.success(), "go mod download: {}", String::from_utf8_lossy(&out.stdout).trim());
    let told: Value = serde_json::from_slice(&out.stdout).context("understand go mod download")?;
    let path = told["GoMod"].as_str().context("go mod download names no go.mod")?;
    let text = fs::read_to_string(path).with_context(|| format!("read {path}"))?;
    let libraries = KUBELET_VERSION.replacen("v1.", "v0.", 1);
    Ok(text
        .lines()
        .filter_map(|line| line.trim().strip_suffix(" v0.0.0"))
        .map(|name| format!("replace {name} => {name} {libraries}\n"))
        .collect())
}

// A module of our own that names the packages: `go install tool@version` asks the module's host more than the proxy may
// know.
fn module(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let dir = cache_dir()?.join(name);
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    let go_mod = format!("module tools.wharf.example\n\ngo 1.24\n\nrequire {CRI_TOOLS} {CRI_TOOLS_VERSION}\n");
    write_module(&dir, &go_mod, packages)?;
    Ok(dir)
}

fn write_module(dir: &Path, go_mod: &str, packages: &[&str]) -> Result<()> {
    fs::write(dir.join("go.mod"), go_mod).with_context(|| format!("write {}/go.mod", dir.display()))?;
    let imports: String = packages.iter().map(|package| format!("import _ \"{package}\"\n")).collect();
    fs::write(dir.join("tools.go"), format!("//go:build tools\n\npackage tools\n\n{imports}"))
        .with_context(|| format!("write {}/tools.go", dir.display()))?;
    run(Command::new("go").args(["mod", "tidy"]).current_dir(dir))
}

// Go writes the file when it is whole.
fn build(module: &Path, package: &str, flags: &str, name: &str) -> Result<PathBuf> {
    let made = cache_dir()?.join("bin").join(name);
    let flags = format!("-s -w {flags}");
    run(Command::new("go")
        .args(["build", "-trimpath", "-ldflags", &flags, "-o"])
        .arg(&made)
        .arg(package)
        .current_dir(module))?;
    Ok(made)
}
