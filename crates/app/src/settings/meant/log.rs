//! **How much is logged**: a level, or a filter that says it for all and for some. Nothing else is
//! taken: silence must be a word and no slip of the pen.

use super::Meaning;

impl Meaning<'_> {
    /// Looks at `log.level`.
    pub(super) fn log_level(&mut self, text: &str) {
        if let Err(message) = judged(text) {
            let hint = format!(
                "write one of {}, or a filter like `info,gateway=debug`",
                LEVELS.join(", ")
            );
            self.flaw(&["log", "level"], message, &hint);
        }
    }
}

/// What `log.level` knows, from silence to everything.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Whether a filter says how much is logged. The library takes any word that is no level for the name
/// of a target, and whatever no part speaks of is not logged: a slip of the pen would silence all.
fn judged(text: &str) -> Result<(), String> {
    let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    let mut of_all = false;
    for part in text.split(',').map(str::trim) {
        match part.split_once('=') {
            None if is_level(part) => of_all = true,
            Some((target, level)) if !target.is_empty() && is_level(level) => {}
            _ => return Err(format!("`{part}` is no log level")),
        }
    }
    if !of_all {
        return Err(format!(
            "`{text}` says nothing of all else, which would not be logged"
        ));
    }
    match text.parse::<tracing_subscriber::EnvFilter>() {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("this is no filter: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::judged;

    #[test]
    fn a_filter_says_how_much_of_all_is_logged() {
        for good in [
            "info",
            "OFF",
            "warn,audit=info",
            "gateway=debug, error",
            "info,gateway::listen=trace",
        ] {
            assert_eq!(judged(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "loud",
            "inf",
            "info,",
            "info,gateway",
            "info,gateway=lots",
            "info,=debug",
            "gateway=debug",
            "info gateway=debug",
        ] {
            assert!(judged(bad).is_err(), "{bad}");
        }
    }
}
