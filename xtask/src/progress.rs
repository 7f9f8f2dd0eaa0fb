use std::{
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use anyhow::Result;

/// Prints a heading.
pub fn heading(text: &str) {
    say(&format!("\n{}", bold(text)));
}

/// Prints one line.
pub fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    // A closed terminal is no reason to stop half way.
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// Prints text of others (a log, an output), set off from ours.
pub fn quote(text: &str) {
    for line in text.lines() {
        say(&format!("      {}", dim(&format!("│ {line}"))));
    }
}

/// Runs one step and prints what it is, ✓ or ✗, and how long it took.
pub fn step<T>(what: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    let terminal = std::io::stdout().is_terminal();
    if terminal {
        let mut out = std::io::stdout().lock();
        let _ = write!(out, "  … {what}");
        let _ = out.flush();
    }
    let begin = Instant::now();
    let result = run();
    let mark = if result.is_ok() { "✓" } else { "✗" };
    let start = if terminal { "\r\x1b[K" } else { "" };
    say(&format!("{start}  {mark} {what:<58} {:>9}", duration(begin.elapsed())));
    result
}

/// As [`step`], for one that prints lines itself meanwhile.
pub fn loud_step<T>(what: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    say(&format!("  … {what}"));
    let begin = Instant::now();
    let result = run();
    let mark = if result.is_ok() { "✓" } else { "✗" };
    say(&format!("  {mark} {what:<58} {:>9}", duration(begin.elapsed())));
    result
}

/// Prints the end of a failed task.
pub fn failed(error: &anyhow::Error) {
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "\n✗ {error:#}");
}

/// A duration as a person reads it: `312 µs`, `4.1 ms`, `2.50 s`.
pub fn duration(time: Duration) -> String {
    let micros = time.as_micros();
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        _ => format!("{:.2} s", time.as_secs_f64()),
    }
}

fn bold(text: &str) -> String {
    paint("1", text)
}

fn dim(text: &str) -> String {
    paint("2", text)
}

fn paint(code: &str, text: &str) -> String {
    if std::io::stdout().is_terminal() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}
