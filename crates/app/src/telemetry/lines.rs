//! **Lines of the log**, on their way to standard error.
//!
//! Lines of calls come thick and fast, and a system call for each would cost as much as judging
//! the call. They are put together and written a few times a second by a thread of their own, or
//! sooner where many have come. Everything else is written at once, after the lines before it, so
//! that the order holds. A process that is killed may leave the last fraction of a second of lines
//! of calls unwritten; [`flush`] before a good end leaves none.

use core::time::Duration;
use std::io::{self, Write as _};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

/// The target of lines of calls.
const ACCESS: &str = "access";
/// How long a line of a call waits at most.
const WAIT: Duration = Duration::from_millis(100);
/// Bytes that wait at most: whoever brings more writes them.
const HELD: usize = 64 * 1024;

static LINES: Lines = Lines {
    waiting: Mutex::new(Vec::new()),
    came: Condvar::new(),
};

struct Lines {
    waiting: Mutex<Vec<u8>>,
    came: Condvar,
}

impl Lines {
    fn waiting(&self) -> MutexGuard<'_, Vec<u8>> {
        // Bytes are whole lines at any time, whoever panicked.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what waits. Standard error that is gone is nobody's business here.
fn write_out(waiting: &mut Vec<u8>) {
    let _ = io::stderr().write_all(waiting);
    waiting.clear();
}

/// Writes the lines that wait.
pub(crate) fn flush() {
    write_out(&mut LINES.waiting());
}

/// Starts the thread that writes waiting lines.
pub(super) fn start() -> io::Result<()> {
    std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(|| {
            loop {
                let mut waiting = LINES.waiting();
                while waiting.is_empty() {
                    let woken = LINES.came.wait(waiting);
                    waiting = woken.unwrap_or_else(PoisonError::into_inner);
                }
                drop(waiting);
                std::thread::sleep(WAIT);
                flush();
            }
        })
        .map(|_| ())
}

/// Makes the writer of a line by what the line is about.
pub(super) struct Out {
    /// Whether lines of calls may wait.
    pub(super) gather: bool,
}

/// The writer of one line, which comes as a whole.
pub(super) enum Line {
    Waits,
    AtOnce,
}

impl<'a> MakeWriter<'a> for Out {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line::AtOnce
    }

    fn make_writer_for(&'a self, about: &Metadata<'_>) -> Line {
        if self.gather && about.target() == ACCESS {
            Line::Waits
        } else {
            Line::AtOnce
        }
    }
}

impl io::Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = LINES.waiting();
        let first = waiting.is_empty();
        waiting.extend_from_slice(line);
        match self {
            Self::AtOnce => write_out(&mut waiting),
            Self::Waits if waiting.len() >= HELD => write_out(&mut waiting),
            Self::Waits if first => LINES.came.notify_one(),
            Self::Waits => {}
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_call_waits_and_goes_before_the_next_that_does_not() {
        let before = LINES.waiting().len();
        Line::Waits.write_all(b"{\"one\":1}\n").unwrap();
        assert!(LINES.waiting().len() <= before + 10);
        Line::AtOnce.write_all(b"{\"two\":2}\n").unwrap();
        assert!(LINES.waiting().is_empty());
        // Many at once are written by whoever brings them.
        let line = vec![b'\n'; HELD];
        Line::Waits.write_all(&line).unwrap();
        assert!(LINES.waiting().is_empty());
    }
}
