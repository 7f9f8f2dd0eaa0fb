use std::io::Write as _;

/// Whether this is continuous integration (`CI=true`), where nothing that can be installed may be missing.
pub fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|v| v == "true" || v == "1")
}

/// Reports that the running test cannot run on this machine, on the real standard error, past the test harness's capture.
///
/// # Panics
///
/// In CI, where a skipped test is a failed one.
pub fn skipped(reason: &str) {
    let test = std::thread::current().name().unwrap_or("test").to_owned();
    assert!(!in_ci(), "{test}: skipped in CI: {reason}");
    // Nobody listens: then there is nobody to tell.
    let _ = writeln!(std::io::stderr().lock(), "{test}: skipped: {reason}");
    // `cargo xtask test` gathers them here.
    if let Some(list) = std::env::var_os("WHARF_TEST_SKIPS")
        && let Ok(mut list) = std::fs::File::options().create(true).append(true).open(list)
    {
        let _ = writeln!(list, "{test}: {reason}");
    }
}

/// What a test needs, or `None` after saying why it is skipped: `let Some(tool) = need(find()) else { return };`
///
/// # Panics
///
/// In CI, where a skipped test is a failed one.
pub fn need<T>(found: anyhow::Result<T>) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(error) => {
            skipped(&format!("{error:#}"));
            None
        }
    }
}

/// Root, which containers need.
///
/// # Errors
///
/// For everybody else.
pub fn root() -> anyhow::Result<()> {
    anyhow::ensure!(nix::unistd::geteuid().is_root(), "containers are made by root: run this as root");
    Ok(())
}
