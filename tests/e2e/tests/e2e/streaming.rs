//! crictl's exec and attach, over both of its transports.

use std::{
    fs,
    io::{Read as _, Write as _},
    process::{Child, ChildStdin, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::json;
use sha2::{Digest as _, Sha256};
use wharf_e2e::{Node, Pod};
use wharf_testkit::{DaemonOptions, wait_for};

use crate::terminal::Terminal;

const TRANSPORTS: [&str; 2] = ["spdy", "websocket"];

const DEADLINE: Duration = Duration::from_secs(60);

/// A crictl that runs, its streams ours.
struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: JoinHandle<Vec<u8>>,
    stderr: JoinHandle<Vec<u8>>,
}

struct Done {
    stdout: String,
    stderr: String,
    code: Option<i32>,
}

impl Running {
    fn start(node: &Node, arguments: &[&str]) -> Self {
        let mut command = node.crictl.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        fn drain(mut from: impl std::io::Read + Send + 'static) -> JoinHandle<Vec<u8>> {
            std::thread::spawn(move || {
                let mut all = Vec::new();
                from.read_to_end(&mut all).unwrap();
                all
            })
        }
        let (stdout, stderr) = (drain(child.stdout.take().unwrap()), drain(child.stderr.take().unwrap()));
        Self { stdin: child.stdin.take(), stdout, stderr, child }
    }

    fn say(&mut self, text: &str) {
        self.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn end_input(&mut self) {
        self.stdin = None;
    }

    fn done(mut self) -> Done {
        self.end_input();
        let status = ended(&mut self.child);
        let text = |bytes: JoinHandle<Vec<u8>>| String::from_utf8_lossy(&bytes.join().unwrap()).into_owned();
        Done { stdout: text(self.stdout), stderr: text(self.stderr), code: status }
    }
}

fn ended(child: &mut Child) -> Option<i32> {
    let mut status = None;
    let over = wait_for(DEADLINE, || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    if !over {
        child.kill().unwrap();
    }
    assert!(over, "crictl still runs after {DEADLINE:?}");
    status.unwrap().code()
}

fn exec(node: &Node, transport: &str, options: &[&str], id: &str, script: &str) -> Running {
    let mut arguments = vec!["exec", "--transport", transport];
    arguments.extend(options);
    arguments.extend([id, "sh", "-c", script]);
    Running::start(node, &arguments)
}

fn attach(node: &Node, transport: &str, options: &[&str], id: &str) -> Running {
    let mut arguments = vec!["attach", "--transport", transport];
    arguments.extend(options);
    arguments.push(id);
    Running::start(node, &arguments)
}

/// Processes of the container whose command line holds a word.
fn processes(node: &Node, id: &str, word: &str) -> usize {
    let listed = node.exec(id, "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null; echo; done");
    listed.lines().filter(|line| line.contains(word) && !line.contains("tr ")).count()
}

/// No pipe is left in the folder of a container of this pod.
fn assert_no_pipes(node: &Node, pod: &Pod) {
    let bundles = node.daemon.state().join("pods").join(&pod.id).join("containers");
    for bundle in fs::read_dir(bundles).unwrap() {
        for file in fs::read_dir(bundle.unwrap().path()).unwrap() {
            let name = file.unwrap().file_name().to_string_lossy().into_owned();
            assert!(!name.starts_with("exec-") && !name.starts_with("attach-"), "{name} is left");
        }
    }
}

#[test]
fn a_command_has_both_outputs_and_its_exit_code() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("exec");
    let id = node.run(&pod, "main", "sleep 1000");
    for transport in TRANSPORTS {
        let done = exec(&node, transport, &[], &id, "echo out; echo err >&2").done();
        assert_eq!((done.stdout.as_str(), done.code), ("out\n", Some(0)), "{transport}: {}", done.stderr);
        assert!(done.stderr.contains("err"), "{transport}: {}", done.stderr);
        let done = exec(&node, transport, &[], &id, "echo before; exit 42").done();
        assert_eq!(done.stdout, "before\n", "{transport}");
        assert!(done.stderr.contains("42"), "{transport}: {}", done.stderr);
        assert_ne!(done.code, Some(0), "{transport}");
        let done = Running::start(&node, &["exec", "--transport", transport, &id, "/no/such"]).done();
        assert!(done.stderr.contains("no such file or directory"), "{transport}: {}", done.stderr);
    }
    assert_no_pipes(&node, &pod);
    node.finish();
}

#[test]
fn input_ends_where_the_client_ends_it() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("input");
    let id = node.run(&pod, "main", "sleep 1000");
    for transport in TRANSPORTS {
        let mut running = exec(&node, transport, &["-i"], &id, "cat; echo after the end");
        running.say("one\ntwo\n");
        let done = running.done();
        assert_eq!(done.stdout, "one\ntwo\nafter the end\n", "{transport}: {}", done.stderr);
        assert_eq!(done.code, Some(0), "{transport}");
    }
    node.finish();
}

#[test]
fn a_terminal_has_the_clients_size_and_follows_it() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("tty");
    let id = node.run(&pod, "main", "sleep 1000");
    for transport in TRANSPORTS {
        let mut terminal = Terminal::open(33, 99);
        let arguments = ["exec", "--transport", transport, "-it", &id, "sh"];
        let mut child = terminal.run(&mut node.crictl.command(&arguments));
        terminal.wait("# ");
        terminal.say("tty; stty size; echo $TERM\n");
        terminal.wait("/dev/pts/");
        terminal.wait("33 99");
        terminal.wait("xterm");
        terminal.resize(&child, 44, 111);
        let told = wait_for(DEADLINE, || {
            terminal.say("stty size\n");
            terminal.seen_within("44 111", Duration::from_millis(500))
        });
        assert!(told, "{transport}: {}", terminal.text());
        terminal.say("cat\n");
        // What is typed while the shell hands its terminal over may be lost.
        let echoed = wait_for(DEADLINE, || {
            terminal.say("interrupted?\n");
            terminal.seen_within("interrupted?\r\ninterrupted?", Duration::from_millis(500))
        });
        assert!(echoed, "{transport}: {}", terminal.text());
        // Control-C goes to the foreground process there, not to crictl.
        terminal.say("\x03");
        let back = wait_for(DEADLINE, || {
            terminal.say("echo still $((40 + 2))\n");
            terminal.seen_within("still 42", Duration::from_millis(500))
        });
        assert!(back, "{transport}: {}", terminal.text());
        terminal.say("exit 7\n");
        assert_ne!(ended(&mut child), Some(0), "{transport}: {}", terminal.text());
        assert!(terminal.text().contains('7'), "{transport}: {}", terminal.text());
    }
    assert_no_pipes(&node, &pod);
    node.finish();
}

#[test]
fn a_gigabyte_is_the_same_at_the_other_end() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("large");
    let id = node.run(&pod, "main", "sleep 1000");
    const SIZE: usize = 1 << 30;
    // A block that no stream's frames divide evenly, over and over.
    let block: Vec<u8> = (0..1_000_003u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let mut expected = Sha256::new();
    let mut left = SIZE;
    while left > 0 {
        let part = left.min(block.len());
        expected.update(&block[..part]);
        left -= part;
    }
    let expected = expected.finalize();
    for transport in TRANSPORTS {
        // Through the input and back through the output of one command.
        let mut command = node.crictl.command(&["exec", "--transport", transport, "-i", &id, "cat"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let block = block.clone();
        let writing = std::thread::spawn(move || {
            let mut left = SIZE;
            while left > 0 {
                let part = left.min(block.len());
                stdin.write_all(&block[..part]).unwrap();
                left -= part;
            }
        });
        let (mut digest, mut count, mut chunk) = (Sha256::new(), 0, vec![0; 1 << 20]);
        loop {
            match stdout.read(&mut chunk).unwrap() {
                0 => break,
                read => {
                    digest.update(&chunk[..read]);
                    count += read;
                }
            }
        }
        writing.join().unwrap();
        assert_eq!(ended(&mut child), Some(0), "{transport}");
        assert_eq!(count, SIZE, "{transport}");
        assert!(digest.finalize() == expected, "{transport}: not the same bytes");
    }
    node.finish();
}

#[test]
fn a_client_that_reads_slowly_loses_nothing() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("slow");
    let id = node.run(&pod, "main", "sleep 1000");
    for transport in TRANSPORTS {
        // The process ends long before its output is read.
        let script = "head -c 20000000 /dev/zero | tr '\\0' x; echo end";
        let mut command = node.crictl.command(&["exec", "--transport", transport, &id, "sh", "-c", script]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        std::thread::sleep(Duration::from_secs(4));
        let (mut count, mut chunk) = (0, vec![0; 1 << 20]);
        let mut last = Vec::new();
        loop {
            let read = stdout.read(&mut chunk).unwrap();
            if read == 0 {
                break;
            }
            count += read;
            last = chunk[..read].to_vec();
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(count, 20_000_004, "{transport}");
        assert!(last.ends_with(b"xend\n") || last.ends_with(b"end\n"), "{transport}");
        assert_eq!(ended(&mut child), Some(0), "{transport}");
    }
    node.finish();
}

#[test]
fn a_stream_on_which_nothing_passes_is_closed() {
    let config = "[streaming]\nidle_timeout = 1\n".to_owned();
    let Some(node) = Node::with(DaemonOptions { config, ..DaemonOptions::default() }) else { return };
    node.ok(&["pull", &Node::image()]);
    let pod = node.pod("idle");
    let id = node.run(&pod, "main", "sleep 1000");
    for transport in TRANSPORTS {
        let silent = exec(&node, transport, &["-i"], &id, "exec sleep 4242").done();
        assert!(silent.code != Some(0), "{transport}: the client hears that it was cut off");
        assert!(wait_for(DEADLINE, || processes(&node, &id, "4242") == 0), "{transport}: it runs on");
    }
    node.finish();
}

#[test]
fn a_command_whose_client_is_gone_is_killed() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("gone");
    let id = node.run(&pod, "main", "sleep 1000");
    // Silent, writing without end, and with input that it does not take.
    for (options, script) in
        [(&[][..], "exec sleep 4242"), (&[][..], "exec yes 4242"), (&["-i"][..], "exec sleep 4242")]
    {
        for transport in TRANSPORTS {
            let mut running = exec(&node, transport, options, &id, script);
            assert!(wait_for(DEADLINE, || processes(&node, &id, "4242") == 1), "{transport}: {script}");
            if !options.is_empty() {
                let mut stdin = running.stdin.take().unwrap();
                std::thread::spawn(move || while stdin.write_all(&[b'x'; 65_536]).is_ok() {});
                std::thread::sleep(Duration::from_secs(1));
            }
            running.child.kill().unwrap();
            running.child.wait().unwrap();
            let gone = wait_for(DEADLINE, || processes(&node, &id, "4242") == 0);
            assert!(gone, "{transport}: `{script}` runs on without its client");
        }
    }
    assert!(wait_for(DEADLINE, || {
        let bundle = node.daemon.state().join("pods").join(&pod.id).join("containers").join(&id);
        !fs::read_dir(bundle).unwrap().any(|f| f.unwrap().file_name().to_string_lossy().starts_with("exec-"))
    }));
    node.finish();
}

#[test]
fn who_attaches_reads_and_writes_along() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("attach");
    for transport in TRANSPORTS {
        let script = "while read line; do echo got $line; echo problem $line >&2; done; echo over";
        let id = node.run_with(&pod, transport, script, |config| config["stdin"] = json!(true));
        let mut running = attach(&node, transport, &["-i"], &id);
        running.say("one\n");
        node.wait_log(&id, "problem one");
        running.say("two\n");
        node.wait_log(&id, "problem two");
        let done = running.done();
        assert_eq!(done.stdout, "got one\ngot two\n", "{transport}: {}", done.stderr);
        assert!(done.stderr.contains("problem one\nproblem two\n"), "{transport}: {}", done.stderr);
        assert_eq!(node.status(&id)["state"], "CONTAINER_RUNNING", "its input stays open for the next");
        let mut again = attach(&node, transport, &["-i"], &id);
        again.say("three\n");
        node.wait_log(&id, "got three");
        let done = again.done();
        assert_eq!(done.stdout, "got three\n", "{transport}: {}", done.stderr);
    }
    assert_no_pipes(&node, &pod);
    node.finish();
}

#[test]
fn with_stdin_once_the_first_clients_end_is_the_end() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("once");
    for transport in TRANSPORTS {
        let id = node.run_with(&pod, transport, "cat; echo over; sleep 0.2; echo and out", |config| {
            config["stdin"] = json!(true);
            config["stdin_once"] = json!(true);
        });
        let mut running = attach(&node, transport, &["-i"], &id);
        running.say("hello\n");
        node.wait_log(&id, "hello");
        let done = running.done();
        assert_eq!(done.stdout, "hello\nover\nand out\n", "{transport}: {}", done.stderr);
        assert_eq!(node.exit_code(&id), 0);
    }
    node.finish();
}

#[test]
fn an_attached_terminal_is_the_containers_own() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("attach-tty");
    for transport in TRANSPORTS {
        let id = node.run_with(&pod, transport, "sh", |config| {
            config["stdin"] = json!(true);
            config["tty"] = json!(true);
        });
        let mut terminal = Terminal::open(20, 70);
        let arguments = ["attach", "--transport", transport, "-it", &id];
        let mut child = terminal.run(&mut node.crictl.command(&arguments));
        let sized = wait_for(DEADLINE, || {
            terminal.say("stty size\n");
            terminal.seen_within("20 70", Duration::from_millis(500))
        });
        assert!(sized, "{transport}: {}", terminal.text());
        terminal.say("echo $((6 * 7)) from $(tty); exit 3\n");
        terminal.wait("42 from /dev/pts/0");
        ended(&mut child);
        assert_eq!(node.exit_code(&id), 3);
        assert!(node.log(&id).contains("42 from /dev/pts/0"), "the log has it, too");
    }
    node.finish();
}

#[test]
fn a_stalled_client_holds_up_nobody() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("stalled");
    let script = "read go; head -c 30000000 /dev/zero | tr '\\0' x | fold -w 1000; echo done";
    let id = node.run_with(&pod, "main", script, |config| config["stdin"] = json!(true));
    let mut command = node.crictl.command(&["attach", "-i", &id]);
    let mut stalled = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = stalled.stdin.take().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    stdin.write_all(b"go\n").unwrap();
    let begin = Instant::now();
    // Its output is never read. The container comes to its end all the same.
    node.exit_code(&id);
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    let log = fs::read_to_string(pod.logs.join("main.log")).unwrap();
    assert_eq!(log.matches('x').count(), 30_000_000, "the log has all of it");
    stalled.kill().unwrap();
    stalled.wait().unwrap();
    node.finish();
}

#[test]
fn a_container_without_a_log_can_be_attached_to() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("no-log");
    let id = node.run_with(&pod, "main", "while read line; do echo got $line; done", |config| {
        config.as_object_mut().unwrap().remove("log_path");
        config["stdin"] = json!(true);
    });
    let mut running = attach(&node, "spdy", &["-i"], &id);
    running.say("hello\n");
    // There is no log to see its coming in; the end of input would be the end of it all.
    std::thread::sleep(Duration::from_secs(3));
    let done = running.done();
    assert_eq!(done.stdout, "got hello\n", "{}", done.stderr);
    node.finish();
}

#[test]
fn streams_of_what_does_not_run_are_refused() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("refused");
    let id = node.run(&pod, "main", "exit 0");
    node.exit_code(&id);
    let said = node.fails(&["exec", &id, "true"]);
    assert!(said.contains("is not running"), "{said}");
    let said = node.fails(&["attach", &id]);
    assert!(said.contains("is not running"), "{said}");
    let said = node.fails(&["exec", "feedbeef", "true"]);
    assert!(said.contains("not found"), "{said}");
    node.finish();
}

#[test]
fn a_url_is_good_once_and_nobody_guesses_one() {
    let Some(node) = Node::start() else { return };
    let log = fs::read_to_string(node.daemon.log_path()).unwrap();
    let address = log.split("streaming=").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    let address: std::net::SocketAddr = address.parse().unwrap();
    assert!(address.ip().is_loopback(), "{address}");
    for path in ["/exec/0123456789abcdef0123456789abcdef", "/", "/attach/", "/exec/../../etc/passwd"] {
        let mut connection = std::net::TcpStream::connect(address).unwrap();
        let head =
            "Host: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io";
        write!(connection, "POST {path} HTTP/1.1\r\n{head}\r\n\r\n").unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
    node.finish();
}

#[test]
fn containers_and_their_input_outlive_the_daemon() {
    let Some(mut node) = Node::start() else { return };
    let pod = node.pod("restart");
    let id = node.run_with(&pod, "main", "while read line; do echo got $line; done", |config| {
        config["stdin"] = json!(true);
    });
    let mut before = attach(&node, "spdy", &["-i"], &id);
    before.say("one\n");
    node.wait_log(&id, "got one");
    node.daemon.kill().unwrap();
    node.daemon.launch().unwrap();
    drop(before.done());
    assert_eq!(node.status(&id)["state"], "CONTAINER_RUNNING");
    let mut after = attach(&node, "spdy", &["-i"], &id);
    after.say("two\n");
    let log = node.wait_log(&id, "got two");
    assert!(log.contains("got one"), "{log}");
    drop(after.done());
    assert_no_pipes(&node, &pod);
    node.finish();
}
