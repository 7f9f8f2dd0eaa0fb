//! Standard output that cannot be written to.

use wharf_testkit::{closed_output, full_output};

use crate::support::{Bench, Said};

#[test]
fn nobody_who_reads_on_is_no_failure_and_a_full_disk_is_one() {
    let bench = Bench::new();
    let id = bench.create("c");
    for args in [
        &["features"][..],
        &["state", &id],
        &["list"],
        &["list", "-q"],
        &["list", "-f", "json"],
        &["ps", &id],
        &["ps", "-f", "json", &id],
        &["events", "--stats", &id],
    ] {
        let said: Said = bench.command(args).stdout(closed_output().unwrap()).output().unwrap().into();
        assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{args:?}");
        let said: Said = bench.command(args).stdout(full_output().unwrap()).output().unwrap().into();
        assert_eq!(said.code, 1, "{args:?}: {said:?}");
        assert!(said.stderr.contains("write to standard output: No space left on device"), "{args:?}: {said:?}");
    }
    // Who cannot be told hears nothing, and the exit code stays what it is.
    let status = bench
        .command(&["state", "nobody"])
        .stdout(closed_output().unwrap())
        .stderr(closed_output().unwrap())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
    let log = bench.path().join("log");
    let args = ["--log", log.to_str().unwrap(), "state", "nobody"];
    assert_eq!(bench.command(&args).stderr(closed_output().unwrap()).status().unwrap().code(), Some(1));
}
