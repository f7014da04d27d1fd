//! **How commands are told secrets**: from a file, from standard input, or typed without an echo.
//! Never as an argument, which every process on the machine can read and the shell remembers.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use proof::secret::Secret;
use zeroize::Zeroizing;

use super::failure::{Failure, Outcome};

/// Largest text that is read as a secret or a token.
const MOST_BYTES: u64 = 64 * 1024;

/// Reads a secret from a file, or from standard input for `-`. The last line end is not part of it.
pub(crate) fn secret(from: &Path, what: &str) -> Outcome<Secret> {
    if from == Path::new("-") {
        if io::stdin().is_terminal() {
            return typed(what);
        }
        return text_of(io::stdin().lock(), what).map(Secret::from_text);
    }
    let file = std::fs::File::open(from)
        .map_err(|error| Failure::new(format!("{} can not be read: {error}.", from.display())))?;
    text_of(file, what).map(Secret::from_text)
}

/// Reads a text from standard input whole, e.g. a token that was piped in.
pub(crate) fn piped(what: &str) -> Outcome<String> {
    if io::stdin().is_terminal() {
        let _ = write!(io::stderr(), "Paste the {what}, then press Enter: ");
        let mut line = String::new();
        io::stdin()
            .lock()
            .take(MOST_BYTES)
            .read_line(&mut line)
            .map_err(|error| Failure::new(format!("Standard input can not be read: {error}.")))?;
        return Ok(line.trim().to_owned());
    }
    Ok(text_of(io::stdin().lock(), what)?.trim().to_owned())
}

fn text_of(from: impl io::Read, what: &str) -> Outcome<String> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(1024));
    from.take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::new(format!("The {what} can not be read: {error}.")))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Failure::usage(format!(
            "The {what} is longer than {MOST_BYTES} bytes."
        )));
    }
    let text = core::str::from_utf8(&bytes)
        .map_err(|_| Failure::usage(format!("The {what} is not UTF-8 text.")))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(Failure::usage(format!("The {what} is empty.")));
    }
    Ok(text.to_owned())
}

/// Asks for a secret twice, without an echo.
fn typed(what: &str) -> Outcome<Secret> {
    let quiet = Quiet::begin().ok_or_else(|| {
        Failure::new("The terminal's echo can not be switched off.")
            .next(format!("pipe the {what} in, or give its file"))
    })?;
    let ask = |words: &str| -> Outcome<Zeroizing<String>> {
        let _ = write!(io::stderr(), "{words}: ");
        let mut line = Zeroizing::new(String::with_capacity(256));
        let read = io::stdin().lock().take(MOST_BYTES).read_line(&mut line);
        let _ = writeln!(io::stderr());
        read.map_err(|error| Failure::new(format!("The {what} can not be read: {error}.")))?;
        Ok(Zeroizing::new(
            line.trim_end_matches(['\r', '\n']).to_owned(),
        ))
    };
    let first = ask(&format!("New {what}"))?;
    let second = ask("Once more")?;
    drop(quiet);
    if first.is_empty() {
        return Err(Failure::usage(format!("The {what} is empty.")));
    }
    if *first != *second {
        return Err(Failure::usage(
            "The two are not the same; nothing was changed.",
        ));
    }
    Ok(Secret::from_text(first.to_string()))
}

/// The terminal without its echo, until dropped.
struct Quiet;

impl Quiet {
    fn begin() -> Option<Self> {
        stty("-echo").then_some(Self)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        stty("echo");
    }
}

fn stty(setting: &str) -> bool {
    Command::new("stty")
        .arg(setting)
        .stdin(Stdio::inherit())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Asks whether to go on; `false` also when nobody can be asked.
pub(crate) fn confirmed(question: &str) -> bool {
    if !io::stdin().is_terminal() {
        return false;
    }
    let _ = write!(io::stderr(), "{question} [y/N] ");
    let mut line = String::new();
    let read = io::stdin().lock().take(16).read_line(&mut line);
    read.is_ok() && matches!(line.trim(), "y" | "Y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_loses_its_last_line_end_and_nothing_else() {
        for (bytes, text) in [
            (&b"pass word \n"[..], "pass word "),
            (b"two\nlines\n", "two\nlines"),
            (b"windows\r\n", "windows"),
            (b"bare", "bare"),
        ] {
            assert_eq!(text_of(bytes, "password").unwrap(), text);
        }
    }

    #[test]
    fn an_empty_endless_or_binary_secret_is_refused() {
        for bytes in [&b""[..], b"\n", b"\xff\xfe", &[b'a'; 70_000]] {
            assert_eq!(text_of(bytes, "password").unwrap_err().code(), 2);
        }
    }
}
