//! **What commands print**: tables for people, JSON for programs; results on standard output,
//! remarks on standard error, so that a pipe gets the result alone. Text that came from elsewhere
//! (labels, paths of calls) can't drive the terminal: control characters are replaced.

use std::io::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use comfy_table::{ContentArrangement, Table, presets};
use proof::time::Timestamp;
use registry::units::Moment;
use serde::Serialize;

use super::failure::{Failure, Outcome};

/// For whom to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// Tables and words, for people.
    #[default]
    Table,
    /// JSON, for programs.
    Json,
}

/// Where a command prints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    /// For whom.
    pub(crate) format: Format,
    /// What time it is, for words like "in 3 days".
    pub(crate) now: Timestamp,
}

/// So many of something, in words: `1 file`, `2 files`.
pub(crate) fn counted(many: usize, what: &str) -> String {
    format!("{many} {what}{}", if many == 1 { "" } else { "s" })
}

impl Screen {
    /// Prints for `format`, now.
    pub(crate) fn new(format: Format) -> Self {
        Self { format, now: now() }
    }
    /// Whether a program reads along.
    pub(crate) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// A line of the result.
    pub(crate) fn line(self, text: &str) -> Outcome<()> {
        let mut out = io::stdout().lock();
        written(writeln!(out, "{}", plain(text, true)).and_then(|()| out.flush()))
    }
    /// A line of the result that holds a secret or a token: exactly as it is.
    pub(crate) fn exactly(self, text: &str) -> Outcome<()> {
        let mut out = io::stdout().lock();
        written(writeln!(out, "{text}").and_then(|()| out.flush()))
    }
    /// A remark, kept out of the result.
    pub(crate) fn note(self, text: &str) {
        // Nobody to tell if standard error is gone.
        let _ = writeln!(io::stderr().lock(), "{}", plain(text, true));
    }
    /// The result for programs.
    pub(crate) fn json(self, value: &impl Serialize) -> Outcome<()> {
        let text = serde_json::to_string_pretty(value).map_err(|error| {
            Failure::new(format!("The answer can not be shown as JSON: {error}."))
        })?;
        self.exactly(&text)
    }
    /// A table, or a sentence if it has no rows.
    pub(crate) fn table(self, headers: &[&str], rows: Vec<Vec<String>>, none: &str) -> Outcome<()> {
        if rows.is_empty() {
            self.note(none);
            return Ok(());
        }
        self.exactly(&table(headers, rows))
    }
    /// Named values, one a line, aligned; empty values are left out.
    pub(crate) fn fields(self, fields: &[(&str, String)]) -> Outcome<()> {
        self.exactly(&aligned(fields))
    }
}

/// What time it is.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A reader that went away (`… | head`) is no failure of ours worth words.
fn written(result: io::Result<()>) -> Outcome<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(format!(
            "The result can not be written: {error}."
        ))),
        _ => Ok(()),
    }
}

/// Without control characters.
fn plain(text: &str, lines: bool) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && !(lines && c == '\n') {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

fn table(headers: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(headers.iter().map(|header| header.to_uppercase()));
    for row in rows {
        table.add_row(row.into_iter().map(|cell| {
            let cell = plain(&cell, true);
            if cell.is_empty() {
                "–".to_owned()
            } else {
                cell
            }
        }));
    }
    table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

fn aligned(fields: &[(&str, String)]) -> String {
    let width = fields
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    fields
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| {
            let value = plain(value, true).replace('\n', &format!("\n{:1$}", "", width + 2));
            format!("{name:width$}  {value}")
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// A length of time in the one or two units that matter: `3 d`, `2 h 5 min`.
pub(crate) fn length(millis: u64) -> String {
    let seconds = millis / 1000;
    let (large, small) = match seconds {
        0..60 => ((seconds, "s"), (0, "")),
        60..3600 => ((seconds / 60, "min"), (seconds % 60, "s")),
        3600..86_400 => ((seconds / 3600, "h"), (seconds % 3600 / 60, "min")),
        _ => ((seconds / 86_400, "d"), (seconds % 86_400 / 3600, "h")),
    };
    if small.0 == 0 {
        format!("{} {}", large.0, large.1)
    } else {
        format!("{} {} {} {}", large.0, large.1, small.0, small.1)
    }
}

/// A point in time seen from `now`: `in 3 d`, `2 h 5 min ago`, `now`.
pub(crate) fn seen_from(at: Timestamp, now: Timestamp) -> String {
    if at.as_secs() == now.as_secs() {
        return "now".to_owned();
    }
    let millis = |span: core::time::Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    if at > now {
        format!("in {}", length(millis(at.since(now))))
    } else {
        format!("{} ago", length(millis(now.since(at))))
    }
}

/// A point in time and how far away it is; nothing for none.
pub(crate) fn when(at: Option<Moment>, now: Timestamp) -> String {
    at.map_or_else(String::new, |at| format!("{at} ({})", seen_from(at.0, now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_lines_up_and_shows_what_is_empty() {
        let rows = vec![
            vec!["orders".to_owned(), String::new()],
            vec!["a".to_owned(), "two\nlines".to_owned()],
        ];
        assert_eq!(
            table(&["name", "notes"], rows),
            " NAME    NOTES\n orders  –\n a       two\n         lines"
        );
    }

    #[test]
    fn text_from_elsewhere_can_not_drive_the_terminal() {
        let rows = vec![vec!["\u{1b}[2Jgone\r".to_owned()]];
        assert_eq!(table(&["path"], rows), " PATH\n \u{fffd}[2Jgone\u{fffd}");
        assert_eq!(
            aligned(&[("label", "a\u{7}b".to_owned())]),
            "label  a\u{fffd}b"
        );
    }

    #[test]
    fn times_are_told_in_words() {
        let now = Timestamp::from_secs(1_000_000);
        for (seconds, words) in [
            (0, "now"),
            (59, "in 59 s"),
            (60, "in 1 min"),
            (-90, "1 min 30 s ago"),
            (3600, "in 1 h"),
            (-7500, "2 h 5 min ago"),
            (86_400 * 3, "in 3 d"),
            (-(86_400 + 7200), "1 d 2 h ago"),
        ] {
            assert_eq!(
                seen_from(Timestamp::from_secs(1_000_000 + seconds), now),
                words
            );
        }
    }

    #[test]
    fn fields_without_a_value_are_left_out() {
        let fields = [
            ("id", "key_1".to_owned()),
            ("label", String::new()),
            ("environment", "live".to_owned()),
        ];
        assert_eq!(aligned(&fields), "id           key_1\nenvironment  live");
    }
}
