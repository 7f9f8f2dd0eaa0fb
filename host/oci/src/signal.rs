use nix::sys::signal::Signal;
use wharf_error::{Error, Result};

/// A signal by name, with or without `SIG`, in any case, or by number. 0 is none: it asks whether the process lives.
pub(crate) fn parse(text: &str) -> Result<i32> {
    let unknown = || Error::invalid(format!("unknown signal {text:?}"));
    if let Ok(number) = text.parse::<i32>() {
        return if (0..=64).contains(&number) { Ok(number) } else { Err(unknown()) };
    }
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    if let Some(rest) = name.strip_prefix("RTMIN") {
        return real_time(34, rest).ok_or_else(unknown);
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        return real_time(64, rest).ok_or_else(unknown);
    }
    format!("SIG{name}").parse::<Signal>().map(|signal| signal as i32).map_err(|_| unknown())
}

/// `RTMIN+3`, `RTMAX-2`.
fn real_time(from: i32, rest: &str) -> Option<i32> {
    let offset = if rest.is_empty() { 0 } else { rest.parse::<i32>().ok()? };
    from.checked_add(offset).filter(|number| (34..=64).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_by_name_and_number() {
        for (text, number) in [
            ("KILL", 9),
            ("SIGTERM", 15),
            ("sigusr1", 10),
            ("9", 9),
            ("64", 64),
            ("0", 0),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
        ] {
            assert_eq!(parse(text).unwrap(), number, "{text}");
        }
        for bad in ["", "65", "-1", "NOPE", "RTMIN+40", "SIG"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
