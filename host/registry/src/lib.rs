//! The registry client: references, hosts.toml, authorisation, manifests, blobs.
