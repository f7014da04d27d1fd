//! What tests came to, for people, programs and build servers.

use serde_json::{Value, json};
use verdict::policy::rego::{Coverage, Lines};

use super::cases::Results;
use crate::cli::failure::Outcome;
use crate::cli::screen::Screen;

/// Prints the results.
pub(super) fn show(results: &Results, screen: Screen) -> Outcome<()> {
    if screen.is_json() {
        let tests: Vec<_> = results
            .tests
            .iter()
            .map(|test| {
                json!({
                    "place": test.place,
                    "name": test.name,
                    "passed": test.passed(),
                    "wrong": test.wrong,
                    "printed": test.printed,
                })
            })
            .collect();
        return screen.json(&json!({
            "tests": tests,
            "coverage": { "percent": rounded(&results.reached), "files": lines(&results.reached) },
        }));
    }
    let mut place = "";
    for test in &results.tests {
        if test.place != place {
            place = &test.place;
            screen.line(place)?;
        }
        let mark = if test.passed() { "ok  " } else { "FAIL" };
        screen.line(&format!("  {mark}  {}", test.name))?;
        for text in test.wrong.iter().chain(&test.printed) {
            screen.line(&format!("        {text}"))?;
        }
    }
    let passed = results.tests.iter().filter(|test| test.passed()).count();
    screen.line(&format!(
        "\n{passed} of {} tests passed",
        results.tests.len()
    ))?;
    let rows = results.reached.files().map(|(path, lines)| {
        let (reached, all) = (
            lines.reached.len(),
            lines.reached.len() + lines.missed.len(),
        );
        vec![path.to_owned(), format!("{reached}/{all}"), ranges(lines)]
    });
    let headers = ["policy", "lines", "not reached"];
    screen.table(&headers, rows.collect(), "No line was there to reach.")
}

fn rounded(reached: &Coverage) -> f64 {
    (reached.percent() * 10.0).round() / 10.0
}

/// Lines that were not reached, as `4, 9-12`.
fn ranges(lines: &Lines) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for line in &lines.missed {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *line => *last = *line,
            _ => ranges.push((*line, *line)),
        }
    }
    let texts = ranges.into_iter().map(|(first, last)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// Reached and missed lines of each module.
pub(super) fn lines(reached: &Coverage) -> Value {
    reached
        .files()
        .map(
            |(path, lines)| json!({"path": path, "reached": lines.reached, "missed": lines.missed}),
        )
        .collect()
}

/// The results in the form that build servers read.
pub(super) fn junit(results: &Results) -> String {
    let failed = results.tests.iter().filter(|test| !test.passed()).count();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"policies\" tests=\"{}\" failures=\"{failed}\">\n",
        results.tests.len(),
    );
    for test in &results.tests {
        let (place, name) = (escaped(&test.place), escaped(&test.name));
        xml.push_str(&format!(
            "  <testcase classname=\"{place}\" name=\"{name}\""
        ));
        if test.passed() {
            xml.push_str("/>\n");
        } else {
            let text = escaped(&test.wrong.join("; "));
            xml.push_str(&format!("><failure message=\"{text}\"/></testcase>\n"));
        }
    }
    xml.push_str("</testsuite>\n");
    xml
}

fn escaped(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => clean.push_str("&amp;"),
            '<' => clean.push_str("&lt;"),
            '>' => clean.push_str("&gt;"),
            '"' => clean.push_str("&quot;"),
            // XML 1.0 §2.2 has no other control characters.
            '\n' | '\t' => clean.push(' '),
            letter if letter.is_control() => clean.push('\u{fffd}'),
            letter => clean.push(letter),
        }
    }
    clean
}
