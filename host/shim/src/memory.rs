//! Keeps the heap of a process small that sits idle nearly all its life.

/// One arena for all threads, memory given back early: an arena a thread would cost more than all our data.
/// Call it before any thread is made.
pub fn limit_arenas() {
    // SAFETY: mallopt only sets parameters of the allocator; no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 64 * 1024);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 32 * 1024);
        libc::mallopt(libc::M_TOP_PAD, 16 * 1024);
    }
}

/// Gives back what an idle shim does not need: free heap pages, and its hold on code it ran long ago, most of
/// which belongs to the start. Code that is needed again comes from the page cache, microseconds a call.
pub fn trim() {
    // SAFETY: malloc_trim takes the allocator's own locks and touches only free memory.
    unsafe {
        libc::malloc_trim(0);
    }
    for (start, length) in code() {
        // SAFETY: the range is a private mapping of a file that cannot be written, and never was (`code_of`):
        // dropping its pages changes nothing that anybody can read there.
        unsafe {
            libc::madvise(start as *mut libc::c_void, length, libc::MADV_DONTNEED);
        }
    }
}

/// The mappings of program and libraries that hold code, or tables that only the start reads: start and length.
fn code() -> Vec<(usize, usize)> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    maps.lines().filter_map(code_of).collect()
}

/// `START-END r-xp OFFSET DEVICE INODE PATH`, or `r--p` at offset 0, where an ELF file begins. A later `r--p` may be
/// data that the loader wrote to and then protected.
fn code_of(line: &str) -> Option<(usize, usize)> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let (kind, offset) = (words.next()?, words.next()?);
    let read_only = kind == "r-xp" || kind == "r--p" && offset.bytes().all(|digit| digit == b'0');
    let is_code = read_only && words.nth(2)?.starts_with('/');
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    is_code.then_some((start, end.checked_sub(start)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_files_is_let_go() {
        assert_eq!(code_of("5000-7000 r-xp 00001000 fe:00 12 /bin/shim"), Some((0x5000, 0x2000)));
        assert_eq!(code_of("5000-7000 r--p 00000000 fe:00 12 /bin/shim"), Some((0x5000, 0x2000)));
        for other in [
            "5000-7000 r--p 00001000 fe:00 12 /bin/shim",
            "5000-7000 rwxp 00001000 fe:00 12 /bin/shim",
            "5000-7000 r-xp 00000000 00:00 0  [vdso]",
            "5000-7000 r-xp 00000000 00:00 0",
        ] {
            assert_eq!(code_of(other), None, "{other}");
        }
        assert!(!code().is_empty());
        trim();
    }
}
