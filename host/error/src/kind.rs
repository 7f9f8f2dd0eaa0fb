/// What sort of failure it is: one to one with gRPC's codes and with `wharf:host/types.code`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// The request cannot be right, whatever the state of the node.
    InvalidArgument,
    /// The object that the request names does not exist.
    NotFound,
    /// It exists already, and is not the same.
    AlreadyExists,
    /// The object is in a state that does not allow this now.
    FailedPrecondition,
    /// A power or field that was not granted, or an operation the node's owner forbids.
    PermissionDenied,
    /// Credentials are missing or wrong.
    Unauthenticated,
    /// Not implemented, or not on this node.
    Unsupported,
    /// Disk, memory, a quota or a limit of ours is used up.
    Exhausted,
    /// Something we depend on does not answer; a retry may succeed.
    Unavailable,
    /// A named step did not end within its deadline.
    DeadlineExceeded,
    /// The caller went away or asked to stop.
    Cancelled,
    /// Bytes are not what their digest or their book says.
    DataLoss,
    /// A fault of ours, or of the kernel's.
    Internal,
    /// Sorted by nobody. Also what the kubelet needs for its own error words (`SignatureValidationFailed`).
    Unknown,
}
