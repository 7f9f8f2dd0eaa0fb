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

/// Gives free pages back to the kernel; tens of microseconds.
pub fn trim() {
    // SAFETY: malloc_trim takes the allocator's own locks and touches only free memory.
    unsafe {
        libc::malloc_trim(0);
    }
}
