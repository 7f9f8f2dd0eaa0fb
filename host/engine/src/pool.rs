use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::{CALLS, CORE_INSTANCES, MEMORIES, MEMORY, TABLE_ELEMENTS, TABLES};

/// What a slot keeps in RAM between calls, so that the next call finds its pages there: a small guest touches less.
const RESIDENT: usize = 256 << 10;

/// Adds the pool of instance slots, for the daemon. Not part of what a compiler must know.
///
/// Addresses: 64 memories (32 calls of 2) of 4 GiB and 32 MiB make 258 GiB of the 128 TiB that a process has; making an
/// engine fails where a limit (`ulimit -v`) or the machine refuses that, and the caller then does without the pool.
/// RAM: nothing until a slot is used, then up to 256 KiB for each memory slot that was.
pub fn pool(config: &mut Config) -> &mut Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(CALLS)
        .total_core_instances(CALLS * CORE_INSTANCES)
        .total_memories(CALLS * MEMORIES)
        .total_tables(CALLS * TABLES)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_memory_size(MEMORY)
        .table_elements(TABLE_ELEMENTS)
        .linear_memory_keep_resident(RESIDENT)
        .table_keep_resident(16 << 10)
        .max_unused_warm_slots(4);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
}
