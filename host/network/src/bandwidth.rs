use std::collections::BTreeMap;

use serde_json::{Map, Value};
use wharf_error::{Error, Result};

const INGRESS: &str = "kubernetes.io/ingress-bandwidth";
const EGRESS: &str = "kubernetes.io/egress-bandwidth";

/// What Kubernetes takes for a bandwidth: 1k to 1P.
const RANGE: std::ops::RangeInclusive<u64> = 1_000..=1_000_000_000_000_000;

/// Limits of a pod's traffic, bits a second.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bandwidth {
    /// Of what comes into the pod.
    pub ingress: Option<u64>,
    /// Of what it sends.
    pub egress: Option<u64>,
}

// === impl Bandwidth ===

impl Bandwidth {
    /// From the annotations `kubernetes.io/ingress-bandwidth` and `kubernetes.io/egress-bandwidth`; none without either.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for what is no quantity of Kubernetes', or not between 1k and 1P.
    pub fn from_annotations(annotations: &BTreeMap<String, String>) -> Result<Option<Self>> {
        let one = |key: &str| annotations.get(key).map(|text| rate(key, text)).transpose();
        let limits = Self { ingress: one(INGRESS)?, egress: one(EGRESS)? };
        Ok((limits.ingress.is_some() || limits.egress.is_some()).then_some(limits))
    }

    /// By CNI's conventions. Nobody says how much may pass at once, so it is the most that can be said.
    pub(crate) fn to_json(self) -> Value {
        let mut limits = Map::new();
        for (rate, rate_key, burst_key) in
            [(self.ingress, "ingressRate", "ingressBurst"), (self.egress, "egressRate", "egressBurst")]
        {
            if let Some(rate) = rate {
                limits.insert(rate_key.into(), rate.into());
                limits.insert(burst_key.into(), u32::MAX.into());
            }
        }
        limits.into()
    }
}

fn rate(key: &str, text: &str) -> Result<u64> {
    let rate = quantity(text).ok_or_else(|| Error::invalid(format!("annotation {key}: {text:?} is no quantity")))?;
    if !RANGE.contains(&rate) {
        return Err(Error::invalid(format!("annotation {key}: {text:?} is not from 1k to 1P")));
    }
    Ok(rate)
}

/// A positive quantity as Kubernetes writes them (`10M`, `1.5Gi`, `1e6`), rounded up to a whole number.
fn quantity(text: &str) -> Option<u64> {
    let text = text.trim().strip_prefix('+').unwrap_or(text.trim());
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let mut divisor = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let power = |base: u128, exponent: u32| base.checked_pow(exponent);
    let factor = match suffix {
        "n" | "u" | "m" => {
            let small = match suffix {
                "m" => 3,
                "u" => 6,
                _ => 9,
            };
            divisor = divisor.checked_mul(power(10, small)?)?;
            1
        }
        "" => 1,
        "k" => power(10, 3)?,
        "M" => power(10, 6)?,
        "G" => power(10, 9)?,
        "T" => power(10, 12)?,
        "P" => power(10, 15)?,
        "E" => power(10, 18)?,
        "Ki" => power(2, 10)?,
        "Mi" => power(2, 20)?,
        "Gi" => power(2, 30)?,
        "Ti" => power(2, 40)?,
        "Pi" => power(2, 50)?,
        "Ei" => power(2, 60)?,
        exponent => {
            let exponent: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            let size = power(10, exponent.unsigned_abs())?;
            if exponent < 0 {
                divisor = divisor.checked_mul(size)?;
                1
            } else {
                size
            }
        }
    };
    u64::try_from(digits.checked_mul(factor)?.div_ceil(divisor)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_those_of_kubernetes() {
        for (text, value) in [
            ("10M", 10_000_000),
            ("1.5Gi", 1_610_612_736),
            ("1e6", 1_000_000),
            ("12E3", 12_000),
            ("2500000m", 2500),
            ("1.0001k", 1001),
            ("+5k", 5000),
            ("1000", 1000),
        ] {
            assert_eq!(quantity(text), Some(value), "{text}");
        }
        for text in ["", "M", "1 M", "-1M", "1.2.3", "1e", "1e99", "fast", "99999999999999999999E", "1Kib"] {
            assert_eq!(quantity(text), None, "{text}");
        }
    }

    #[test]
    fn annotations_that_are_wrong_are_named() {
        let annotations = |value: &str| BTreeMap::from([(INGRESS.to_owned(), value.to_owned())]);
        let limits = Bandwidth::from_annotations(&annotations("10M")).unwrap().unwrap();
        assert_eq!(limits, Bandwidth { ingress: Some(10_000_000), egress: None });
        for wrong in ["999", "2P", "much"] {
            let error = Bandwidth::from_annotations(&annotations(wrong)).unwrap_err().to_string();
            assert!(error.contains(INGRESS) && error.contains(wrong), "{error}");
        }
        assert_eq!(Bandwidth::from_annotations(&BTreeMap::new()).unwrap(), None);
    }
}
