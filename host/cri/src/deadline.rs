use std::time::Duration;

use tonic::metadata::MetadataMap;

/// How much earlier we answer than the client gives up, a fiftieth of its patience between these two: what its call is at
/// is of use only to who still listens.
const EARLIER: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(500));

/// How long a client waits for its answer, by `grpc-timeout` (gRPC over HTTP/2, "Timeout"); `None`: as long as it takes.
///
/// tonic ends a late call with `Cancelled`, where every other server says `DeadlineExceeded`, and a client whose own clock is
/// slower would believe it.
pub(crate) fn patience(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    let whole = match unit {
        "H" => Duration::from_secs(number.checked_mul(3600)?),
        "M" => Duration::from_secs(number.checked_mul(60)?),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    };
    let (least, most) = EARLIER;
    Some(whole.saturating_sub((whole / 50).clamp(least, most)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_grpcs() {
        let of = |text: &str| {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", text.parse().unwrap());
            patience(&metadata)
        };
        assert_eq!(of("1H"), Some(Duration::from_millis(3_599_500)));
        assert_eq!(of("2S"), Some(Duration::from_millis(1960)));
        assert_eq!(of("500m"), Some(Duration::from_millis(490)));
        assert_eq!(of("99999999n"), Some(Duration::from_nanos(97_999_999)));
        assert_eq!(of("1u"), Some(Duration::ZERO));
        for bad in ["", "S", "5", "5x", "-1S", "99999999999999999999H"] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
        assert_eq!(patience(&MetadataMap::new()), None);
    }
}
