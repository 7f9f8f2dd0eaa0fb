//! Signals by number, by name, and by CRI's own numbering.

use wharf_api::cri::Signal;

/// What asks a container to end where nobody says otherwise.
pub(crate) const SIGTERM: i32 = 15;

/// glibc's, which is what image authors mean: the kernel's first two are taken by its threads.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// In the order of their numbers on x86-64 and arm64, from 1; the first name of each is the canonical one.
const NAMES: [&[&str]; 31] = [
    &["HUP"],
    &["INT"],
    &["QUIT"],
    &["ILL"],
    &["TRAP"],
    &["ABRT", "IOT"],
    &["BUS"],
    &["FPE"],
    &["KILL"],
    &["USR1"],
    &["SEGV"],
    &["USR2"],
    &["PIPE"],
    &["ALRM"],
    &["TERM"],
    &["STKFLT"],
    &["CHLD", "CLD"],
    &["CONT"],
    &["STOP"],
    &["TSTP"],
    &["TTIN"],
    &["TTOU"],
    &["URG"],
    &["XCPU"],
    &["XFSZ"],
    &["VTALRM"],
    &["PROF"],
    &["WINCH"],
    &["IO", "POLL"],
    &["PWR"],
    &["SYS"],
];

/// The number of `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3` or `RTMAX-1`, in any case.
pub(crate) fn parse(text: &str) -> Option<i32> {
    let upper = text.to_ascii_uppercase();
    if let Ok(number) = upper.parse() {
        return Some(number).filter(|number| (1..=RTMAX).contains(number));
    }
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |rest: &str, sign: char| match rest {
        "" => Some(0),
        more => more.strip_prefix(sign)?.parse::<i32>().ok(),
    };
    let number = if let Some(rest) = name.strip_prefix("RTMIN") {
        real_time(rest, '+')?.checked_add(RTMIN)?
    } else if let Some(rest) = name.strip_prefix("RTMAX") {
        RTMAX.checked_sub(real_time(rest, '-')?)?
    } else {
        let at = NAMES.iter().position(|names| names.contains(&name))?;
        return i32::try_from(at + 1).ok();
    };
    Some(number).filter(|number| (RTMIN..=RTMAX).contains(number))
}

/// The number of a CRI signal; none for `SIGNAL_RUNTIME_DEFAULT`.
pub(crate) fn from_cri(signal: Signal) -> Option<i32> {
    let name = signal.as_str_name().strip_prefix("SIGNAL_")?;
    parse(&name.replace("PLUS", "+").replace("MINUS", "-"))
}

/// CRI's name for a number.
pub(crate) fn to_cri(number: i32) -> Signal {
    let name = match number {
        RTMAX => "RTMAX".to_owned(),
        RTMIN => "RTMIN".to_owned(),
        // Half of them are counted from below, the other half from above.
        35..=49 => format!("RTMINPLUS{}", number - RTMIN),
        50..=63 => format!("RTMAXMINUS{}", RTMAX - number),
        other => {
            let at = usize::try_from(other).ok().and_then(|at| at.checked_sub(1));
            at.and_then(|at| NAMES.get(at)).map(|names| names[0].to_owned()).unwrap_or_default()
        }
    };
    Signal::from_str_name(&format!("SIGNAL_SIG{name}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_mean_the_same() {
        for (text, number) in [
            ("SIGTERM", 15),
            ("term", 15),
            ("15", 15),
            ("SIGKILL", 9),
            ("SIGIOT", 6),
            ("SIGCLD", 17),
            ("SIGSYS", 31),
            ("SIGWINCH", 28),
            ("SIGRTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("SIGRTMAX", 64),
            ("64", 64),
        ] {
            assert_eq!(parse(text), Some(number), "{text}");
        }
        for bad in ["", "SIG", "0", "65", "-1", "SIGNOPE", "SIGRTMIN-1", "SIGRTMIN+31", "SIGRTMAX-31", "RTMIN+x"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_signal_of_cri_has_a_number_and_comes_back() {
        assert_eq!(from_cri(Signal::RuntimeDefault), None);
        for value in 1..=65 {
            let signal = Signal::try_from(value).unwrap();
            let number = from_cri(signal).unwrap_or_else(|| panic!("{signal:?}"));
            let same = to_cri(number);
            let alias = matches!(signal, Signal::Sigiot | Signal::Sigcld | Signal::Sigpoll);
            assert!(same == signal || alias, "{signal:?} {number} {same:?}");
        }
        assert_eq!(to_cri(0), Signal::RuntimeDefault);
    }
}
