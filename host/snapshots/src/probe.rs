use wharf_crash_points::point;

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

/// Nobody listens, but in an armed build whoever sweeps the points.
pub(crate) struct NoProbe;

impl Probe for NoProbe {
    fn reached(&self, at: Point) {
        point!(match at {
            Point::BeforeIntent => "snapshots.before-intent",
            Point::AfterIntent => "snapshots.after-intent",
            Point::AfterCall => "snapshots.after-call",
            Point::AfterFinal => "snapshots.after-final",
        });
    }
}
