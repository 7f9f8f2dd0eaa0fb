//! Loads and calls plugins: grants, limits, powers, the compiled cache.
