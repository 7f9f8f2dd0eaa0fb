use std::fs;

use wharf_e2e::Node;

#[test]
fn a_log_has_time_stream_tag_and_text_a_line() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("log");
    let id = node.run(&pod, "main", "echo one; echo two >&2; printf 'no line break'");
    node.exit_code(&id);
    let text = fs::read_to_string(pod.logs.join("main.log")).unwrap();
    let lines: Vec<Vec<_>> = text.lines().map(|l| l.splitn(4, ' ').collect()).collect();
    let tail = |n: usize| lines[n][1..].join(" ");
    let mut found = [tail(0), tail(1), tail(2)];
    // Two streams have no order between them.
    found.sort();
    assert_eq!(found, ["stderr F two", "stdout F one", "stdout P no line break"].map(str::to_owned), "{text}");
    for line in &lines {
        assert!(
            line[0].len() >= 30 && line[0].contains('T') && line[0].contains('.'),
            "RFC 3339 with nanoseconds: {}",
            line[0]
        );
    }
    node.finish();
}

#[test]
fn a_long_line_is_cut_into_parts_and_nothing_is_lost() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("long");
    let id = node.run(&pod, "main", "head -c 100000 /dev/zero | tr '\\0' x; echo; echo after");
    node.exit_code(&id);
    let text = fs::read_to_string(pod.logs.join("main.log")).unwrap();
    let mut whole = String::new();
    for line in text.lines() {
        let [_, _, tag, part] = line.splitn(4, ' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        assert!(part.len() <= 16384, "{}", part.len());
        whole.push_str(part);
        if tag == "F" {
            whole.push('\n');
        }
    }
    assert_eq!(whole, format!("{}\nafter\n", "x".repeat(100_000)));
    node.finish();
}

#[test]
fn ten_thousand_lines_are_all_there_and_in_order() {
    let Some(node) = Node::start() else { return };
    let pod = node.pod("many");
    let id = node.run(&pod, "main", "seq 1 10000");
    node.exit_code(&id);
    let text = fs::read_to_string(pod.logs.join("main.log")).unwrap();
    let numbers: Vec<u32> = text.lines().filter_map(|l| l.rsplit(' ').next()?.parse().ok()).collect();
    assert!(numbers.iter().copied().eq(1..=10_000), "{} lines", numbers.len());
    node.finish();
}
