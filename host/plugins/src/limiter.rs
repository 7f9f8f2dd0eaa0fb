use wasmtime::ResourceLimiter;

/// Elements of all tables of a call together: what a table costs the host.
const TABLE_ELEMENTS: usize = 1 << 20;

/// Counts what all modules of a call's component take together. (wasmtime's own limiter counts each memory alone.)
#[derive(Debug)]
pub(crate) struct Limiter {
    memory_limit: usize,
    memory: usize,
    elements: usize,
    /// Whether anything was refused: the reason of the trap that tends to follow.
    pub(crate) refused: Option<&'static str>,
}

// === impl Limiter ===

impl Limiter {
    pub(crate) fn new(memory_limit: usize) -> Self {
        Self { memory_limit, memory: 0, elements: 0, refused: None }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        if total > self.memory_limit {
            self.refused = Some("memory");
            return Ok(false);
        }
        self.memory = total;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.elements.saturating_add(desired.saturating_sub(current));
        if total > TABLE_ELEMENTS {
            self.refused = Some("table elements");
            return Ok(false);
        }
        self.elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        128
    }

    fn tables(&self) -> usize {
        128
    }

    fn memories(&self) -> usize {
        64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_are_counted_together() {
        let mut limiter = Limiter::new(100);
        assert!(limiter.memory_growing(0, 60, None).unwrap(), "the first");
        assert!(!limiter.memory_growing(0, 60, None).unwrap(), "the second is one too many");
        assert!(limiter.memory_growing(60, 100, None).unwrap(), "the first grows to the limit");
        assert_eq!(limiter.refused, Some("memory"));
    }
}
