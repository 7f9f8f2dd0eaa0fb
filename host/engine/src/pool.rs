use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::{CALLS, CORE_INSTANCES, MEMORIES, MEMORY, TABLE_ELEMENTS, TABLES};

/// What a slot keeps in RAM between calls and clears itself, so that the next call faults no page in: a small guest has
/// less. Measured on a call without host work: 17 us with it, 35 us without.
const RESIDENT: usize = 512 << 10;

/// Adds the pool of instance slots, for the daemon. Not part of what a compiler must know.
///
/// Addresses: 64 memories (32 calls of 2) of 4 GiB and 32 MiB make 258 GiB of the 128 TiB that a process has; making an
/// engine fails where a limit (`ulimit -v`) or the machine refuses that, and the caller then does without the pool.
/// RAM: nothing until a slot is used, then up to 512 KiB for each memory slot that was.
pub fn pool(config: &mut Config) -> &mut Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(CALLS)
        .total_core_instances(CALLS * CORE_INSTANCES)
        .total_memories(CALLS * MEMORIES)
        .total_tables(CALLS * TABLES)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_memories_per_module(MEMORIES)
        .max_tables_per_module(TABLES)
        .max_memory_size(MEMORY)
        .table_elements(TABLE_ELEMENTS)
        .linear_memory_keep_resident(RESIDENT)
        .table_keep_resident(16 << 10)
        // From Linux 6.7 on only the pages that were written are cleared.
        .pagemap_scan(Enabled::Auto)
        .max_unused_warm_slots(4);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
}
