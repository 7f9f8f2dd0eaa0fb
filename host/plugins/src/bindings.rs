//! Generated from `wit/`: the contract as the host sees it.
#![allow(unsafe_code, missing_docs, unused, clippy::all, clippy::pedantic, clippy::restriction)]

wasmtime::component::bindgen!({
    path: ["../../wit/host", "../../wit/snapshotter"],
    inline: "
        package wharf:daemon;
        world snapshotter {
            include wharf:snapshotter/snapshotter-plugin@0.1.0-draft;
            import wharf:snapshotter/layer-dir@0.1.0-draft;
        }
    ",
    world: "wharf:daemon/snapshotter",
    with: {
        "wharf:snapshotter/storage.layer": crate::power::LayerHandle,
        "wharf:snapshotter/storage.plan": crate::power::PlanHandle,
    },
});
