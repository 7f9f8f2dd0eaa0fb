/// Told where a change stands: tests cut there.
pub(crate) trait Probe: Send + Sync + 'static {
    fn reached(&self, point: Point);
}

/// The moments between the writes of a change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Point {
    BeforeIntent,
    AfterIntent,
    AfterCall,
    AfterFinal,
}

/// Nobody listens.
pub(crate) struct NoProbe;

impl Probe for NoProbe {
    fn reached(&self, _point: Point) {}
}
