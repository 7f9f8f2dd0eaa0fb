use std::{
    env, fs,
    net::{TcpStream, UdpSocket},
    process::Command,
};

/// Set in the process that gives everything up: a test binary cannot confine itself and go on.
const CHILD: &str = "WHARF_COMPILE_CONFINED";

/// Run by [`nothing_is_left_to_reach`] in a process of its own; by itself it has nothing to show.
#[test]
fn confined() {
    if env::var_os(CHILD).is_none() {
        return;
    }
    super::confine().unwrap();
    let tried = [
        ("read", fs::read("/etc/passwd").is_ok()),
        ("list", fs::read_dir("/").is_ok()),
        ("write", fs::write("/tmp/wharf-compile-was-here", "x").is_ok()),
        ("udp", UdpSocket::bind("127.0.0.1:0").is_ok()),
        ("tcp", TcpStream::connect("127.0.0.1:9").is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused)),
        ("exec", Command::new("/bin/true").status().is_ok()),
        ("thread", std::thread::Builder::new().spawn(|| ()).is_ok()),
        ("root", nix::unistd::setuid(nix::unistd::Uid::from_raw(0)).is_ok()),
        ("kill", nix::sys::signal::kill(nix::unistd::getppid(), None).is_ok()),
    ];
    for (what, reached) in tried {
        println!("{what}: {}", if reached { "reached" } else { "refused" });
    }
    println!("memory: {}", if vec![1_u8; 1 << 20].len() == 1 << 20 { "works" } else { "gone" });
}

#[test]
fn nothing_is_left_to_reach() {
    let mut child = Command::new(env::current_exe().unwrap());
    // One thread, so that the harness runs the test in the thread that it has.
    let out = child
        .args(["--exact", "confine::tests::confined", "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    for what in ["read", "list", "write", "udp", "tcp", "exec", "thread", "root", "kill"] {
        assert!(said.contains(&format!("{what}: refused")), "{what}: {said} {}", String::from_utf8_lossy(&out.stderr));
    }
    assert!(said.contains("memory: works"), "what a compiler needs is left: {said}");
}
