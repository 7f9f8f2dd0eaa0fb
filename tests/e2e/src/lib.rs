//! End-to-end tests: the built daemon on its socket, the real crictl.
