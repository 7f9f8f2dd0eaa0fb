use wasmtime::{Config, ModuleVersionStrategy, WasmBacktraceDetails};

/// The largest stack of a guest. Calls run on the caller's thread, which has 2 MiB: a quarter leaves room for host
/// functions on top.
const STACK: usize = 512 << 10;

/// What compiler and daemon must agree on. Every setting that follows a cargo feature of wasmtime is written out, so
/// that the two binaries agree although their features differ.
///
/// # Errors
/// When a setting is impossible on this machine.
pub fn config() -> wasmtime::Result<Config> {
    let mut config = Config::new();
    // The default is the major version alone.
    config.module_version(ModuleVersionStrategy::Custom(format!("wharf/{}", crate::WASMTIME_VERSION)))?;

    // Calls end by the clock, not by counted instructions: 4 to 9 % slower guests, where fuel costs 10 to 45 %.
    config.epoch_interruption(true).consume_fuel(false);

    // Each memory reserves 4 GiB of addresses (not of RAM) and 32 MiB behind them, so that no access of a 32-bit guest
    // needs a bounds check. The pool multiplies this: see `pool`.
    config.memory_reservation(4 << 30).memory_guard_size(32 << 20).guard_before_linear_memory(true);
    // A fresh instance maps its initial memory copy-on-write instead of filling it: an instance a call is cheap.
    config.memory_init_cow(true);
    config.max_wasm_stack(STACK);

    // Plugins are components of one thread with 32-bit memories. What nobody needs is attack surface.
    config.wasm_component_model(true).concurrency_support(false).shared_memory(false);
    config.wasm_memory64(false).wasm_relaxed_simd(false).wasm_wide_arithmetic(false).wasm_custom_page_sizes(false);
    config.gc_support(false).wasm_tail_call(true).wasm_simd(true).wasm_multi_memory(true);

    // A trap names the guest's functions, not lines: there is no debug information to read.
    config.wasm_backtrace_details(WasmBacktraceDetails::Disable).generate_address_map(true);
    Ok(config)
}
