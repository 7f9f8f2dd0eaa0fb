//! What tests share: images made from Debian packages, registries, a private daemon, a leak check.
