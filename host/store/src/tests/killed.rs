//! A process that is killed while it writes: everything it was told is done must be there.

use std::{
    collections::HashSet,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use super::{Folder, Images, Pods, open_in, row};

const FOLDER: &str = "WHARF_STORE_TEST_KILLED";
const ROUNDS: usize = 10;
const THREADS: usize = 4;

#[test]
fn all_that_was_answered_is_there_after_kill_9() {
    let folder = Folder::new();
    let (mut acknowledged, mut ids) = (Vec::new(), HashSet::new());
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..ROUNDS {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::killed::writes_until_it_is_killed", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder.0.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Killed after so many answers, in the midst of the next writes.
        let answers = 1 + usize::try_from(seed % 300).unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut of_child: Vec<String> = lines.by_ref().filter(|line| line.starts_with("ack ")).take(answers).collect();
        child.kill().unwrap();
        // What it said before it died counts; its last line may be cut off.
        of_child.extend(lines.filter(|line| line.starts_with("ack ") && line.ends_with('.')));
        child.wait().unwrap();
        assert!(of_child.len() >= answers, "round {round}: the child ended by itself");
        acknowledged.extend(of_child);

        let store = open_in(folder.0.path());
        let images: HashSet<String> =
            store.read(|r| r.list::<Images>("")).unwrap().into_iter().map(|(k, _)| k).collect();
        let pods: HashSet<String> = store.read(|r| r.list::<Pods>("")).unwrap().into_iter().map(|(k, _)| k).collect();
        ids.clear();
        for line in &acknowledged {
            let words: Vec<&str> = line.trim_end_matches('.').split(' ').collect();
            match words[..] {
                ["ack", "image", key] => assert!(images.contains(key), "round {round}: image {key} is lost"),
                ["ack", "pod", key] => assert!(pods.contains(key), "round {round}: pod {key} is lost"),
                ["ack", "id", id] => assert!(ids.insert(id.to_owned()), "round {round}: id {id} was given twice"),
                _ => panic!("what is {line:?}"),
            }
        }
        let next = store.write_durable(|w| w.reserve_ids("layers", 1)).unwrap();
        assert!(!ids.contains(&next.start.to_string()), "round {round}: an id was given again");
    }
    assert!(acknowledged.len() > ROUNDS);
}

/// Only when it is started by the test above.
#[test]
fn writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let store = open_in(Path::new(&folder));
    let say = |what: &str, key: &str| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "ack {what} {key}.").and_then(|()| out.flush()).is_ok()
    };
    let run = |thread: usize| {
        let me = std::process::id();
        for number in 0.. {
            let key = format!("{me}/{thread}/{number}");
            let own = key.clone();
            let id = store.write_durable(move |w| {
                w.put::<Images>(&own, &row("image"))?;
                w.reserve_ids("layers", 1)
            });
            let id = id.unwrap().start.to_string();
            store.write_crash(|w| w.put::<Pods>(&key, &row("pod"))).unwrap();
            if !(say("image", &key) && say("id", &id) && say("pod", &key)) {
                return;
            }
        }
    };
    thread::scope(|scope| (0..THREADS).for_each(|thread| drop(scope.spawn(move || run(thread)))));
}
