//! **A request as a text**: what somebody saved of a call, made into the bytes that a listener would
//! get. Line ends are the one thing that is mended, since editors write `\n`; whatever else is odd
//! stays as it is, so that it is explained as the listener would take it. What is no request at all
//! is refused with the line that shows it; nothing of the line is repeated, since it may be a secret.

/// Longest text in bytes, body and all.
pub(super) const MAX_TEXT: usize = 512 * 1024;
/// Most lines of a head: well above what the listener takes, so that it is the one to refuse.
const MAX_LINES: usize = 1000;

/// Why a text is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// More than anybody has to explain.
    #[error("the request is longer than {} KiB", MAX_TEXT / 1024)]
    TooLong,
    /// A line that can't stand where it stands.
    #[error("line {line}: {what}")]
    Line {
        /// Counted from 1, in the text as it was given.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// The client's certificate can't be read.
    #[error("the client's certificate is not a PEM text with a certificate in it")]
    Certificate,
}

/// See the module.
pub(crate) struct Text {
    /// What a listener gets: HTTP/1.1, lines ended by CRLF.
    pub(crate) bytes: Vec<u8>,
    /// Whether it was sent as HTTP/2 (as `curl -v` shows such calls).
    pub(super) http2: bool,
    /// Whether it is what `curl -v` prints, which shows no body.
    pub(super) curl: bool,
    /// Whether something stands behind the head.
    pub(super) has_body: bool,
    /// The port that `Host` names.
    pub(super) port: Option<u16>,
}

/// A line, its number, and where the next one begins.
struct Line<'a> {
    number: usize,
    text: &'a [u8],
    next: usize,
}

impl Text {
    /// # Errors
    /// [`Unreadable`].
    pub(crate) fn read(text: &[u8]) -> Result<Self, Unreadable> {
        if text.len() > MAX_TEXT {
            return Err(Unreadable::TooLong);
        }
        let bad = |line: usize, what: &'static str| Unreadable::Line { line, what };
        let first = Lines::of(text).next();
        let Some(first) = first.filter(|line| !line.text.is_empty()) else {
            return Err(bad(1, "not a request line, `GET /path HTTP/1.1`"));
        };
        if first.text.starts_with(b"HTTP/") {
            return Err(bad(
                1,
                "an answer, not a request: `curl -v` shows the request in lines that begin with `>`",
            ));
        }
        let curl = request_line(first.text).is_none()
            && Lines::of(text).any(|line| line.text.starts_with(b"> "));
        let mut bytes = Vec::with_capacity(text.len() + 256);
        let (mut http2, mut port, mut body_at) = (false, None, text.len());
        let (mut head_lines, mut framed, mut last) = (0, false, 1);
        for line in Lines::of(text) {
            let shown = match curl {
                false => line.text,
                true => match line.text {
                    b">" => b"",
                    text => match text.strip_prefix(b"> ") {
                        Some(text) => text,
                        None => continue,
                    },
                },
            };
            last = line.number;
            if shown.is_empty() {
                body_at = line.next;
                break;
            }
            head_lines += 1;
            if head_lines > MAX_LINES {
                return Err(bad(line.number, "more lines than any head has"));
            }
            if shown.contains(&b'\r') {
                return Err(bad(line.number, "a carriage return within the line"));
            }
            if head_lines == 1 {
                let (target, version) = request_line(shown)
                    .ok_or_else(|| bad(line.number, "not a request line, `GET /path HTTP/1.1`"))?;
                bytes.extend_from_slice(target);
                http2 = version.starts_with(b"HTTP/2");
                bytes.extend_from_slice(if http2 { b"HTTP/1.1" } else { version });
            } else {
                let (name, value) =
                    field(shown).ok_or_else(|| bad(line.number, "not a field, `Name: value`"))?;
                framed |= name.eq_ignore_ascii_case(b"content-length")
                    || name.eq_ignore_ascii_case(b"transfer-encoding");
                if name.eq_ignore_ascii_case(b"host") && port.is_none() {
                    port = port_of(value);
                }
                bytes.extend_from_slice(shown);
            }
            bytes.extend_from_slice(b"\r\n");
        }
        if head_lines == 0 {
            return Err(bad(last, "not a request line, `GET /path HTTP/1.1`"));
        }
        bytes.extend_from_slice(b"\r\n");
        let body: &[u8] = if curl { b"" } else { &text[body_at..] };
        if !framed && !body.trim_ascii().is_empty() {
            return Err(bad(
                last + 1,
                "a body, and the head announces none (`Content-Length`)",
            ));
        }
        bytes.extend_from_slice(body);
        Ok(Self {
            bytes,
            http2,
            curl,
            has_body: !body.is_empty(),
            port,
        })
    }
}

/// Method and target with the space behind them, and the version.
fn request_line(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (method, target, version) = (parts.next()?, parts.next()?, parts.next()?);
    let known: [&[u8]; 5] = [b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2", b"HTTP/2.0", b"HTTP/3"];
    let sound = parts.next().is_none()
        && !method.is_empty()
        && method.iter().all(|byte| byte.is_ascii_graphic())
        && !target.is_empty()
        && known.contains(&version);
    let version = if version == b"HTTP/3" {
        b"HTTP/2"
    } else {
        version
    };
    sound.then(|| (&line[..method.len() + target.len() + 2], version))
}

/// Name and value. Whether the name is a token is the listener's to say.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = &line[..colon];
    let sound = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    sound.then(|| (name, line[colon + 1..].trim_ascii()))
}

fn port_of(host: &[u8]) -> Option<u16> {
    let host = core::str::from_utf8(host).ok()?;
    host.rsplit_once(':')?.1.parse().ok()
}

/// The lines of a text, without their ends.
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    number: usize,
}

impl<'a> Lines<'a> {
    fn of(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            number: 0,
        }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let end = rest.iter().position(|byte| *byte == b'\n');
        let text = &rest[..end.unwrap_or(rest.len())];
        self.at += end.map_or(rest.len(), |end| end + 1);
        self.number += 1;
        Some(Line {
            number: self.number,
            text: text.strip_suffix(b"\r").unwrap_or(text),
            next: self.at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &[u8]) -> String {
        match Text::read(text) {
            Ok(_) => "read".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_request_is_read_with_either_line_end_and_with_or_without_its_last_line() {
        for text in [
            "GET / HTTP/1.1\r\nHost: a:81\r\n\r\n",
            "GET / HTTP/1.1\nHost: a:81\n\n",
            "GET / HTTP/1.1\nHost: a:81\n",
            "GET / HTTP/1.1\nHost: a:81",
            "GET / HTTP/1.1\nHost: a:81\n\n\n",
        ] {
            let read = Text::read(text.as_bytes()).expect("a request");
            let head = "GET / HTTP/1.1\r\nHost: a:81\r\n\r\n";
            assert!(read.bytes.starts_with(head.as_bytes()), "{text:?}");
            assert_eq!(read.port, Some(81));
            assert!(!read.http2 && !read.curl);
        }
    }

    #[test]
    fn a_body_follows_the_head_untouched() {
        let read = Text::read(b"POST / HTTP/1.1\nContent-Length: 4\n\na\nb\n").expect("a request");
        assert!(read.bytes.ends_with(b"\r\n\r\na\nb\n"));
        assert!(read.has_body);
    }

    #[test]
    fn of_what_curl_prints_the_lines_of_the_request_are_taken() {
        let text = "* Connected\n> GET /orders?a=1 HTTP/2\n> Host: a\n> accept: */*\n> \n* said\n< HTTP/2 401\n< x: y\n<\n> GET /again HTTP/2\n";
        let read = Text::read(text.as_bytes()).expect("a request");
        let bytes = b"GET /orders?a=1 HTTP/1.1\r\nHost: a\r\naccept: */*\r\n\r\n";
        assert_eq!(read.bytes, bytes);
        assert!(read.http2 && read.curl && !read.has_body);
    }

    #[test]
    fn what_is_no_request_is_refused_with_its_line_and_without_its_words() {
        for (text, says) in [
            (&b""[..], "line 1: not a request line"),
            (b"\nGET / HTTP/1.1\n", "line 1: not a request line"),
            (b"hunter2\n", "line 1: not a request line"),
            (b"GET /\n", "line 1: not a request line"),
            (b"GET / a HTTP/1.1\n", "line 1: not a request line"),
            (b"GET / HTTP/1.1\nHost: a\nhunter2\n", "line 3: not a field"),
            (
                b"GET / HTTP/1.1\nHost: a\n b: hunter2\n",
                "line 3: not a field",
            ),
            (b"GET / HTTP/1.1\nHost : a\n", "line 2: not a field"),
            (b"GET / HTTP/1.1\n: a\n", "line 2: not a field"),
            (b"GET / HTTP/1.1\nA: a\rb: c\n", "line 2: a carriage return"),
            (b"GET / HTTP/1.1\nHost: a\n\nhunter2", "line 4: a body"),
            (b"HTTP/1.1 200 OK\n", "line 1: an answer"),
            (b"\xff\xfe\x00\n", "line 1: not a request line"),
            (b"* x\n> nonsense\n", "line 2: not a request line"),
        ] {
            let said = refusal(text);
            assert!(said.starts_with(says), "{text:?}: {said}");
            assert!(!said.contains("hunter2"));
        }
        let long = vec![b'a'; MAX_TEXT + 1];
        assert_eq!(refusal(&long), "the request is longer than 512 KiB");
        let lines = format!("GET / HTTP/1.1\n{}", "a: b\n".repeat(2000));
        assert_eq!(
            refusal(lines.as_bytes()),
            "line 1001: more lines than any head has"
        );
    }
}
